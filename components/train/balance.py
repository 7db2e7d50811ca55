"""How much the examples of each class count in the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.settings import RecipeError, near_matches
from components.train.data import Images

BALANCED = "balanced"
_PARSED_BATCH = 1024


def by_class(recipe: Mapping[str, Any], images: Images, names: Sequence[str]) -> list[float] | None:
    """The weights that a recipe's `class_weights` stand for, in the order of the classes.

    "balanced" gives a class the number of all examples over the number of classes and of its own:
    all classes then count alike together, and an example 1 on average (King, Zeng 2001, Logistic
    regression in rare events data, section 4.2).

    Args:
      recipe: plain data; a class that its `class_weights` do not name counts 1.
      images: the training images.
      names: of the classes.

    Returns:
      None where all examples count alike.

    Raises:
      RecipeError: a class that there is not; the near matches are told.
    """
    wanted = recipe.get("class_weights")
    if wanted is None:
        return None
    if wanted == BALANCED:
        counts = _counts(images, len(names))
        present = counts > 0
        shares = counts.sum() / (present.sum() * np.maximum(counts, 1))
        return np.where(present, shares, 1.0).tolist()
    check(recipe, names)
    return [float(wanted.get(name, 1.0)) for name in names]


def check(recipe: Mapping[str, Any], names: Sequence[str]) -> None:
    """Whether the classes that a recipe's `class_weights` name are there.

    Raises:
      RecipeError: a class that there is not; the near matches are told.
    """
    wanted = recipe.get("class_weights")
    for name in wanted if isinstance(wanted, Mapping) else ():
        if name not in names:
            raise RecipeError(
                f"class_weights: there is no class {name!r}: {near_matches(name, names)}"
            )


def _counts(images: Images, classes: int) -> np.ndarray:
    """How much there is of each class, [classes], read without the images."""
    targets = images.targets
    total = np.zeros(classes, np.int64)
    for records in images.records.batch(_PARSED_BATCH):
        parsed = tf.io.parse_example(records, targets.FEATURES)
        total += targets.counts(parsed, classes).numpy()
    return total
