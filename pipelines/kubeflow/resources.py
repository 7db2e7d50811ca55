"""What each step of a pipeline asks of the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from components.settings import near_matches

GPU = "nvidia.com/gpu"
_UNITS = {"M": 1e6, "G": 1e9, "Mi": 2.0**20, "Gi": 2.0**30}
# Steps that train; what is asked without naming a step is for them where GPUs are meant.
TRAINING = ("Trainer", "Tuner")


class ResourcesError(ValueError):
    """Resources that cannot be asked for; the text says what can."""


@dataclass(frozen=True)
class Resources:
    """Of one step.

    Attributes:
      cpu: cores, requested and not exceeded; None: one requested, no limit.
      memory: bytes, requested and not exceeded; None: `DEFAULT_MEMORY` requested, no limit.
      gpus: how many.
    """

    cpu: float | None = None
    memory: float | None = None
    gpus: int = 0

    def to_spec(self) -> dict[str, Any]:
        """The container's `resources` in a pipeline specification; memory there is in GB."""
        spec = {
            "cpuRequest": self.cpu or 1.0,
            "memoryRequest": (self.memory or DEFAULT_MEMORY) / 1e9,
        }
        if self.cpu:
            spec["cpuLimit"] = self.cpu
        if self.memory:
            spec["memoryLimit"] = self.memory / 1e9
        if self.gpus:
            spec["accelerator"] = {"type": GPU, "count": str(self.gpus)}
        return spec


# TFX and TensorFlow with small batches; a step that trains large networks is given more.
DEFAULT_MEMORY = 3e9


def of_steps(
    steps: Iterable[str], cpu: Iterable[str], memory: Iterable[str], gpus: Iterable[str]
) -> Mapping[str, Resources]:
    """The resources of each step.

    Args:
      steps: the names of the steps.
      cpu, memory, gpus: texts `STEP=VALUE`, or `VALUE` for all steps (of GPUs: for those that
        train), such as `4`, `Trainer=16Gi` and `Trainer=2`. A step's own value goes before.

    Raises:
      ResourcesError: no such step, or a value that is none.
    """
    found = {step: Resources() for step in steps}
    for key, texts, parse in (
        ("cpu", cpu, _cores),
        ("memory", memory, _bytes),
        ("gpus", gpus, _count),
    ):
        parts = [text.rpartition("=") for text in texts]
        for step, _, text in sorted(parts, key=lambda part: part[0] != ""):
            value = parse(text)
            for each in _named(step, key, found):
                found[each] = replace(found[each], **{key: value})
    return found


def _named(step: str, key: str, steps: Mapping[str, Resources]) -> list[str]:
    if not step:
        return [each for each in steps if key != "gpus" or each in TRAINING]
    if step not in steps:
        raise ResourcesError(f"there is no step {step!r}: {near_matches(step, steps)}")
    return [step]


def _cores(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?|\d+m", text) or not float(text.rstrip("m")):
        raise ResourcesError(f"cpu is a number of cores, such as 2 or 500m, not {text!r}")
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _bytes(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(M|G|Mi|Gi)", text)
    if not match or not float(match[1]):
        raise ResourcesError(f"memory is a size, such as 800M or 16Gi, not {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ResourcesError(f"gpu is a whole number, not {text!r}")
    return int(text)
