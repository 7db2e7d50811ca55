"""TFRecord files of tf.Examples whose features have names of their own."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from google.protobuf.message import DecodeError
from tensorflow_datasets.proto import tf_example_pb2

from components.ingest import regular_files
from components.ingest.contract import DeadLetter, Record, unknown_class
from components.ingest.features import FEATURES, needed
from components.ingest.images import ImageError
from components.ingest.labels import listed_labels
from components.ingest.layouts import DESCRIPTION, SourceError, description, tfrecord_files
from components.ingest.normals import Camera, OfDepths
from components.ingest.readers import records
from components.ingest.readers.records import Damage
from components.ingest.sources import Source

if TYPE_CHECKING:
    from components.ingest.schemas import TfrecordDescription

_PIECE = 100
_GZIP_MAGIC = b"\x1f\x8b"
_LITTLE = 1 << 12  # bytes
_SIDES = "objects/bbox"
_NORMALS = "normals/encoded"
# Of a set of files whose names say how many they are: train.tfrecord-00003-of-00010.
_SHARD = re.compile(r"(.*?)(\d+)-of-(\d+)([\w.-]*)", re.DOTALL)


class TfrecordReader:
    """Reads the files that BASE/dataset.json names, and calls their features as it says.

    A piece is JSON of a file, its first record's number and place, and how many records; of a
    gzipped file, which can only be read from its start, all. Files that are not there, by the names
    of the others, are a piece of the first of them.
    """

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._patterns = dict(source.patterns)
        values = description(source.base, "tfrecord")
        self._names: Mapping[str, str | Sequence[str]] = values.features
        self.labels = values.labels or listed_labels(source.base)
        self.piece_records = _PIECE
        missing = [name for name in needed(source.task) if name not in self._names]
        # Depths give normals where the camera is known and nobody has found them before.
        fits = _NORMALS in missing and "depth/encoded" in self._names
        self._camera = _camera(values) if fits else None
        self._check()
        if self._camera:
            missing.remove(_NORMALS)
        if missing:
            hint = "; of depths and a camera normals are found" if _NORMALS in missing else ""
            raise SourceError(
                f"{os.path.join(self._base, DESCRIPTION)}: features lack {', '.join(missing)}, "
                f"which {source.task} needs{hint}"
            )
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def _check(self) -> None:
        where = os.path.join(self._base, DESCRIPTION)
        for name, theirs in self._names.items():
            if name not in FEATURES:
                raise SourceError(
                    f"{where}: unknown feature {name!r}; there are {', '.join(FEATURES)}"
                )
            is_name = isinstance(theirs, str)
            if not is_name and (name != _SIDES or len(theirs) != 4):
                raise SourceError(
                    f"{where}: {name} must be the name of a feature (objects/bbox also a list of "
                    f"four: those of ymin, xmin, ymax and xmax), not {theirs!r}"
                )
        # Of one class there may be objects, and nothing to choose from.
        least = 2 if "label" in self._names else int("objects/label" in self._names)
        if len(self.labels) < least:
            raise SourceError(
                f'{where}: no names of the classes; give "labels": [...], or a labels.txt'
            )

    def roots(self, split: str) -> list[str]:
        names = self._files(split)
        for name in names:
            _check_file(os.path.join(self._base, name))
        before = list(self._patterns)[: list(self._patterns).index(split)]
        # A set that several splits share is told of once.
        reported = {_set_of(name) for one in before for name in self._files(one)} | {None}
        sets = dict.fromkeys(found for name in names if (found := _set_of(name)) not in reported)
        return [*names, *filter(None, map(self._first_missing, sets))]

    def _files(self, split: str) -> list[str]:
        return tfrecord_files(self._base, self._patterns[split])

    def _there(self, files: _Set) -> dict[int, str]:
        """The files of a set that are there, by number."""
        folder = os.path.dirname(files.start)
        names = (
            os.path.join(folder, name) for name in os.listdir(os.path.join(self._base, folder))
        )
        return {int(_SHARD.fullmatch(name)[2]): name for name in names if _set_of(name) == files}

    def _first_missing(self, files: _Set) -> str | None:
        there = self._there(files)
        # Most count from 0, some from 1.
        first = int(files.count in there)
        number = next(n for n in itertools.count(first) if n not in there)
        if number >= first + files.count:
            return None
        width = len(_SHARD.fullmatch(next(iter(there.values())))[2])
        return f"{files.start}{number:0{width}}-of-{files.of}{files.end}"

    def _lost_with(self, files: _Set) -> int:
        """How many records are lost with what is missing, if all files are as long as one."""
        there = self._there(files)
        length = _length(os.path.join(self._base, there[min(there)]))
        return max(1, length * (files.count - len(there)))

    def pieces(self, root: str) -> Iterator[str]:
        if not os.path.lexists(os.path.join(self._base, root)):
            yield json.dumps([root, None, None, self._lost_with(_set_of(root))])
            return
        with regular_files.opened(os.path.join(self._base, root)) as file:
            if _is_gzipped(file):
                yield json.dumps([root, 0, 0, None])
                return
            for number, start in enumerate(records.starts(file)):
                if number % _PIECE == 0:
                    yield json.dumps([root, number, start, _PIECE])

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        name, number, start, count = json.loads(piece)
        if number is None:
            number_of = _set_of(name).count
            reason = f"not there, of the {number_of} files that the names of the others speak of"
            yield DeadLetter(name, f"{reason}; {_lost_records(count)}", count)
            return
        try:
            with regular_files.opened(os.path.join(self._base, name)) as file:
                if count is None:
                    yield from self._packed(name, file)
                else:
                    file.seek(start)
                    found = itertools.islice(records.read(file), count)
                    yield from self._plain(name, number, found)
        except OSError as error:
            reason = f"cannot be read: {error.strerror or error}"
            yield DeadLetter(f"{name}#{number}", reason, count or 1)

    def _plain(
        self, name: str, first: int, found: Iterator[bytes | Damage]
    ) -> Iterator[Record | DeadLetter]:
        gaps: list[tuple[str, Damage]] = []
        whole = size = 0
        for number, each in enumerate(found, first):
            identifier = f"{name}#{number}"
            if isinstance(each, bytes):
                whole += 1
                size += records.FRAME + len(each)
                yield self._record(identifier, each)
            elif each.gap:
                gaps.append((identifier, each))
            else:
                yield DeadLetter(identifier, f"damaged file: {each.reason}")
        for identifier, gap in gaps:
            # As many as there would be of those beside it.
            yield _lost(identifier, gap.reason, gap.gap * whole / max(size, 1))

    def _packed(self, name: str, file: BinaryIO) -> Iterator[Record | DeadLetter]:
        number = 0
        try:
            for each in records.read_packed(gzip.GzipFile(fileobj=_Slow(file), mode="rb")):
                identifier = f"{name}#{number}"
                if isinstance(each, bytes):
                    yield self._record(identifier, each)
                else:
                    yield DeadLetter(identifier, f"damaged file: {each.reason}")
                number += 1
        except (records.DamagedError, EOFError, OSError, zlib.error) as error:
            left = os.fstat(file.fileno()).st_size - file.tell()
            yield _lost(f"{name}#{number}", str(error), number * left / max(file.tell(), 1))

    def _record(self, identifier: str, serialised: bytes) -> Record | DeadLetter:
        try:
            example = tf_example_pb2.Example.FromString(serialised)
            return Record(identifier, self._features(example.features.feature))
        except DecodeError as error:
            return DeadLetter(identifier, f"no tf.Example: {error}")
        except ImageError as error:
            return DeadLetter(identifier, str(error))

    def _features(self, found: Mapping[str, Any]) -> dict[str, Any]:
        features: dict[str, Any] = {}
        for name, theirs in self._names.items():
            if isinstance(theirs, str):
                values = _values(found, theirs)
                features[name] = values if FEATURES[name].several else _one(values, theirs)
            else:
                sides = [_values(found, each) for each in theirs]
                if len({len(side) for side in sides}) > 1:
                    raise ImageError(f"not as many of each of {', '.join(theirs)}")
                features[name] = [number for box in zip(*sides, strict=True) for number in box]
        if self._camera:
            features[_NORMALS] = OfDepths(features["depth/encoded"], self._camera)
        if "label" in features:
            features["label"] = self._number(features["label"])
            features.setdefault("label/text", self.labels[features["label"]])
        if "objects/label" in features:
            numbers = [self._number(each) for each in features["objects/label"]]
            features["objects/label"] = numbers
            features.setdefault("objects/label/text", [self.labels[each] for each in numbers])
        return features

    def _number(self, value: bytes | int | float) -> int:
        if isinstance(value, bytes):
            name = value.decode("utf-8", "replace")
            if name not in self._numbers:
                raise ImageError(f"unknown label: {name!r}")
            return self._numbers[name]
        if not isinstance(value, int) or not 0 <= value < len(self.labels):
            raise ImageError(unknown_class(value, len(self.labels)))
        return value


def _camera(values: TfrecordDescription) -> Camera | None:
    if values.camera is None:
        return None
    size, focal, centre = (
        tuple(getattr(values.camera, key)) for key in ("size", "focal", "centre")
    )
    return Camera(size, focal, centre)


class _Slow:
    """A file of which gzip takes a little at a time, so that its place tells how far it came."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, _LITTLE) if size >= 0 else _LITTLE)


