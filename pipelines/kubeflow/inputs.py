"""What a run on Kubeflow reads; and several artifacts of one input, which a step there has not.

An input of Kubeflow is the output of one task. What TFX gives a component as the union of several
outputs is several inputs here, of one name and its number (`examples`, `examples-2`), and in the
container one again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from components.ingest.layouts import Source


@dataclasses.dataclass(frozen=True)
class Data:
    """The sources, prepared.

    newest: the newest span, or all there is. earlier: the window's others; as many as the pipeline
    has steps for. fixed: the recipe's fixed data.
    """

    newest: Source
    earlier: tuple[Source, ...] = ()
    fixed: Source | None = None


def several(name: str, number: int) -> str:
    """What the second and the following artifacts of an input are called."""
    return f"{name}-{number}"


def united(names: Iterable[str]) -> dict[str, list[str]]:
    """By the input of the component: the inputs of the step, in their order."""
    found: dict[str, dict[int, str]] = {}
    for each in names:
        name, _, number = each.partition("-")
        found.setdefault(name, {})[int(number or 1)] = each
    return {name: [each[number] for number in sorted(each)] for name, each in found.items()}
