"""Faces: a folder of people, and Labeled Faces in the Wild."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.ingest import images, keypoints, lfw, people
from components.ingest.class_folders import IMAGE_SUFFIXES, with_files
from components.ingest.contract import DeadLetter, Record
from components.ingest.features import needed
from components.ingest.images import ImageError
from components.ingest.labels import in_order
from components.ingest.layouts import description
from components.ingest.readers import files
from components.ingest.sources import Source

_MOST_DIGITS = 9
# Pairs that are made of the people of a list of LFW's, of each kind; and the seed.
_MADE_PAIRS, _SEED = 5000, 0


class PeopleReader:
    """Reads BASE/PERSON/NAME, with a `dataset.json` beside the folders that is about people.

    Of verification a piece is a pair, as JSON; of classification it is PERSON/NAME, of the people
    who are told apart.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._said = description(source.base, "people").people
        names = with_files(Path(source.base), IMAGE_SUFFIXES)
        self._people = people.divided(names, self._said, source.base)
        keypoints.check(source.base)
        self._alone = _alone(source, self._people.alone, self._said.seed)
        self.labels = self._alone.labels if self._alone else []

    def roots(self, split: str) -> list[str]:
        # Pairs are drawn from all people together.
        return self._alone.roots(split) if self._alone else [split]

    def pieces(self, root: str) -> Iterator[str]:
        if self._alone:
            yield from self._alone.pieces(root)
            return
        most, names = self._said.test_pairs, self._people.test
        if root == "train":
            most, names = self._said.train_pairs, self._people.paired
        pictures = people.pictures_of(self._base, names)
        yield from _made(pictures, most, self._said.seed)

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        if self._alone:
            yield self._alone.load(piece)
        else:
            yield _of_made(self._base, json.loads(piece))


class LfwReader:
    """Reads Labeled Faces in the Wild, BASE/NAME/NAME_0001.jpg, by its lists (`ingest.lfw`).

    Of verification a piece is a pair or a line of a list, NAME I J or NAME I OTHER J, as JSON; of
    classification it is NAME/FILE, of the people who are in no pair of the test.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        seen = lfw.in_the_test(source.base)
        names = with_files(Path(source.base), IMAGE_SUFFIXES)
        unseen = [name for name in names if name not in seen]
        keypoints.check(source.base)
        self._alone = _alone(source, unseen, _SEED)
        self.labels = self._alone.labels if self._alone else []

    def roots(self, split: str) -> list[str]:
        return self._alone.roots(split) if self._alone else [split]

    def pieces(self, root: str) -> Iterator[str]:
        if self._alone:
            yield from self._alone.pieces(root)
            return
        names = lfw.people(self._base) if root == "train" else []
        if names:
            pictures = people.pictures_of(self._base, names)
            yield from _made(pictures, _MADE_PAIRS, _SEED)
            return
        for line in lfw.pairs(self._base, root):
            yield json.dumps(dataclasses.asdict(line))

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        if self._alone:
            yield self._alone.load(piece)
            return
        found = json.loads(piece)
        if isinstance(found, list):
            yield _of_made(self._base, found)
            return
        name = " ".join(found["words"])
        try:
            pair = self._pair(found["words"], found["fold"])
        except ImageError as error:
            yield DeadLetter(name, str(error))
            return
        yield _loaded(self._base, pair, name)

    def _pair(self, words: Sequence[str], fold: int) -> people.Pair:
        if len(words) == 3:
            first, second = (words[0], words[1]), (words[0], words[2])
        elif len(words) == 4:
            first, second = (words[0], words[1]), (words[2], words[3])
        else:
            raise ImageError("no pair: NAME I J or NAME I OTHER J is expected")
        return people.Pair(self._face(*first), self._face(*second), len(words) == 3, fold)

    def _face(self, name: str, number: str) -> str:
        if not number.isdecimal() or len(number) > _MOST_DIGITS:
            raise ImageError(f"no pair: {number!r} is no number of an image")
        paths = [
            os.path.join(name, f"{name}_{int(number):04d}{suffix}")
            for suffix in (".jpg", *IMAGE_SUFFIXES)
        ]
        found = (path for path in paths if os.path.exists(os.path.join(self._base, path)))
        return next(found, paths[0])


class _Identification:
    """Reads BASE/PERSON/NAME of some people as classes.

    A root is SPLIT:PERSON, and a piece PERSON/NAME.
    """

    def __init__(self, base: str, names: Sequence[str], seed: int) -> None:
        self._base = base
        self._seed = seed
        self.labels = in_order(names)
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        return [f"{split}:{name}" for name in self.labels]

    def pieces(self, root: str) -> Iterator[str]:
        split, _, name = root.partition(":")
        for pictures in people.pictures_of(self._base, [name]).values():
            tested = people.tested(pictures, self._seed)
            yield from (
                path for path in pictures if split == "all" or (path in tested) == (split == "test")
            )

    def load(self, piece: str) -> Record | DeadLetter:
        name = piece.partition("/")[0]
        features = {"label": self._numbers[name], "label/text": name}
        try:
            features |= _marked(self._base, piece, "image/encoded", "keypoints")
        except ImageError as error:
            return DeadLetter(piece, str(error))
        return Record(piece, features)


def _alone(source: Source, names: Sequence[str], seed: int) -> _Identification | None:
    """Whoever reads single pictures, where the task is about these."""
    if "pair/encoded" in needed(source.task):
        return None
    return _Identification(source.base, names, seed)


def _made(pictures: Mapping[str, Sequence[str]], most: int, seed: int) -> Iterator[str]:
    """Pairs that are made, and each file that is in none because it is no picture, as JSON."""
    shown: dict[str, list[str]] = {}
    for name, paths in pictures.items():
        shown[name] = [path for path in paths if path.lower().endswith(IMAGE_SUFFIXES)]
        yield from (json.dumps([path]) for path in paths if path not in set(shown[name]))
    for pair in people.pairs(shown, most, seed):
        yield json.dumps(dataclasses.astuple(pair))


def _of_made(base: str, found: Sequence[Any]) -> Record | DeadLetter:
    """What a piece of `_made` names."""
    if len(found) == 1:
        return DeadLetter(found[0], f"in no pair: no {', '.join(IMAGE_SUFFIXES)} file")
    return _loaded(base, people.Pair(*found))


def _loaded(base: str, pair: people.Pair, name: str = "") -> Record | DeadLetter:
    """Both pictures of a pair."""
    name = name or f"{pair.first} {pair.second}"
    features: dict[str, Any] = {"same": int(pair.same), "fold": pair.fold}
    try:
        features |= _marked(base, pair.first, "image/encoded", "keypoints")
        features |= _marked(base, pair.second, "pair/encoded", "pair/keypoints")
    except ImageError as error:
        return DeadLetter(name, str(error))
    return Record(name, features)


def _marked(base: str, path: str, image: str, points: str) -> dict[str, Any]:
    """A file, and the points that are marked in it, by the names of features.

    Raises:
      ImageError: it cannot be read, or its points cannot.
    """
    content = files.content(base, path)
    if not keypoints.is_there(base):
        return {image: content}
    found = keypoints.of(base, path, images.opened(content))
    return {image: content} | ({} if found is None else {points: found})
