"""A run's network written for other programs: `convnets export` and `Run.export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import exports, served
from pipelines.exports import places, runs
from pipelines.history import allowed

if TYPE_CHECKING:
    from pipelines.exports.engine import Exported


def export(
    run: str,
    root: Path,
    format: str,
    precision: str | None = None,
    to: str | Path | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Writes a run's network in one format and tries out what was written.

    Args:
      run: as `pipelines.exports.runs.find` takes it.
      root: where runs are.
      format, precision: see `pipelines.exports.FORMATS`.
      to: as `places.chosen` takes its target.
      overwrite: whether what is there may be replaced.
      say: told what is being done.

    Raises:
      ValueError: an unknown run, format or precision; something is there already; or what was
        written does not answer as the served model does. Nothing is left behind then.
    """
    kind = exports.find(format)
    trained = runs.find(run, root.absolute())
    place = places.chosen(kind, trained.name, precision, to)
    # Found out before the seconds that TensorFlow takes.
    places.check_free(kind, place, overwrite)
    say("loading TensorFlow")
    served.quiet_libraries()
    from components import imports

    imports.load("keras")
    from pipelines.exports import engine

    with allowed.of_run(trained.model_run):
        return engine.export(trained, kind, place, precision, overwrite, say)
