"""`convnets claims`."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines import claims, served
from pipelines.commands.common import INTERRUPTED, console, root_option, status, user_errors
from pipelines.recipe import RecipeError

if TYPE_CHECKING:
    from rich.console import Console

    from components.claims.page import Result

_UNITS = {"s": 1, "m": 60, "h": 3600}
_LOOKS = {"holds": "green", "does not hold": "red", "undecided": "yellow", "not tried": "dim"}


class _Duration(click.ParamType):
    """Such as 90s, 10m or 2h, as seconds."""

    name = "duration"

    def convert(self, value, param, ctx) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", value)
        if not found or not float(found[1]):
            self.fail(f"{value!r} is no time such as 90s, 10m or 2h", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


# After \b click breaks no line: names with hyphens would be divided.
_NAMES = "\n  ".join(["\b\nClaims:", *claims.all_claims()])


@click.command("claims", epilog=_NAMES)
@click.argument("name", required=False)
@click.option(
    "--budget",
    type=_Duration(),
    metavar="TIME",
    help="End after this long, such as 10m; several claims share it. A training that cannot end in "
    "it is not begun. As long as it takes without.",
)
@root_option
def try_claims(name: str | None, budget: float | None, root: Path) -> None:
    """Tries what the papers claim about training: all claims, or the one called NAME.

    Every claim is trained small, with several seeds, and holds, does not hold or is undecided.
    Trainings that have been done are kept, so that the same command goes on where the last ended.
    """
    began = time.monotonic()
    try:
        chosen = [claims.find(name)] if name else list(claims.all_claims().values())
    except RecipeError as error:
        raise click.ClickException(str(error)) from error
    served.quiet_libraries()
    screen = console()
    with user_errors():
        with status(screen, "loading TensorFlow"):
            from components.claims import page, runs
        left = runs.Budget(budget, began=began)
        try:
            for number, claim in enumerate(chosen):
                with status(screen, claim.name) as say:

                    def on_run(variant, seed, seconds, claim=claim, say=say):
                        say(f"{claim.name}: training {variant}, seed {seed}")
                        if seconds is not None:
                            screen.print(f"{claim.name}  {variant}, seed {seed}: {seconds:.0f} s")

                    runs.train(claim, root, left.share(len(chosen) - number), on_run)
                _show(screen, page.result(claim, root))
        except KeyboardInterrupt:
            screen.print("stopped; the same command goes on from where this run came to")
            sys.exit(INTERRUPTED)
        every = [page.result(claim, root) for claim in claims.all_claims().values()]
        screen.print(f"All claims: {page.write(every, root)}")


def _show(screen: Console, result: Result) -> None:
    from rich import box
    from rich.table import Table

    screen.print()
    screen.print(f"{result.name}  {result.paper}", style="bold")
    screen.print(result.claim)
    screen.print(f"Here: {result.here}", style="dim")
    table = Table("part", "verdict", "figures", box=box.SIMPLE_HEAD, pad_edge=False)
    for part in result.parts:
        table.add_row(part.says, part.verdict, part.figures, style=_LOOKS[part.verdict])
    screen.print(table)
    screen.print(
        f"{result.verdict}  ({result.done} of {result.wanted} trainings, {result.time or '0 min'})",
        style=_LOOKS[result.verdict],
    )
    if result.left:
        screen.print(f"Not tried: {result.left}.")
    screen.print()
