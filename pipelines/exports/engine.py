"""Writes an export, loads it again, compares it with the served model, and only then shows it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.answers import Answers
from components.canary.checks import difference
from components.tasks import Metric
from pipelines.exports import Format, facts, figures, places
from pipelines.exports.original import Original
from pipelines.exports.runs import Trained

# Test pictures that the export is compared about.
_PICTURES = 16
# How far answers may be from the served model's, as a share of the largest magnitude: that of
# another order of additions, and of weights of 11 bits.
_ALLOWED = {"float32": 1e-3, "float16": 2e-2}
# Whole numbers of 8 bits are judged by what they cost: the share of the first figure that may go.
_LOST = 0.25


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
      run_id: the run's.
      path: the file or folder.
      facts: the JSON file that says what goes in and what comes out.
      size: in bytes.
      needs: modules to import before Keras reads the file.
      pictures: how many test pictures it was compared about.
      difference: from the served model's answers where they are furthest apart, as a share of their
        largest magnitude where that is above 1.
      measured: by metric the figure of the served model and of the export on the test split, one
        view of each picture; of `int8` alone.
    """

    run_id: str
    path: Path
    facts: Path
    size: int
    needs: tuple[str, ...]
    pictures: int
    difference: float
    measured: Mapping[Metric, tuple[float | None, float | None]]


def export(
    trained: Trained,
    kind: Format,
    place: Path,
    precision: str | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Writes a run's model in one format.

    Args:
      trained: the run.
      kind: the format.
      place: the file or folder to write.
      precision: one of the format's; None for its first.
      overwrite: whether what is there may be replaced.
      say: told what is being done.

    Raises:
      RecipeError: a precision that the format does not have.
      ValueError: something is there already; the format cannot hold this network; or what was
        written does not answer as the served model does. Nothing is left behind then.
    """
    precision = places.checked_precision(kind, precision)
    places.check_free(kind, place, overwrite)
    original = Original(trained)
    if not original.task.one_picture:
        inputs = " and ".join((*original.task.stacks, *original.task.box_counts))
        raise ValueError(
            f"exports are of networks that take one picture, and that of {trained.name} takes "
            f"{inputs}; its SavedModel is {trained.model}"
        )
    with _staged(place) as folder:
        written = folder / place.name
        say(f"writing {place.name}")
        kind.part().write(original, written, precision)
        say(f"comparing {place.name} with the served model")
        answer = kind.part().reader(original, written)
        pictures = tf.constant(list(original.records("test", _PICTURES).as_numpy_iterator()))
        apart = _compared(original, answer(pictures), original.served(pictures), place.name)
        measured = {}
        if precision == "int8":
            measured = figures.beside(original, answer, say)
            _check_figures(original, measured, place.name)
        elif not apart <= _ALLOWED[precision]:
            raise ValueError(
                f"{place.name} was not written: it does not answer as the served model does, of "
                f"which it is {apart:.2g} off on test pictures; {_ALLOWED[precision]:g} is allowed"
            )
        needs = facts.needs(kind, written)
        facts.write(original, kind, precision, written, needs)
        size = sum(each.stat().st_size for each in (written, *written.rglob("*")) if each.is_file())
        _put(folder, place)
    told = places.facts(kind, place)
    return Exported(trained.run_id, place, told, size, needs, len(pictures), apart, measured)


def _compared(original: Original, given: Answers, wanted: Answers, name: str) -> float:
    """How far the answers are apart; NaN where one is not finite.

    Raises:
      ValueError: they have other shapes.
    """
    for output, values in wanted.items():
        if given[output].shape != values.shape:
            shapes = f"{list(given[output].shape)} and not {list(values.shape)}"
            raise ValueError(f"{name} was not written: its {output} have the shape {shapes}")
    if not all(np.isfinite(values).all() for values in given.values()):
        return float("nan")
    return difference(given, wanted, original.task)


def _check_figures(
    original: Original,
    measured: Mapping[Metric, tuple[float | None, float | None]],
    name: str,
) -> None:
    """Raises ValueError where the numbers of 8 bits have cost too much of the first figure."""
    metric = original.task.blessing[0]
    before, after = measured[metric]
    if before is None:
        return
    bound = before * (1 + _LOST if metric.less_is_better else 1 - _LOST)
    if after is None or not metric.passes(after, bound):
        found = "none" if after is None else metric.text(after)
        raise ValueError(
            f"{name} was not written: in int8 the {metric.title} on the test split is {found}, and "
            f"{metric.text(before)} of the served model; --precision float16 loses less"
        )


@contextlib.contextmanager
def _staged(place: Path) -> Iterator[Path]:
    """A folder beside `place` that is gone in the end, with the parents that were made for it."""
    made = [each for each in place.parents if not each.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=place.parent) as folder:
            yield Path(folder)
    except BaseException:
        for each in made:
            with contextlib.suppress(OSError):  # Somebody has put something there meanwhile.
                each.rmdir()
        raise


def _put(folder: Path, place: Path) -> None:
    """Moves what was written to where it was asked for, the export itself last."""
    # That of an export that is replaced, where the new one has none.
    places.mean(place).unlink(missing_ok=True)
    for each in sorted(folder.iterdir(), key=lambda each: each.name == place.name):
        target = place.parent / each.name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        each.replace(target)
