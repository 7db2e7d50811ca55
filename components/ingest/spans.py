"""Spans: data that arrives in a folder a number or a day, and in versions of it.

The names are those of TFX's ExampleGens, whose driver fills them in again when the pipeline runs
(`tfx.components.example_gen.utils`); here they are read early, so that a wrong one is refused
before anything starts. Imports nothing heavy.
"""

from __future__ import annotations

import datetime
import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.globs import escape
from components.ingest.layouts import SourceError

_SPEC = re.compile(r"\{([A-Za-z]+)(?::(\d+))?\}")
_DATE = {"YYYY": r"\d{4}", "MM": r"\d{2}", "DD": r"\d{2}"}
_NUMBERS = ("SPAN", "VERSION")
_EPOCH = datetime.date(1970, 1, 1)
_SHOWN = 5


class SpanError(SourceError):
    """A pattern of spans that cannot be used; the text says what was looked for and where."""


@dataclass(frozen=True)
class Span:
    """One span in its newest version.

    Attributes:
      number: as the pattern's {SPAN} has it, or the day's number since 1970.
      version: as {VERSION} has it, None where the pattern has none.
      folder: where its data are.
    """

    number: int
    version: int | None
    folder: str


def is_pattern(dataset: str) -> bool:
    """Whether a path has names in braces, such as `photos/span-{SPAN}`, and is no folder itself."""
    return bool(_SPEC.search(dataset)) and not os.path.isdir(os.path.expanduser(dataset))


def check(pattern: str) -> None:
    """Checks the names in braces.

    Raises:
      SpanError: unknown names, too many of them or too few.
    """
    names = [name for name, _ in _SPEC.findall(pattern)]
    for name in names:
        if name not in (*_NUMBERS, *_DATE):
            raise SpanError(
                f"{pattern}: {{{name}}} is unknown; there are {{SPAN}}, {{YYYY}}/{{MM}}/{{DD}} "
                "and, beside either, {VERSION}"
            )
        if names.count(name) > 1:
            raise SpanError(f"{pattern}: {{{name}}} may stand there once")
    dates = [name for name in names if name in _DATE]
    if dates and len(dates) < len(_DATE):
        raise SpanError(f"{pattern}: a day takes all of {{YYYY}}, {{MM}} and {{DD}}")
    if bool(dates) == ("SPAN" in names):
        raise SpanError(f"{pattern}: needs either {{SPAN}}, or {{YYYY}}, {{MM}} and {{DD}}")


def divided(pattern: str) -> tuple[str, str]:
    """The folder above the first name in braces, and the rest of the pattern below it."""
    pattern = pattern.rstrip("/")
    place = pattern.rfind("/", 0, _SPEC.search(pattern).start())
    return pattern[:place] if place > 0 else pattern[: place + 1] or ".", pattern[place + 1 :]


def find(pattern: str) -> list[Span]:
    """The spans of a pattern, the oldest first, each in its newest version.

    Args:
      pattern: a path of this machine or a URI that TensorFlow can list.

    Raises:
      SpanError: a wrong pattern, or no folder matches it.
    """
    check(pattern)
    pattern = pattern.rstrip("/")
    wildcards = "*".join(map(escape, _SPEC.sub("\0", pattern).split("\0")))
    expression = re.compile(_expression(pattern))
    newest: dict[int, Span] = {}
    for folder in _folders(wildcards):
        if (match := expression.fullmatch(folder)) and (span := _span(match)):
            known = newest.get(span.number)
            if known is None or (known.version or 0) < (span.version or 0):
                newest[span.number] = span
    if not newest:
        raise SpanError(_nothing(pattern, _folders(wildcards)))
    return [newest[number] for number in sorted(newest)]


def rolling(spans: Sequence[Span], window: int) -> list[Span]:
    """The spans numbered from `window - 1` below the newest on, the newest first.

    As TFX's RollingRange has it: of the spans 1, 2 and 5, a window of 4 takes 5 and 2.
    """
    newest = max(span.number for span in spans)
    inside = [span for span in spans if span.number > newest - window]
    return sorted(inside, key=lambda span: -span.number)


def _expression(pattern: str) -> str:
    parts, end = [], 0
    for spec in _SPEC.finditer(pattern):
        name, width = spec.groups()
        # TFX writes a number without a width back without zeros, and would not find the folder.
        digits = rf"\d{{{width}}}" if width else "0|[1-9][0-9]*"
        parts += [re.escape(pattern[end : spec.start()]), f"(?P<{name}>{_DATE.get(name, digits)})"]
        end = spec.end()
    return "".join([*parts, re.escape(pattern[end:])])


def _folders(wildcards: str) -> list[str]:
    if "://" in wildcards:
        import tensorflow as tf

        return [path.rstrip("/") for path in tf.io.gfile.glob(wildcards)]
    return [path for path in sorted(glob.glob(wildcards)) if os.path.isdir(path)]


def _span(match: re.Match[str]) -> Span | None:
    """None for a day that the calendar does not have."""
    values = {name: int(text) for name, text in match.groupdict().items()}
    number = values.get("SPAN")
    if number is None:
        try:
            day = datetime.date(*(values[name] for name in _DATE))
        except ValueError:
            return None
        number = (day - _EPOCH).days
    return Span(number, values.get("VERSION"), match.group())


def _nothing(pattern: str, near: Iterable[str]) -> str:
    names = [os.path.basename(folder) for folder in near]
    if not names:
        base, rest = divided(pattern)
        there = "there is no such folder" if not os.path.isdir(base) else "no folder looks like it"
        return f"{pattern}: no span; looked for {rest} in {base}: {there}"
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return (
        f"{pattern}: no span; {shown} {'has' if len(names) == 1 else 'have'} no number of that "
        "form (a number with leading zeros takes its width, such as {SPAN:2})"
    )
