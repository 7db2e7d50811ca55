"""Data sets that TensorFlow Datasets has prepared."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from components.ingest.contract import DeadLetter, Record
from components.ingest.sources import Source, tfds_splits

# To open a slice takes a tenth of a second, and to skip what lies before it in its file. A video is
# as much as some hundred images.
_PIECE, _VIDEO_PIECE = 1000, 10


class TfdsReader:
    """Reads a prepared builder's folder, images as they are encoded there.

    A piece is a slice as TFDS writes it: train[0:1000].
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.piece_records = _VIDEO_PIECE if source.task == "video" else _PIECE
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
        task = self._source.task
        if task == "video":
            yield "frames/encoded", list(found[roles.video])
        else:
            yield "image/encoded", found[roles.image]
        if task in ("classification", "video"):
            yield from self._label(found[roles.label])
        elif task == "detection":
            yield from self._objects(found[roles.objects])
        elif task == "restoration":
            yield "target/encoded", found[roles.target]
        else:
            yield f"{task}/encoded", found[getattr(roles, task)]

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
        if roles.not_counted:
            yield "objects/difficult", objects[roles.not_counted]


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
    if source.task in ("classification", "video"):
        label = features[roles.label]
        return _class_names(label) if hasattr(label, "num_classes") else _texts(source)
    if source.task == "detection":
        inner = features[roles.objects].feature
        return _class_names(inner[roles.object_label]) if roles.object_label else [roles.objects]
    if source.task == "segmentation" and hasattr(features[roles.segmentation], "num_classes"):
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
