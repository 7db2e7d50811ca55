"""`convnets data`."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines import served
from pipelines.commands.common import console, status, user_errors


@click.group("data")
def data_commands() -> None:
    """Data: fetched, and looked at before anything is trained."""


@data_commands.command("inspect")
@click.argument("source")
@click.option("--task", help="Of data that serve several, which; such as segmentation.")
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("contact-sheet.png"),
    show_default=True,
    help="Where the pictures go, a PNG file.",
)
def inspect_data(source: str, task: str | None, sheet: Path) -> None:
    """Counts, sizes, dead letters, duplicates and pictures of SOURCE, which is what --data takes.

    The images are read as a run reads them, and nothing of them is kept but the contact sheet.
    """
    served.quiet_libraries()
    screen = console()
    with user_errors():
        from pipelines import inspection

        with status(screen, "loading TensorFlow and reading the images"):
            found = inspection.inspect(source, sheet, task)
    screen.print(inspection.screen(found))


@data_commands.command("get")
@click.argument("name")
def get_data(name: str) -> None:
    """Fetches data and verifies them: mnist, cifar10, or tfds:NAME."""
    served.quiet_libraries()
    screen = console()
    with user_errors():
        from pipelines import inspection

        with status(screen, f"fetching {name}"):
            found = inspection.get(name)
    screen.print(inspection.fetched_screen(found))
