"""Data sets that TensorFlow Datasets has prepared."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from components.ingest.contract import DeadLetter, Record
from components.ingest.sources import Source

# To open a slice takes a tenth of a second, and to skip what lies before it in its file.
_PIECE = 1000


class TfdsReader:
    """Reads images and labels of a prepared builder's folder.

    A piece is a slice as TFDS writes it: train[0:1000].
    """

    piece_records = _PIECE

    def __init__(self, source: Source) -> None:
        self._folder = source.base
        # The patterns are made by sources.prepare: "*-SPLIT.*".
        self._splits = {
            split: pattern.removeprefix("*-").removesuffix(".*")
            for split, pattern in source.patterns
        }
        self.labels = list(_builder(self._folder).info.features["label"].names)

    def roots(self, split: str) -> list[str]:
        return [self._splits[split]]

    def pieces(self, root: str) -> Iterator[str]:
        count = _builder(self._folder).info.splits[root].num_examples
        for start in range(0, count, _PIECE):
            yield f"{root}[{start}:{min(start + _PIECE, count)}]"

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        import tensorflow_datasets as tfds

        dataset = _builder(self._folder).as_dataset(
            split=piece, decoders={"image": tfds.decode.SkipDecoding()}, shuffle_files=False
        )
        for index, found in enumerate(tfds.as_numpy(dataset)):
            label = int(found["label"])
            features = {"image/encoded": bytes(found["image"]), "label": label}
            if label >= 0:
                features["label/text"] = self.labels[label]
            yield Record(f"{piece}#{index}", features)


@functools.lru_cache(maxsize=1)
def _builder(folder: str):
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(folder)
