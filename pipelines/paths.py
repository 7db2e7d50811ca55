"""Where a run keeps its things, below one root."""

from __future__ import annotations

from dataclasses import dataclass


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

    def pipeline(self, recipe: str) -> str:
        """The artifacts of a recipe's runs."""
        return f"{self.root}/pipelines/{recipe}"

    def verdicts(self, recipe: str) -> str:
        """What was found of a recipe's data, run by run, where no metadata store is asked."""
        return f"{self.pipeline(recipe)}/verdicts"

    def served(self, recipe: str) -> str:
        """The versions of a recipe's model, as servers watch them."""
        return f"{self.serving}/{recipe}"
