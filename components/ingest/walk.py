"""The files below a folder, as readers list them and as data are known by."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

# What systems and their programs leave in a folder beside the data; in lower case.
_SYSTEM = frozenset(
    {
        "$recycle.bin",
        "#recycle",
        "#snapshot",
        "@__thumb",  # QNAP's
        "@eadir",  # Synology's
        "@recently-snapshot",
        "@recycle",
        "@snapshot",
        "@tmp",
        "__macosx",
        "desktop.ini",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "icon\r",
        "lost+found",
        "network trash folder",
        "photothumb.db",
        "picasa.ini",
        "recycled",
        "recycler",
        "system volume information",
        "temporary items",
        "thumbs.db",
        "zbthumbnail.info",
    }
)
# Of x.png: x.png@SynoEAStream, Thumbs.db:encryptable, x.png:Zone.Identifier.
_SYSTEM_ENDS = (
    "@synoeastream",
    "@synoresource",
    ":encryptable",
    ":zone.identifier",
    ":afp_afpinfo",
    ":afp_resource",
)


def is_system(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or left there by a system."""
    lower = name.lower()
    return name.startswith(".") or lower in _SYSTEM or lower.endswith(_SYSTEM_ENDS)


def walk(
    folder: str,
    everything: bool = False,
    missed: Callable[[str, OSError], None] | None = None,
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All files and folders below a folder, each with its path below it.

    What is in a folder comes sorted by name, before what is in its folders.

    Links are followed, and what is in a folder is walked once, whatever leads there: a link to a
    folder above would have no end.

    Args:
      folder: where to start.
      everything: also what `is_system` tells of.
      missed: called with each folder that cannot be listed, as its path below `folder`, and why;
        without it, the first one ends the walk.

    Raises:
      OSError: a folder cannot be listed, and nobody is to be told.
    """
    walked, waiting = set(), [""]
    while waiting:
        below = waiting.pop()
        place = os.path.join(folder, below)
        try:
            found = os.stat(place)
            if (found.st_dev, found.st_ino) in walked:
                continue
            walked.add((found.st_dev, found.st_ino))
            with os.scandir(place) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if missed is None:
                raise
            missed(below, error)
            continue
        folders = []
        for entry in listed:
            if everything or not is_system(entry.name):
                yield below + entry.name, entry
                if is_folder(entry):
                    folders.append(f"{below}{entry.name}/")
        waiting += reversed(folders)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or leads to one."""
    try:
        return entry.is_dir()
    except OSError:
        return False  # A link that leads to itself.
