"""From any source to shards of tf.Examples, on any Beam runner.

    roots -> pieces -> keyed by their hash to shards -> GroupByKey -> load, check, encode, write

What is grouped are small texts that name files or ranges of records; no image passes through a
shuffle, so that a process holds one image at a time, however many there are. A shard is written by
one call, under a temporary name until it is whole: a call that a runner repeats replaces what the
first left. The order of a shard is that of the hash of the texts, so that equal input gives equal
files.

Besides `Split-NAME/data_tfrecord-*.gz` each shard leaves, in files of its own:

    facts/         a line of JSON an example: id, split, label, sha256, bytes, height, width,
                   brightness (mean grey level), likeness (perceptual hash)
    dead_letters/  a line of JSON an input that gives no example: id, reason, count (of
                   records that are lost with it, as far as that can be known)
    counts/        how many of each, as JSON
    originals/     of each kind of image that was stored otherwise than found, an example with the
                   file as found in `image/original`: what the canary asks a served model about

Nothing here imports TensorFlow: a worker would start three times as slowly.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from components import progress
from components.globs import matching
from components.ingest import images, likeness, tfrecord
from components.ingest.contract import (
    DeadLetter,
    Encoding,
    Record,
    as_example,
    checked,
    readable,
    unknown_class,
)
from components.ingest.images import ImageError
from components.ingest.readers import Reader

STAGE = "ImageExampleGen"
# Unsplit data: four fifths to train, one fifth to test, told apart by the hash of the content, so
# that equal files never lie on both sides and more data moves no image across.
UNSPLIT = "all"
UNFINISHED = "unfinished"
CONVERTED = "converted: "  # and from what, in the counts
_TRAIN_BUCKETS, _BUCKETS = 4, 5
# About 200 MB of photographs, and a few MB of thumbnails.
SHARD_RECORDS = 2000
_CHUNK = 1000
# Pieces travel many in one value. A file's name may hold anything but this.
_BETWEEN = b"\0"
# A shard keeps so many originals of a kind, and of large ones, in bytes, the first alone.
_ORIGINALS, _LARGE_ORIGINAL = 4, 1 << 20
_NOT_COUNTED = 255  # of a pixel without a class, as VOC has it


class Ingest(beam.PTransform):
    """Reads one split of a source and writes it; applied to a pipeline.

    Its output is a PCollection of the shards' names.
    """

    def __init__(
        self,
        reader: Reader,
        split: str,
        encoding: Encoding,
        uri: str,
        shard_records: int = SHARD_RECORDS,
    ) -> None:
        """Makes the transform.

        Args:
          reader: of the source.
          split: `train`, `test`, or `all`, which is split by content.
          encoding: how images are stored.
          uri: folder of the artifact.
          shard_records: how many records a file holds, about.
        """
        super().__init__()
        self._reader = reader
        self._split = split
        self._shard_pieces = shard_records / reader.piece_records
        self._write = _WriteShard(reader, split, encoding, uri)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return (
            pipeline
            | "Roots" >> beam.Create(self._reader.roots(self._split))
            | "SpreadRoots" >> beam.Reshuffle()
            | "List" >> beam.ParDo(_List(self._reader))
            | "Gather" >> beam.GroupByKey()
            | "Deal" >> beam.ParDo(_Deal(self._shard_pieces))
            | "Shuffle" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(self._write)
        )


class _List(beam.DoFn):
    """A root to its pieces, many in one value, all under one key."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def process(self, root: str) -> Iterator[tuple[int, bytes]]:
        chunk: list[bytes] = []
        for piece in self._reader.pieces(root):
            chunk.append(piece.encode("utf-8", "surrogateescape"))
            if len(chunk) == _CHUNK:
                yield 0, _BETWEEN.join(chunk)
                chunk.clear()
        if chunk:
            yield 0, _BETWEEN.join(chunk)


class _Deal(beam.DoFn):
    """All pieces, by shard.

    They come together here because only who has counted them knows how many shards there are.
    """

    def __init__(self, shard_pieces: float) -> None:
        self._shard_pieces = shard_pieces

    def process(
        self, keyed: tuple[int, Iterable[bytes]]
    ) -> Iterator[tuple[tuple[int, int], bytes]]:
        _, chunks = keyed
        count = sum(chunk.count(_BETWEEN) + 1 for chunk in chunks)
        shards = math.ceil(count / self._shard_pieces)
        # Of an odd number one process would write the last while the other waits.
        shards += shards > 1 and shards % 2
        for chunk in chunks:
            dealt = defaultdict(list)
            for piece in chunk.split(_BETWEEN):
                dealt[_place(piece) * shards >> 64].append(piece)
            for shard, pieces in dealt.items():
                yield (shard, shards), _BETWEEN.join(pieces)


