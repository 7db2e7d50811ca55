"""Which earlier data new data are compared with."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.common import resolver


class PreviousData(resolver.ResolverStrategy):
    """The newest verdict on an earlier ingestion of the same data set.

    Not simply the newest: that of a run which repeats an earlier one would be about the very
    same examples, and nothing could be cached.
    """

    def __init__(self, dataset: str):
        """Makes the strategy.

        Args:
          dataset: what `DataValidator` was told.
        """
        self._dataset = dataset

    def resolve_artifacts(
        self, store, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Resolves the verdict.

        Args:
          store: MLMD's store, not used.
          input_dict: all artifacts of `verdict`, and `examples`.

        Returns:
          `verdict` with one artifact or none; `examples` unchanged.
        """
        oldest = min(artifact.id for artifact in input_dict["examples"])
        earlier = [
            verdict
            for verdict in input_dict["verdict"]
            if verdict.get_string_custom_property("dataset") == self._dataset
            and verdict.get_int_custom_property("examples_id") < oldest
        ]
        newest = sorted(earlier, key=lambda verdict: verdict.id)[-1:]
        return {"verdict": newest, "examples": input_dict["examples"]}
