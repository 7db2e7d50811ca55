"""Where everything is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(stderr: bool = False) -> Console:
    """Where everything is printed: texts as they are, no markup in them.

    Args:
      stderr: on the error stream: what is not to be mixed with what a command gives.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, stderr=stderr)