def _place(piece: bytes) -> int:
    """Where a piece comes among all, in 64 bits."""
    return int.from_bytes(hashlib.blake2b(piece, digest_size=8).digest(), "big")


def _classes(features: Mapping[str, Any], names: Sequence[str]) -> list[int] | None:
    """The classes of the objects or pixels in an image, ascending; None where the label is all.

    Raises:
      ImageError: pixels of a class that has no name.
    """
    if "objects/label" in features:
        return sorted(set(np.ravel(features["objects/label"]).tolist()))
    if "segmentation/encoded" not in features or "label" in features:
        return None
    numbers = np.unique(images.opened(features["segmentation/encoded"]))
    classes = [int(number) for number in numbers if number != _NOT_COUNTED]
    if names and classes and classes[-1] >= len(names):
        raise ImageError(unknown_class(classes[-1], len(names)))
    return classes


@dataclass
class _Shard:
    """What one shard has come to so far."""

    facts: list[str] = field(default_factory=list)
    dead_letters: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    originals: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))


class _WriteShard(beam.DoFn):
    """The pieces of a shard to its files."""

    def __init__(self, reader: Reader, split: str, encoding: Encoding, uri: str) -> None:
        self._reader = reader
        self._split = split
        self._encoding = encoding
        self._uri = uri

    def process(self, keyed: tuple[tuple[int, int], Iterable[bytes]]) -> Iterator[str]:
        (number, of), chunks = keyed
        pieces = [piece for chunk in chunks for piece in chunk.split(_BETWEEN)]
        pieces.sort(key=lambda piece: (_place(piece), piece))
        name = f"{number:05d}-of-{of:05d}"
        shard = _Shard()
        with contextlib.ExitStack() as stack:
            files = {
                split: stack.enter_context(self._examples(split, name))
                for split in (("train", "test") if self._split == UNSPLIT else (self._split,))
            }
            for piece in pieces:
                for found in self._reader.load(piece.decode("utf-8", "surrogateescape")):
                    self._add(found, shard, files)
        own = f"{self._split}-{name}"
        _write_text(self._uri, f"facts/{own}.jsonl", shard.facts)
        if shard.dead_letters:
            _write_text(self._uri, f"dead_letters/{own}.jsonl", shard.dead_letters)
        if shard.originals:
            with _made_whole(self._uri, f"originals/{own}.gz") as file:
                writer = tfrecord.Writer(file)
                for kind in sorted(shard.originals):
                    for example in shard.originals[kind]:
                        writer.write(example)
                writer.finish()
        _write_text(self._uri, f"counts/{own}.json", [json.dumps(shard.counts)])
        self._tell(shard.counts, of)
        yield own

    @contextlib.contextmanager
    def _examples(self, split: str, name: str) -> Iterator[tfrecord.Writer]:
        with _made_whole(self._uri, f"Split-{split}/data_tfrecord-{name}.gz") as file:
            writer = tfrecord.Writer(file)
            yield writer
            writer.finish()

    def _add(
        self, found: Record | DeadLetter, shard: _Shard, files: Mapping[str, tfrecord.Writer]
    ) -> None:
        counts = shard.counts
        lost = found.count if isinstance(found, DeadLetter) else 1
        counts["read"] += lost
        try:
            if isinstance(found, DeadLetter):
                raise ImageError(found.reason)
            features, decoded = checked(found, self._encoding)
            classes = _classes(features, self._reader.labels)
        except ImageError as error:
            letter = {"id": readable(found.identifier), "reason": readable(str(error))}
            shard.dead_letters.append(json.dumps({**letter, "count": lost}))
            counts["dead_letters"] += lost
            counts[f"dead letter: {reason_class(str(error))}"] += lost
            return
        sha256, encoded = features["image/sha256"], features["image/encoded"]
        split = split_of(sha256.encode()) if self._split == UNSPLIT else self._split
        content = as_example(features).SerializeToString(deterministic=True)
        files[split].write(content)
        looks, brightness = likeness.look(_seen(features, decoded))
        fact = {
            "id": features["image/id"],
            "split": split,
            "label": found.features.get("label"),
            "classes": classes,
            "sha256": sha256,
            "bytes": len(encoded),
            "height": features["image/height"],
            "width": features["image/width"],
            "brightness": round(brightness, 2),
            "likeness": looks,
        }
        shard.facts.append(json.dumps(fact))
        counts[split] += 1
        counts["bytes"] += len(content)
        if decoded.converted:
            counts[f"{CONVERTED}{decoded.converted}"] += 1
        given = found.features.get("image/encoded")
        as_found = isinstance(given, bytes) and given == encoded
        counts["re-encoded"] += not as_found
        # Of a face that was aligned a model is asked about the crop.
        if isinstance(given, bytes) and not as_found and self._encoding.align is None:
            kept = shard.originals[kind := decoded.converted or "re-encoded"]
            if not kept or (len(kept) < _ORIGINALS and len(given) < _LARGE_ORIGINAL):
                kept.append(_with_original(features, given, kind))

    def _tell(self, counts: Mapping[str, int], of: int) -> None:
        for name, count in counts.items():
            Metrics.counter(STAGE, name).inc(count)
        done = len(matching(f"{self._uri}/counts", f"{self._split}-*.json"))
        progress.report(STAGE, done, of, f"{self._split}: {done} of {of} files")


