"""The figures that papers publish, kept as tables.

`benchmarks/*.csv` has one row a figure: id, paper, table, model, data, split, protocol, metric,
value, unit, note, verified. `data` is the name of a recipe's data set (that of TFDS where it has
one), `metric` a key of `components.judge.results.METRICS`; `protocol` one of
`components.judge.protocols` ("7 x 144-crop": the mean of 7 models by that protocol), "other", or
empty for what is counted of a network (split "none"). `verified` says whether the value was seen in
a public copy of where it is from, the paper or its authors' page or code, or in a later paper that
quotes it, which the note names: one of `VERIFIED`. Where it was a reader's copy of the paper's
table, the note says so; where it "differs", how.
"""

import csv
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from components.settings import near_matches

VERIFIED = ("yes", "no", "differs")


@dataclass(frozen=True)
class Benchmark:
    """One published figure; `value` is in `unit`."""

    id: str
    paper: str
    table: str
    model: str
    data: str
    split: str
    protocol: str
    metric: str
    value: float
    unit: str
    note: str
    verified: str


@functools.cache
def all_benchmarks() -> dict[str, Benchmark]:
    """Every published figure by its id, in the order of the tables.

    Raises:
      ValueError: two rows of the tables share an id, or a row does not say whether it is verified.
    """
    rows: dict[str, Benchmark] = {}
    tables = resources.files(__package__) / "benchmarks"
    for table in sorted(tables.iterdir(), key=lambda entry: entry.name):
        if not table.name.endswith(".csv"):
            continue
        for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
            if row["id"] in rows:
                raise ValueError(f"{table.name}: benchmark {row['id']!r} is there twice")
            if row["verified"] not in VERIFIED:
                raise ValueError(
                    f"{table.name}: {row['id']!r} does not say whether it is verified, one of "
                    f"{VERIFIED}, but {row['verified']!r}"
                )
            rows[row["id"]] = Benchmark(**{**row, "value": float(row["value"])})
    return rows


def find(ids: Iterable[str]) -> list[Benchmark]:
    """The published figures with these ids, in the order asked for.

    Raises:
      KeyError: an id that is in no table; the near matches are named.
    """
    known = all_benchmarks()
    return [known[name] if name in known else _unknown(name, known) for name in ids]


def _unknown(name: str, known: Iterable[str]) -> Benchmark:
    raise KeyError(f"unknown benchmark {name!r}: {near_matches(name, known)}")
