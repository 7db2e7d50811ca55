"""Paths as parts of patterns."""

from __future__ import annotations

import glob


def escape(path: str) -> str:
    """A path that stands for itself in a pattern of Python, TensorFlow and Beam.

    Beam has no way to quote a character but `[x]`, and TensorFlow takes a backslash for a quote.
    """
    return glob.escape(path).replace("\\", r"[\\]")


def matching(folder: str, pattern: str) -> list[str]:
    """The paths of the files of a folder, on this machine or where Beam has a way to, sorted.

    Args:
      folder: its path or URI.
      pattern: of their names.
    """
    whole = f"{escape(folder)}/{pattern}"
    if "://" not in folder:
        # Beam would walk through all that lies beside a folder whose name had to be escaped.
        return sorted(glob.glob(whole))
    from apache_beam.io.filesystems import FileSystems

    (found,) = FileSystems.match([whole])
    return sorted(each.path for each in found.metadata_list)
