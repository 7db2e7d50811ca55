"""What each feature of a TFDS builder is in the example contract.

Read from the kinds of the features; a table only for builders whose names tell too little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from tensorflow_datasets.core import features as kinds

from components.ingest.features import served
from components.ingest.layouts import SourceError
from components.ingest.normals import NYU, Camera

# Where the kinds leave a choice, or none, by the builder's name without its configuration.
_NAMED: Mapping[str, Mapping[str, str]] = {
    "div2k": {"image": "lr", "target": "hr"},
    "kitti": {"object_label": "type"},
    "scene_parse150": {"segmentation": "annotation"},
}
_CAMERAS = {"nyu_depth_v2": NYU}
_CLASSES_OF_PIXELS = ("segmentation", "mask", "annotation", "label")
# As VOC and COCO have them inside the sequence of the objects, and FLIC beside the image.
_OF_OBJECTS = {"difficult": "is_difficult", "crowd": "is_crowd", "area": "area"}
_POINTS = ("xcoords", "ycoords")


@dataclass(frozen=True)
class Roles:
    """The names of a builder's features by what they are; empty where it has none.

    Attributes:
      image, label, depth, segmentation, target, video: features of that name.
      objects: the sequence of the objects; `box`, `object_label`, `difficult`, `crowd` and `area`
        are inside it.
      columns, rows: the places of points, in pixels; NaN where one is not marked.
      torso: the box of the person's torso.
      camera: with which the depths were taken; None where that is not known, and depths give no
        normals.
    """

    image: str = ""
    label: str = ""
    objects: str = ""
    box: str = ""
    object_label: str = ""
    difficult: str = ""
    crowd: str = ""
    area: str = ""
    depth: str = ""
    segmentation: str = ""
    target: str = ""
    video: str = ""
    columns: str = ""
    rows: str = ""
    torso: str = ""
    camera: Camera | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the examples serve, the first what they were made for."""
        if self.video:
            return served((*_GIVEN["video"], *_GIVEN["label"])) if self.label else ()
        if not self.image:
            return ()
        given = [names for role, names in _GIVEN.items() if role != "video" and getattr(self, role)]
        found = [name for names in given for name in names]
        return served([*found, "normals/encoded"] if self.depth and self.camera else found)


# What an example has by the role of a builder's feature, what it was made for first.
_GIVEN: Mapping[str, tuple[str, ...]] = {
    "video": ("frames/encoded",),
    "objects": ("objects/bbox", "objects/label"),
    "depth": ("depth/encoded",),
    "target": ("target/encoded",),
    "columns": ("keypoints",),
    "label": ("label",),
    "segmentation": ("segmentation/encoded",),
}


def roles(name: str, info: Any) -> Roles:
    """The roles of a builder's features.

    Args:
      name: the builder's, with or without its configuration and version.
      info: its tfds.core.DatasetInfo.

    Raises:
      SourceError: its features make no example of any task; they are named.
    """
    features = dict(info.features.items())
    given = dict(_NAMED.get(name.partition("/")[0].partition(":")[0], {}))
    supervised = info.supervised_keys or ()
    found = {
        "video": _first(features, _is_video),
        "depth": _first(features, _is_depth),
        "segmentation": _first(features, _is_classes_of_pixels),
        **_objects(features, given),
        **_pose(features),
    }
    found |= {key: value for key, value in given.items() if key in _FIELDS}
    taken = set(found.values())
    images = [key for key, kind in features.items() if _is_photograph(kind) and key not in taken]
    found.setdefault("image", _preferred(images, ("image", *supervised)))
    order = (*supervised, "label")
    labels = [
        key for key, kind in features.items() if _is_label(kind) or _is_name(kind, key, order)
    ]
    found.setdefault("label", _preferred(labels, order))
    made = Roles(**found, camera=_CAMERAS.get(name.partition("/")[0].partition(":")[0]))
    if not made.tasks:
        listed = "; ".join(f"{key}: {kind!r}" for key, kind in features.items())
        raise SourceError(
            f"tfds:{name} has no images with labels, boxes, depths, classes of pixels, points or "
            "targets, and no labelled videos, that could be told by their kinds; its features are "
            f"{listed}"
        )
    return made


_FIELDS = tuple(field.name for field in fields(Roles))


def _first(features: Mapping[str, Any], fits: Any) -> str:
    return next((key for key, kind in features.items() if fits(key, kind)), "")


def _preferred(names: list[str], order: tuple[str, ...]) -> str:
    """The first of the order that is there; else the only one."""
    for name in order:
        if name in names:
            return name
    return names[0] if len(names) == 1 else ""


def _is_photograph(kind: Any) -> bool:
    return (
        isinstance(kind, kinds.Image)
        and not isinstance(kind, kinds.LabeledImage)
        and kind.np_dtype == np.uint8
    )


def _is_label(kind: Any) -> bool:
    return isinstance(kind, kinds.ClassLabel)


def _is_name(kind: Any, key: str, order: tuple[str, ...]) -> bool:
    """LFW names its people by texts; most other texts name files."""
    return isinstance(kind, kinds.Text) and key in order


def _is_video(key: str, kind: Any) -> bool:
    return isinstance(kind, kinds.Video)


def _is_depth(key: str, kind: Any) -> bool:
    is_map = isinstance(kind, kinds.Tensor | kinds.Image) and len(kind.shape) >= 2
    return is_map and "depth" in key and kind.np_dtype != np.uint8


def _is_classes_of_pixels(key: str, kind: Any) -> bool:
    if isinstance(kind, kinds.LabeledImage):
        return True
    is_grey = isinstance(kind, kinds.Image) and kind.shape[-1] == 1 and kind.np_dtype == np.uint8
    return is_grey and any(word in key for word in _CLASSES_OF_PIXELS)


def _objects(features: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """The first sequence that has boxes, and what is inside it."""
    for key, inner in _sequences(features):
        box = _first(inner, lambda _, kind: isinstance(kind, kinds.BBoxFeature))
        if not box:
            continue
        labels = [name for name, kind in inner.items() if isinstance(kind, kinds.ClassLabel)]
        wanted = (given["object_label"],) if "object_label" in given else ("label",)
        return {
            "objects": key,
            "box": box,
            "object_label": _preferred(labels, wanted),
            **{role: name for role, name in _OF_OBJECTS.items() if name in inner},
        }
    return {}


def _pose(features: Mapping[str, Any]) -> dict[str, str]:
    """The places of a person's points, and the torso."""
    if not {*_POINTS} <= {*features}:
        return {}
    torso = _first(features, lambda _, kind: isinstance(kind, kinds.BBoxFeature))
    return dict(zip(("columns", "rows", "torso"), (*_POINTS, torso), strict=True))


def _sequences(features: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, kind in features.items():
        inner = getattr(kind, "feature", None)
        if isinstance(kind, kinds.Sequence) and isinstance(inner, kinds.FeaturesDict):
            yield key, dict(inner.items())
