"""`convnets data`."""

from __future__ import annotations

from pathlib import Path

import click

import convnets
from pipelines import served
from pipelines.commands.common import GivenPath, console, root_option, status, user_errors


@click.group("data")
def data_commands() -> None:
    """Data: fetched, and looked at before anything is trained."""


@data_commands.command("inspect")
@click.argument("source")
@click.option("--task", help="Of data that serve several, which; such as segmentation.")
@click.option(
    "--sheet",
    type=GivenPath(dir_okay=False, path_type=Path),
    help="Where the pictures go, a PNG file; without it, into the folder inspected below the root.",
)
@root_option
def inspect_data(source: str, task: str | None, sheet: Path | None, root: Path) -> None:
    """Counts, sizes, dead letters, duplicates and pictures of SOURCE, which is what --data takes.

    The images are read as a run reads them, and nothing of them is kept but the contact sheet.
    """
    screen = console()
    with user_errors(), status(screen, "loading TensorFlow and reading the images"):
        found = convnets.inspect(source, task, sheet, root)
    screen.print(found)


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
