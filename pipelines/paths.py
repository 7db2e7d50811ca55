"""Where a run keeps its things, below one root."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from components import user_cache

_PATTERN = re.compile(r"[][*?\\]")


def plain(root: str) -> str:
    """A name of a folder of this machine that no library takes for a pattern.

    TFX, Beam and TensorFlow list the files of artifacts by patterns, which begin with the root as
    it is: `[1]` in it matches `1` alone. Such a folder gets a link to it in the user's cache.
    """
    if not _PATTERN.search(root):
        return root
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    link = user_cache.folder("roots") / name
    link.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first: a run on another root may do the same.
    new = link.with_name(f"{name}-{uuid.uuid4().hex}")
    new.symlink_to(root)
    new.replace(link)
    return str(link)


@dataclass(frozen=True)
class Paths:
    """The folders of one root, which many recipes share.

    Attributes:
      root: any folder; for the local runner one of this machine, because of SQLite.
    """

    root: str

    @property
    def metadata(self) -> str:
        """The SQLite file of ML Metadata."""
        return f"{self.root}/metadata.sqlite"

    @property
    def runs(self) -> str:
        """A summary of each run, as JSON."""
        return f"{self.root}/runs"

    @property
    def logs(self) -> str:
        """The libraries' messages, a file a run."""
        return f"{self.root}/logs"

    @property
    def serving(self) -> str:
        """A folder a model, which holds a folder a version."""
        return f"{self.root}/serving"

    @property
    def pipelines(self) -> str:
        """The artifacts of all runs, a folder a model."""
        return f"{self.root}/pipelines"

    def pipeline(self, model: str) -> str:
        """The artifacts of the runs that made a model's versions."""
        return f"{self.pipelines}/{model}"

    def verdicts(self, model: str) -> str:
        """What was found of a model's data, run by run, where no metadata store is asked."""
        return f"{self.pipeline(model)}/verdicts"

    def served(self, model: str) -> str:
        """The versions of a model, as servers watch them."""
        return f"{self.serving}/{model}"


def shown(path: str | Path) -> Path:
    """A path as the user knows it: without the link of `plain`."""
    path = Path(path)
    if not path.is_relative_to(user_cache.folder("roots")):
        return path
    name, *below = path.relative_to(user_cache.folder("roots")).parts
    return Path(os.readlink(user_cache.folder("roots") / name), *below)


def of_cluster(root: str) -> Paths:
    """The paths of a root that other machines see.

    Raises:
      ValueError: one that libraries take for a pattern (`plain`).
    """
    if _PATTERN.search(root):
        raise ValueError(f"{root}: TFX and Beam take [ ] * ? and \\ in a root for a pattern")
    return Paths(root.rstrip("/"))
