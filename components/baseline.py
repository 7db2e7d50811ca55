"""Which earlier model a candidate is measured against."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.common import resolver

_MODEL_ID = "current_model_id"
_BLESSED = "blessed"


class PreviousBlessedModel(resolver.ResolverStrategy):
    """The newest blessed model other than the candidate.

    TFX's LatestBlessedModelStrategy may answer with the candidate itself when a run repeats an
    earlier one; the comparison would say nothing, and the Evaluator could not be cached.
    """

    def resolve_artifacts(
        self, store, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Resolves the baseline.

        Args:
          store: MLMD's store, not used.
          input_dict: all artifacts of `model` and `model_blessing`, and `candidate`.

        Returns:
          `model` and `model_blessing` with one artifact each, or empty; `candidate` unchanged.
        """
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        blessings = {
            blessing.get_int_custom_property(_MODEL_ID): blessing
            for blessing in input_dict["model_blessing"]
            if blessing.get_int_custom_property(_BLESSED) == 1
        }
        earlier = [
            model
            for model in input_dict["model"]
            if model.id in blessings and model.id not in candidates
        ]
        newest = sorted(earlier, key=lambda model: model.id)[-1:]
        return {
            "model": newest,
            "model_blessing": [blessings[model.id] for model in newest],
            "candidate": input_dict["candidate"],
        }
