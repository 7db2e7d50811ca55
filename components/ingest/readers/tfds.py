"""Data sets that TensorFlow Datasets has prepared."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from components.ingest import images
from components.ingest.contract import DeadLetter, Record
from components.ingest.features import needed
from components.ingest.normals import OfDepths
from components.ingest.sources import Source, tfds_splits

if TYPE_CHECKING:
    from components.ingest.tfds_roles import Roles

# To open a slice takes a tenth of a second, and to skip what lies before it in its file. A video is
# as much as some hundred images.
_PIECE, _VIDEO_PIECE = 1000, 10
_SEEN = 2  # of `keypoints/visible`


class TfdsReader:
    """Reads a prepared builder's folder, images as they are encoded there.

    A piece is a slice as TFDS writes it: train[0:1000].
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._needed = needed(source.task)
        self.piece_records = _VIDEO_PIECE if "frames/encoded" in self._needed else _PIECE
        self.labels = _labels(source)
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        splits = tfds_splits(self._source.name, _builder(self._source.base).info.splits)
        return list(splits[split])

    def pieces(self, root: str) -> Iterator[str]:
        count = _builder(self._source.base).info.splits[root].num_examples
        for start in range(0, count, self.piece_records):
            yield f"{root}[{start}:{min(start + self.piece_records, count)}]"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        import tensorflow as tf

        split, _, rest = piece.partition("[")
        index, stop = map(int, rest.removesuffix("]").split(":"))
        try:
            for found in _elements(self._source, piece):
                yield Record(f"{split}#{index}", dict(self._features(found)))
                index += 1
        except tf.errors.OpError as error:
            # What TFDS has prepared is read in order, and not past what is damaged.
            reason = f"damaged file: {error.message}; {stop - index} records are lost"
            yield DeadLetter(f"{split}#{index}", reason, stop - index)

    def _features(self, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        roles = _roles(self._source)
        if "frames/encoded" in self._needed:
            yield "frames/encoded", list(found[roles.video])
        else:
            yield "image/encoded", found[roles.image]
        if "label" in self._needed:
            yield from self._label(found[roles.label])
        if {"objects/bbox", "objects/label"} & {*self._needed}:
            yield from self._objects(found[roles.objects])
        if "keypoints" in self._needed:
            yield from _pose(roles, found)
        for role in ("target", "depth", "segmentation"):
            if f"{role}/encoded" in self._needed:
                yield f"{role}/encoded", found[getattr(roles, role)]
        if "normals/encoded" in self._needed:
            yield "normals/encoded", OfDepths(found[roles.depth], roles.camera)

    def _label(self, value: Any) -> Iterator[tuple[str, Any]]:
        label = self._numbers[value.decode()] if isinstance(value, bytes) else int(value)
        yield "label", label
        if label >= 0:
            yield "label/text", self.labels[label]

    def _objects(self, objects: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        roles = _roles(self._source)
        boxes = objects[roles.box]
        labels = objects[roles.object_label] if roles.object_label else [0] * len(boxes)
        yield "objects/bbox", boxes.reshape(-1)
        yield "objects/label", labels
        yield "objects/label/text", [self.labels[each] if each >= 0 else "" for each in labels]
        for name in ("difficult", "crowd", "area"):
            if theirs := getattr(roles, name):
                yield f"objects/{name}", objects[theirs]


def _pose(roles: Roles, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The points, those that are not marked at 0, 0, and the torso where it is known."""
    width, height = images.size(found[roles.image])
    points = np.stack([found[roles.rows] / height, found[roles.columns] / width], axis=-1)
    marked = np.isfinite(points).all(axis=-1)
    yield "keypoints", np.where(marked[:, None], points, 0.0).reshape(-1)
    yield "keypoints/visible", np.where(marked, _SEEN, 0)
    if roles.torso:
        yield "torso", found[roles.torso]


@functools.lru_cache(maxsize=1)
def _builder(folder: str) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(folder)


@functools.lru_cache(maxsize=1)
def _roles(source: Source) -> Any:
    from components.ingest import tfds_roles

    return tfds_roles.roles(source.name, _builder(source.base).info)


def _elements(source: Source, piece: str) -> Iterator[Mapping[str, Any]]:
    import tensorflow_datasets as tfds

    roles = _roles(source)
    still_encoded = [roles.image, roles.segmentation, roles.target, roles.video]
    decoders = {name: tfds.decode.SkipDecoding() for name in still_encoded if name}
    dataset = _builder(source.base).as_dataset(split=piece, decoders=decoders, shuffle_files=False)
    return iter(tfds.as_numpy(dataset))


def _labels(source: Source) -> list[str]:
    """The class names, in the order of TFDS: published numbers keep their meaning."""
    roles = _roles(source)
    features = _builder(source.base).info.features
    wanted = needed(source.task)
    if "label" in wanted:
        label = features[roles.label]
        return _class_names(label) if hasattr(label, "num_classes") else _texts(source)
    if "objects/label" in wanted:
        inner = features[roles.objects].feature
        return _class_names(inner[roles.object_label]) if roles.object_label else [roles.objects]
    if "segmentation/encoded" in wanted and hasattr(features[roles.segmentation], "num_classes"):
        return _class_names(features[roles.segmentation])
    return []


def _class_names(feature: Any) -> list[str]:
    # Where the builder knows only how many there are, the names are the numbers.
    return list(feature.names or map(str, range(feature.num_classes or 0)))


@functools.lru_cache(maxsize=1)
def _texts(source: Source) -> list[str]:
    """The labels of a builder that has them as texts: read once, without the images."""
    import tensorflow_datasets as tfds

    name = _roles(source).label
    only = tfds.decode.PartialDecoding(features={name})
    builder = _builder(source.base)
    splits = [
        split for names in tfds_splits(source.name, builder.info.splits).values() for split in names
    ]
    found = {
        element[name].decode()
        for split in splits
        for element in tfds.as_numpy(builder.as_dataset(split=split, decoders=only))
    }
    return sorted(found)
