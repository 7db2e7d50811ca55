"""What the report's frame and a task's `pictures` hand each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.report import pages, pictures


@dataclass(frozen=True)
class Evidence:
    """What is known of a run when its page is made.

    Attributes:
      judgement: the content of `judgement.json`.
      rows: float64 [R, K], of the task's metrics, of all test examples.
      ids: of the N examples whose answers are kept: all, or the worst ones, the worst first.
      answers: by name of a measured output [N, ...], in the order of `ids`.
      examples_uri: folder of the Examples artifact that the test examples are from.
      history: of the training, an entry an epoch.
      probed: the content of `probes.json`, where features of another network were tried.
    """

    judgement: Mapping[str, Any]
    rows: np.ndarray
    ids: Sequence[str]
    answers: Mapping[str, np.ndarray]
    examples_uri: str
    history: Sequence[Mapping[str, float]]
    probed: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Headline:
    """What the page says first.

    Attributes:
      figure: the one figure by which the run is known, with its unit.
      words: what that is.
      title: the same in a few words, for the page's title.
      aside: how sure it is, set smaller.
      warning: what makes it doubtful.
      data: what is said of the data beside their name.
    """

    figure: str
    words: str
    title: str
    aside: str = ""
    warning: str = ""
    data: str = ""


@dataclass(frozen=True)
class Table:
    """Names of the columns, and rows of texts."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Measured:
    """What is said, drawn and listed about one thing."""

    explanation: str
    pictures: list[pictures.Picture]
    tables: list[Table]

    def markup(self) -> str:
        """What stands below the section's heading."""
        return pages.PAGES.get_template("measured.html").render(part=self)


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
      id: of its heading, one of its own on the page.
      heading: in words.
      markup: HTML of what stands below the heading.
    """

    id: str
    heading: str
    markup: str
