"""`convnets history` and `convnets rollback`: the versions of a served model; and `tensorboard`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from pipelines import served
from pipelines.commands.common import console, root_option, user_errors
from pipelines.paths import Paths


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


@click.command("tensorboard")
@root_option
@click.option("--port", default=6006, type=click.IntRange(0, 65535), show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def tensorboard(root: Path, port: int, host: str) -> None:
    """TensorBoard on the trainings of all runs, those under way too; Ctrl-C ends it."""
    folder = Path(Paths(str(root.absolute())).pipelines)
    if not folder.is_dir():
        raise click.ClickException(f"{root} holds no runs; first: convnets run lenet")
    arguments = ("--logdir", str(folder), "--port", str(port), "--host", host)
    served.quiet_libraries()
    python = (sys.executable, "-W", "ignore")
    os.execv(sys.executable, [*python, "-m", "tensorboard.main", *arguments])
