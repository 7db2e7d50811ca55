"""`convnets export`: a run's network in a file that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from convnets import exporting
from pipelines import exports, recipe_files
from pipelines.commands.common import (
    console,
    packages_option,
    recipe_of,
    root_option,
    status,
    user_errors,
)

if TYPE_CHECKING:
    from rich.console import Group

    from pipelines.exports.engine import Exported

_PRECISIONS = tuple(dict.fromkeys(p for each in exports.FORMATS.values() for p in each.precisions))


@click.command("export")
@click.argument("run", metavar="RUN")
@root_option
@click.option(
    "--format",
    "name",
    required=True,
    metavar="|".join(exports.FORMATS),
    help="; ".join(f"{each.name}: {each.summary}" for each in exports.FORMATS.values()) + ".",
)
@click.option(
    "--precision",
    metavar="|".join(_PRECISIONS),
    help="Of a .tflite file: float16 halves it; int8 quarters it, and is judged beside it.",
)
@click.option(
    "--to",
    "target",
    metavar="PATH",
    help="The file to write, or a folder to write it into: one that is there, or with a / at its "
    "end; by default this folder.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@packages_option
def export(
    run: str, root: Path, name: str, precision: str | None, target: str | None, overwrite: bool
) -> None:
    """Writes the network of a run for other programs, and tries out what was written.

    RUN is a recipe or its .toml or .py file (its last run), a run's id, its ROOT/runs/*.json, or a
    SavedModel or .keras file of a run. The file is loaded again and has to answer about test
    pictures as the served model does; else nothing is written.
    """
    screen = console()
    # The .json that is meant is a run's.
    is_recipe = recipe_files.is_file(run) and not run.endswith(".json")
    named = recipe_of(run, None).name if is_recipe else run
    with user_errors(), status(screen, "looking for the run") as say:
        found = exporting.export(named, root, name, precision, target, overwrite, say)
    screen.print(_screen(found, exports.find(name)))


def _screen(found: Exported, kind: exports.Format) -> Group:
    from rich.console import Group
    from rich.table import Table

    facts = Table("", "", box=None, show_header=False, pad_edge=False)
    facts.add_row(
        "written", f"{found.path} ({found.size:,} bytes), {kind.summary}, of {found.run_id}"
    )
    facts.add_row(
        "compared",
        f"with the served model about {found.pictures} test pictures: "
        f"apart by {found.difference:.1e} at most",
    )
    if kind.name == "keras":
        needs = f"first import {', '.join(found.needs)}" if found.needs else "Keras alone"
        facts.add_row("to load", needs)
    facts.add_row("inputs", f"prepared as {found.facts} says")
    if not found.measured:
        return Group(facts)
    table = Table("test split, one view a picture", "served", "int8", box=None, pad_edge=False)
    for metric, values in found.measured.items():
        texts = ("-" if value is None else metric.text(value) for value in values)
        table.add_row(metric.title, *texts)
    return Group(facts, "", table)
