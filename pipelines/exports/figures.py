"""The task's figures of an export beside those of the served model, on the whole test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from components.tasks import Metric
from pipelines.exports.original import Answering, Original

_BATCH = 64


def beside(
    original: Original, answer: Answering, say: Callable[[str], None]
) -> Mapping[Metric, tuple[float | None, float | None]]:
    """By metric the figure of the served model and of the export.

    Both are asked about one view of each picture: the judge's protocol may take more.

    Args:
      original: the served model.
      answer: asks the export.
      say: told how far it is.
    """
    task = original.task
    arguments = {**task.arguments, **original.recipe.get("task_args", {})}
    targets, metrics = task.part("targets"), task.part("metrics")
    rows: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    done = 0
    for batch in original.records("test", -1).batch(_BATCH):
        parsed = tf.io.parse_example(batch, targets.FEATURES)
        truths = targets.truths({name: value.numpy() for name, value in parsed.items()})
        for found, given in zip(rows, (original.served(batch), answer(batch)), strict=True):
            found.append(metrics.rows(given, truths, arguments))
        done += len(batch)
        say(f"judging both on the test split: {done:,} pictures")
    before, after = (metrics.figures(np.concatenate(each), arguments) for each in rows)
    wanted = dict.fromkeys((*task.blessing, *task.metrics))
    return {each: (before[each.name], after[each.name]) for each in wanted}
