"""One run of a schedule: a process of its own, and what came of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import process
from pipelines.history import bases
from pipelines.recipe import Recipe, RecipeError
from pipelines.scheduling.definition import Definition


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt.

    Attributes:
      state: as in `store.Attempt`.
      text: the reasons of the verdict, or the error.
      run_id: the run; None where it did not come so far.
      version: the version that was pushed.
      report: its report.
      again: whether to try a failed run again could help.
    """

    state: str
    text: str
    run_id: str | None = None
    version: str | None = None
    report: str | None = None
    again: bool = True

    @property
    def failed(self) -> bool:
        return self.state in ("failed", "timed out")


def attempt(
    definition: Definition,
    root: Path,
    command: Sequence[str],
    on_event: Callable[[Mapping[str, Any]], None],
) -> Outcome:
    """Trains a schedule's recipe.

    Args:
      definition: of the schedule.
      root: the runs' root, absolute.
      command: the child's command line, see `process.execute`.
      on_event: called with each event of the child.

    Raises:
      RootBusy: another run is using the root.
      KeyboardInterrupt: after the child has been stopped.
    """
    with contextlib.ExitStack() as scope:
        try:
            recipe = bases.on_base(scope.enter_context(definition.built()), root)
        except RecipeError as error:
            return Outcome("failed", str(error), again=False)
        return _run(recipe, definition.timeout, root, command, on_event)


def _run(
    recipe: Recipe,
    timeout: float | None,
    root: Path,
    command: Sequence[str],
    on_event: Callable[[Mapping[str, Any]], None],
) -> Outcome:
    plain = json.loads(recipe.to_json())
    run = process.new_run(recipe.name, root)
    try:
        code = process.execute(run, plain, command, on_event, timeout=timeout)
    except process.RunTimedOut as error:
        return Outcome("timed out", str(error), run.run_id)
    except OSError as error:
        return Outcome("failed", str(error), run.run_id)
    return _outcome(run, process.outcome(run, plain, code))


def _outcome(run: process.Run, summary: Mapping[str, Any]) -> Outcome:
    if summary["error"]:
        again = not summary.get("hopeless", False)
        return Outcome("failed", summary["error"], run.run_id, again=again)
    if "blessed" not in summary:
        return Outcome("failed", "the run ended without a word of what came of it", run.run_id)
    states = {stage["stage"]: stage["state"] for stage in summary["stages"]}
    if not summary["blessed"]:
        state = "kept"
    else:
        state = "unchanged" if states.get("Pusher") == "cached" else "replaced"
    return Outcome(
        state,
        "; ".join(summary.get("why", [])),
        run.run_id,
        summary.get("version") if state != "kept" else None,
        summary.get("report"),
    )