def _seen(features: Mapping[str, Any], decoded: images.Decoded) -> np.ndarray:
    """What an example looks like, grey: of a pair both images, one above the other.

    Pairs that share one image are not alike.
    """
    image = decoded.image
    grey = np.asarray(image if image.mode == "L" else image.convert("L"))
    if "pair/encoded" not in features:
        return grey
    other = images.opened(features["pair/encoded"]).convert("L")
    return np.concatenate([grey, np.asarray(other.resize(image.size))])


def _with_original(features: Mapping[str, Any], original: bytes, kind: str) -> bytes:
    """The serialised example, with the file that it was made of."""
    example = as_example(features)
    for name, value in (("original", original), ("converted", kind.encode())):
        example.features.feature[f"image/{name}"].bytes_list.value.append(value)
    return example.SerializeToString(deterministic=True)


def split_of(sha256: bytes) -> str:
    """The split of an image of unsplit data, by the hash of its content (hexadecimal)."""
    bucket = int(hashlib.sha256(sha256).hexdigest(), 16) % _BUCKETS
    return "train" if bucket < _TRAIN_BUCKETS else "test"


def reason_class(reason: str) -> str:
    """What reasons of one kind have in common: the words before the colon, without numbers."""
    return re.sub(r"\d[\d,.]*", "N", reason.partition(":")[0])


@contextlib.contextmanager
def _made_whole(uri: str, name: str) -> Iterator[Any]:
    """A file that has its name only when all is written."""
    # In a folder of its own: whoever reads all files of a split must not find a part of one.
    temporary = f"{uri}/{UNFINISHED}/{uuid.uuid4().hex}"
    with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        yield file
    _make_folder(f"{uri}/{name}".rpartition("/")[0])
    FileSystems.rename([temporary], [f"{uri}/{name}"])


def _make_folder(path: str) -> None:
    # Another process may make it at the same time. A bucket has no folders that could exist.
    with contextlib.suppress(OSError):
        FileSystems.mkdirs(path)


def _write_text(uri: str, name: str, lines: Iterable[str]) -> None:
    with _made_whole(uri, name) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def total_counts(uri: str) -> Counter[str]:
    """What all shards of an artifact have counted together.

    `read` is what the readers gave: as many as `train`, `test` and `dead_letters` together. A dead
    letter of several records counts as so many.

    Raises:
      ValueError: not all shards of a split are there.
    """
    total: Counter[str] = Counter()
    shards: Counter[tuple[str, int]] = Counter()
    for path in matching(f"{uri}/counts", "*.json"):
        split, _, rest = path.rpartition("/")[2].partition("-")
        shards[split, int(rest.removesuffix(".json").rpartition("-")[2])] += 1
        with FileSystems.open(path) as file:
            total.update(json.loads(file.read()))
    for (split, of), count in shards.items():
        if count != of:
            raise ValueError(f"{uri}: {count} of {of} shards of {split} were written")
    return total
