"""What is said to the processes in which trials are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SearchFacts:
    """What all trials of a search have in common.

    Attributes:
      recipe: plain data; `epochs` is how long a whole trial would be.
      train_files: patterns of the training split's files.
      transform_output: folder of the transform graph.
      place: which of the processes that train at a time this is.
    """

    recipe: Mapping[str, Any]
    train_files: Sequence[str]
    transform_output: str
    place: int


@dataclass(frozen=True)
class Order:
    """One trial.

    Attributes:
      values: by path, of KerasTuner.
      epochs: after so many the trial ends.
      folder: of its checkpoints; an interrupted trial goes on from the last one.
      parent: folder of the trial from whose last epoch this one goes on, if of one.
    """

    values: Mapping[str, Any]
    epochs: int
    folder: str
    parent: str | None = None
