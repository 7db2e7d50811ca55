"""`convnets history` and `convnets rollback`: the versions of a served model."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipelines import served
from pipelines.commands.common import console, root_option, user_errors


@click.command("history")
@click.argument("model", required=False)
@root_option
@click.option("--json", "as_json", is_flag=True, help="All that is known, for programs.")
def history(model: str | None, root: Path, as_json: bool) -> None:
    """What made each version of a model: data, code, recipe and figures."""
    with user_errors():
        name = model or served.only_model(root)
        from pipelines.console import version_screens
        from pipelines.history import lineage

        found = lineage.versions(root.absolute(), name)
    if as_json:
        click.echo(json.dumps(version_screens.plain(found), indent=1))
        return
    console().print(version_screens.history_screen(found))


@click.command("rollback")
@click.argument("model")
@click.argument("version", type=int, required=False)
@root_option
def rollback(model: str, version: int | None, root: Path) -> None:
    """Serves the version before, or the one named; servers take notice by themselves.

    What is taken back is kept: to name it later goes forward to it again. The same model is not
    pushed once more, and the next run is measured against what is served now.
    """
    from pipelines.history import rollback as rollbacks

    with user_errors():
        before, now = rollbacks.go_to(root, model, version)
    if before == now:
        console().print(f"{model}: {now} is served as before")
    else:
        console().print(f"{model}: {now} is served, {before} was")
