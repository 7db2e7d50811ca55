"""The HTML pages, from the `templates` of the report and of the tasks."""

from pathlib import Path

import jinja2

_HERE = Path(__file__).parent


def environment(*folders: Path) -> jinja2.Environment:
    """The report's templates and, behind them, those of further folders, which need not exist."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([_HERE / "templates", *folders]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def of_task(name: str) -> jinja2.Environment:
    """The templates for a task's pages: the report's, and those of the task's own folder.

    The task's `task.css`, where it has one, becomes a part of the page's style.
    """
    return environment(_HERE.parent / "tasks" / name / "templates")


PAGES = environment()
