"""Keeps what converters write, past Python, to the process's own streams off the screen."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_STREAMS = (1, 2)
_OPERATION = re.compile(r"'tf\.(\w+)' op|\btf\.(\w+) ?\(|Op type not supported\W+(\w+)")
_MOST = 5


@contextlib.contextmanager
def converting(converter: str) -> Iterator[None]:
    """While the block lasts, nothing is shown; what goes wrong in it is told in words.

    Args:
      converter: whose block it is, as an error names it.

    Raises:
      ValueError: the block ended by an error; the operations that it complained of are named.
    """
    with tempfile.TemporaryFile() as said:
        try:
            with _redirected(said.fileno()):
                yield
        except Exception as error:  # of many kinds, with texts of the compiler's own language
            said.seek(0)
            text = f"{error}\n{said.read().decode(errors='replace')}"
            raise ValueError(f"{converter} cannot write this network{_named(text)}") from error


def _named(text: str) -> str:
    """The operations that a converter's text complains of."""
    found = dict.fromkeys("".join(groups) for groups in _OPERATION.findall(text))
    return f": it has no {', '.join(list(found)[:_MOST])}" if found else ""


@contextlib.contextmanager
def _redirected(target: int) -> Iterator[None]:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [os.dup(number) for number in _STREAMS]
    try:
        for number in _STREAMS:
            os.dup2(target, number)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, before in zip(_STREAMS, kept, strict=True):
            os.dup2(before, number)
            os.close(before)
