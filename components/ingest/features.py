"""The features of the example contract as data, and which tasks they serve. Imports nothing heavy.

What each feature holds is the table at the head of `components.ingest.contract`. A new feature is a
row there and a row of `FEATURES`; a kind of data that no task answers yet is a row of `TRUTHS`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from components import tasks

BYTES, INTEGERS, FLOATS = "bytes", "integers", "floats"
BOXES, POINTS, PROPOSALS = "objects/bbox", "keypoints", "proposals"


@dataclass(frozen=True)
class Feature:
    """What the values of a feature are.

    Attributes:
      kind: `BYTES`, `INTEGERS` or `FLOATS`.
      several: whether an example has any number of values, and not one.
      of: of which feature's boxes or points there is one value each.
      is_text: whether the bytes are UTF-8.
      is_place: whether it says where something is in the image, which must then not be turned.
      is_map: whether it is a picture of the image's size that is resized to the nearest pixel: a
        mean of two classes, of two depths on both sides of an edge or of two normals is none that
        the scene has.
      is_input: whether it is a picture beside the image, so that a task which does not look at it
        is not served by such examples.
      may_lack: whether a task that reads it takes examples without it.
    """

    kind: str
    several: bool = False
    of: str = ""
    is_text: bool = False
    is_place: bool = False
    is_map: bool = False
    is_input: bool = False
    may_lack: bool = False


def _of_objects(kind: str, **more: bool) -> Feature:
    return Feature(kind, several=True, of=BOXES, **more)


_MAP = Feature(BYTES, is_place=True, is_map=True)
FEATURES: Mapping[str, Feature] = {
    "image/encoded": Feature(BYTES),
    "image/height": Feature(INTEGERS),
    "image/width": Feature(INTEGERS),
    "image/sha256": Feature(BYTES, is_text=True),
    "image/id": Feature(BYTES, is_text=True),
    "label": Feature(INTEGERS),
    "label/text": Feature(BYTES, is_text=True, may_lack=True),
    BOXES: Feature(FLOATS, several=True, is_place=True),
    "objects/label": _of_objects(INTEGERS),
    "objects/label/text": _of_objects(BYTES, is_text=True, may_lack=True),
    "objects/difficult": _of_objects(INTEGERS, may_lack=True),
    "objects/crowd": _of_objects(INTEGERS, may_lack=True),
    "objects/area": _of_objects(FLOATS, may_lack=True),
    "objects/mask": _of_objects(BYTES, is_place=True, is_map=True),
    PROPOSALS: Feature(FLOATS, several=True, is_place=True, may_lack=True),
    "depth/encoded": _MAP,
    "normals/encoded": _MAP,
    "segmentation/encoded": _MAP,
    "target/encoded": Feature(BYTES),
    "frames/encoded": Feature(BYTES, several=True, is_input=True),
    POINTS: Feature(FLOATS, several=True, is_place=True),
    "keypoints/visible": Feature(INTEGERS, several=True, of=POINTS, may_lack=True),
    "torso": Feature(FLOATS, several=True, is_place=True, may_lack=True),
    "pair/encoded": Feature(BYTES, is_input=True),
    "pair/keypoints": Feature(FLOATS, several=True, is_place=True, may_lack=True),
    "same": Feature(INTEGERS),
    "fold": Feature(INTEGERS, may_lack=True),
    "text": Feature(BYTES, is_text=True),
}
# By what data are for, the features without which they are not. Tasks say their own.
TRUTHS: Mapping[str, tuple[str, ...]] = {
    "classification": ("label",),
    "detection": (BOXES, "objects/label"),
    "segmentation": ("segmentation/encoded",),
    "depth": ("depth/encoded",),
    "normals": ("normals/encoded",),
    "video": ("frames/encoded", "label"),
    "restoration": ("target/encoded",),
    "verification": ("pair/encoded", "same"),
    "pose": (POINTS,),
    "transcription": ("text",),
}


def known_tasks() -> tuple[str, ...]:
    """What examples may be for: the tasks, and what is read though no task answers it yet."""
    return tuple(dict.fromkeys((*tasks.names(), *TRUTHS)))


def needed(task: str) -> tuple[str, ...]:
    """The features without which an example is of no use to one of `known_tasks`."""
    if task not in tasks.names():
        return TRUTHS[task]
    found = tasks.find(task)
    looked_at = (each.feature for each in found.inputs if each.feature in _INPUTS)
    named = dict.fromkeys((*looked_at, *found.features))
    return tuple(name for name in named if not FEATURES[name].may_lack)


def served(*given: Sequence[str]) -> tuple[str, ...]:
    """The tasks that examples serve.

    Args:
      *given: the features that they have, what they were made for first; several where a source can
        be read in several ways.
    """
    found: dict[str, None] = {}
    for features in given:
        places = {name: _places(needed(name), features) for name in known_tasks()}
        fitting = [name for name, place in places.items() if place is not None]
        found |= dict.fromkeys(sorted(fitting, key=lambda name: places[name]))
    return tuple(found)


def _places(wanted: Sequence[str], given: Sequence[str]) -> list[int] | None:
    """Where in `given` the wanted features are; None where examples do not serve."""
    passed_over = _INPUTS & {*given} - {*wanted}
    if passed_over or not {*wanted} <= {*given}:
        return None
    return sorted(map(given.index, wanted))


def names_where(features: Collection[str], flag: str) -> list[str]:
    """Those of the features that have a flag of `Feature`."""
    return [name for name in features if getattr(FEATURES[name], flag)]


_INPUTS = {name for name, feature in FEATURES.items() if feature.is_input}