class _Set(NamedTuple):
    """What the names of a set's files have in common: START, a number, -of-, OF and END."""

    start: str
    of: str
    end: str

    @property
    def count(self) -> int:
        """How many files there should be."""
        return int(self.of)


def _set_of(name: str) -> _Set | None:
    match = _SHARD.fullmatch(name)
    return _Set(match[1], match[3], match[4]) if match else None


def _length(path: str) -> int:
    """How many records a file has, as far as it can be read."""
    length = 0
    damaged = (records.DamagedError, EOFError, OSError, zlib.error)
    with contextlib.suppress(*damaged), regular_files.opened(path) as file:
        is_gzipped = _is_gzipped(file)
        found = records.read_packed(gzip.GzipFile(fileobj=file)) if is_gzipped else None
        for _ in found or records.starts(file):
            length += 1
    return length


def _lost(identifier: str, reason: str, records_lost: float) -> DeadLetter:
    count = max(1, round(records_lost))
    return DeadLetter(identifier, f"damaged file: {reason}; {_lost_records(count)}", count)


def _lost_records(count: int) -> str:
    return f"{f'about {count} records are' if count > 1 else 'one record is'} lost"


def _check_file(path: str) -> None:
    """Whether it has records: of a file without any, nobody knows how many were lost."""
    try:
        with regular_files.opened(path) as file:
            if _is_gzipped(file):
                next(records.read_packed(gzip.GzipFile(fileobj=file)), None)
            elif not records.has_records(file):
                raise SourceError(
                    f"{path}: no record of a TFRecord file can be read in it; which files are "
                    f"read, {DESCRIPTION} says (files)"
                )
    except (records.DamagedError, EOFError, OSError, zlib.error) as error:
        text = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be read: {text}") from error


def _is_gzipped(file: BinaryIO) -> bool:
    magic = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    # The length of a record may begin with the same two bytes.
    return magic == _GZIP_MAGIC and not records.begins(file)


def _values(found: Mapping[str, Any], name: str) -> Sequence[Any]:
    try:
        known = name in found
    except UnicodeEncodeError:  # Half of a character, which JSON may have and no tf.Example has.
        known = False
    if not known:
        raise ImageError(f"no feature {name!r} in the tf.Example")
    feature = found[name]
    return list(getattr(feature, feature.WhichOneof("kind") or "bytes_list").value)


def _one(values: Sequence[Any], name: str) -> Any:
    if len(values) != 1:
        raise ImageError(f"{len(values)} values of {name!r}, one is needed")
    return values[0]
