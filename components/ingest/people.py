"""A folder of people: who is for training and who for the test, and the pairs that are made.

People of the test are never seen in training: identification learns to tell others apart, and
pairs of the test are of people of the test alone. All that is drawn depends on the seed and on the
names of people and files. Imports nothing heavy.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from components.ingest.regular_files import SourceError
from components.ingest.walk import is_folder, walk
from components.settings import near_matches

# As Labeled Faces in the Wild has them.
FOLDS = 10
# Of a person's pictures, how many are tested by identification: one of so many.
_ONE_OF = 5
_LEAST = 2


@dataclass(frozen=True)
class Pair:
    """Two pictures.

    Attributes:
      first, second: their paths below the folder.
      same: whether they are of one person.
      fold: of a cross-validation, from 0.
    """

    first: str
    second: str
    same: bool
    fold: int


def set_apart(names: Sequence[str], chosen: Sequence[str] | float, seed: int) -> list[str]:
    """Those who are set apart from the others, sorted.

    Args:
      names: of all people.
      chosen: their names, or the share of all, who are then drawn.
      seed: of the draw.

    Raises:
      SourceError: a name that is nobody's, or fewer than two people on a side.
    """
    if isinstance(chosen, float):
        number = min(max(round(chosen * len(names)), _LEAST), len(names))
        drawn = sorted(names, key=lambda name: _rank(seed, name))[:number]
    else:
        for name in chosen:
            if name not in names:
                raise SourceError(f"nobody is called {name!r}: {near_matches(name, names)}")
        drawn = list(chosen)
    for side, number in (("set apart", len(drawn)), ("left", len(names) - len(drawn))):
        if number < _LEAST:
            raise SourceError(f"{number} people {side} of {len(names)}; needed are two")
    return sorted(drawn)


def tested(pictures: Sequence[str], seed: int) -> set[str]:
    """Of one person's pictures those that identification is tested on: a fifth of them, drawn.

    Of two or more pictures one at least is on either side; a single one is learnt.
    """
    number = max(round(len(pictures) / _ONE_OF), 1) if len(pictures) > 1 else 0
    return set(sorted(pictures, key=lambda path: _rank(seed, path))[:number])


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).hexdigest()


def pictures_of(base: str, names: Iterable[str]) -> dict[str, list[str]]:
    """The paths of each person's files below a folder, sorted; people without any are left out.

    Args:
      base: the folder.
      names: of folders in it.
    """
    found = {
        name: [
            f"{name}/{path}"
            for path, entry in walk(os.path.join(base, name))
            if not is_folder(entry)
        ]
        for name in names
    }
    return {name: sorted(paths) for name, paths in found.items() if paths}


def pairs(pictures: Mapping[str, Sequence[str]], most: int, seed: int) -> list[Pair]:
    """Pairs of one person and, as many, of two; no pair of pictures twice.

    Of each kind every pair of pictures is as likely as any other. Both kinds are dealt evenly to
    the folds.

    Args:
      pictures: paths by person.
      most: how many pairs of each kind at most; fewer where there are fewer.
      seed: of the draw.

    Raises:
      SourceError: nobody has two pictures, or there is one person only.
    """
    of_each = [sorted(pictures[name]) for name in sorted(pictures) if pictures[name]]
    counts = [len(each) for each in of_each]
    every = sum(counts)
    of_one = sum(count * (count - 1) // 2 for count in counts)
    of_two = every * (every - 1) // 2 - of_one
    if not of_one or not of_two:
        why = "nobody has two pictures" if of_two else "there is one person only"
        raise SourceError(f"{why} of {every} pictures of {len(of_each)} people: no pairs to make")
    number = min(most, of_one, of_two)
    draw = random.Random(f"pairs:{seed}")
    same = _of_one_person(of_each, number, draw)
    different = _of_two_people(of_each, number, of_two, draw)
    found = []
    for kind, drawn in ((True, same), (False, different)):
        draw.shuffle(drawn)
        found += [Pair(*two, kind, place % FOLDS) for place, two in enumerate(drawn)]
    return found


def _of_one_person(
    of_each: Sequence[Sequence[str]], number: int, draw: random.Random
) -> list[tuple[str, str]]:
    """So many of all pairs, which are numbered person by person."""
    sums = list(itertools.accumulate(len(each) * (len(each) - 1) // 2 for each in of_each))
    found = []
    for place in draw.sample(range(sums[-1]), number):
        person = bisect.bisect_right(sums, place)
        place -= sums[person - 1] if person else 0
        # Of a person the pairs (0, 1), (0, 2), (1, 2), (0, 3), ...
        second = (1 + isqrt(1 + 8 * place)) // 2
        first = place - second * (second - 1) // 2
        found.append((of_each[person][first], of_each[person][second]))
    return found


def _of_two_people(
    of_each: Sequence[Sequence[str]], number: int, there: int, draw: random.Random
) -> list[tuple[str, str]]:
    """So many of the pairs that are there."""
    if 2 * number > there:
        two_people = itertools.combinations(of_each, 2)
        all_of_them = [pair for two in two_people for pair in itertools.product(*two)]
        return draw.sample(all_of_them, number)
    flat = [path for each in of_each for path in each]
    starts = [0, *itertools.accumulate(map(len, of_each))]
    # How many pairs have one picture of the person, and one of somebody else.
    weights = list(itertools.accumulate(len(each) * (len(flat) - len(each)) for each in of_each))
    found: set[tuple[int, int]] = set()
    drawn = []
    while len(drawn) < number:
        person = bisect.bisect_right(weights, draw.randrange(weights[-1]))
        own = len(of_each[person])
        first = starts[person] + draw.randrange(own)
        second = draw.randrange(len(flat) - own)
        second += own if second >= starts[person] else 0
        pair = (min(first, second), max(first, second))
        if pair not in found:
            found.add(pair)
            drawn.append((flat[pair[0]], flat[pair[1]]))
    return drawn


@dataclass(frozen=True)
class Groups:
    """Who is for what, sorted.

    Attributes:
      alone: those whom identification tells apart.
      paired: those of whose pictures the pairs of the training are made.
      test: those of the test, nobody of whom is among the others.
    """

    alone: list[str]
    paired: list[str]
    test: list[str]


def divided(names: Sequence[str], said: Any, where: str) -> Groups:
    """The people of a folder by what they are for.

    Args:
      names: of all people.
      said: `test`, `paired` and `seed`, see `components.ingest.schemas.People`.
      where: the folder, for the message.

    Raises:
      SourceError: as `set_apart`.
    """
    try:
        test = set_apart(names, said.test, said.seed)
        others = sorted({*names} - {*test})
        if said.paired is None:
            return Groups(others, others, test)
        paired = set_apart(others, said.paired, said.seed)
    except SourceError as error:
        raise SourceError(f"{where}: {error}") from error
    return Groups(sorted({*others} - {*paired}), paired, test)
