"""The one folder for all that is temporary in a run; it goes with the run, however that ends."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NOTE = ".temporary"
_PREFIX = "convnets-"


@contextlib.contextmanager
def folder(root: Path) -> Iterator[Path]:
    """A new folder among the system's temporary ones while the block lasts.

    Args:
      root: of the run, which alone holds it. A note there names the folder, so that the next run
        removes what a killed one has left.
    """
    note = root / _NOTE
    with contextlib.suppress(OSError, ValueError):
        _remove(Path(note.read_text(encoding="utf-8")))
    made = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        note.write_text(str(made), encoding="utf-8")
        yield made
    finally:
        _remove(made)
        note.unlink(missing_ok=True)


def _remove(made: Path) -> None:
    # A note may have come with a root from elsewhere.
    if made.parent == Path(tempfile.gettempdir()) and made.name.startswith(_PREFIX):
        shutil.rmtree(made, ignore_errors=True)
