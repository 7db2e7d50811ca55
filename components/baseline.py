"""Which model a candidate is measured against."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.common import resolver

_MODEL_ID = "current_model_id"
_BLESSED = "blessed"
_INPUT = metadata_store_pb2.Event.INPUT
_OUTPUT = metadata_store_pb2.Event.OUTPUT


class ServedModel(resolver.ResolverStrategy):
    """The served model or, where that is the candidate itself or none, the newest blessed other.

    The newest blessed model is not always the served one: the canary may have refused it, and
    `convnets rollback` goes back to an older one. TFX's LatestBlessedModelStrategy knows nothing of
    this and may answer with the candidate itself when a run repeats an earlier one; the comparison
    would say nothing then, and the Evaluator could not be cached.
    """

    def resolve_artifacts(
        self, store, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Resolves the baseline.

        Args:
          store: MLMD's store.
          input_dict: all artifacts of `model`, `model_blessing` and `pushed`, and `candidate`.

        Returns:
          `model` and `model_blessing` with one artifact each, or empty; the others unchanged.
        """
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        blessings = {
            blessing.get_int_custom_property(_MODEL_ID): blessing
            for blessing in input_dict["model_blessing"]
            if blessing.get_int_custom_property(_BLESSED) == 1
        }
        models = {model.id: model for model in input_dict["model"] if model.id in blessings}
        chosen = _served(store, models, input_dict["pushed"])
        if chosen is None or chosen in candidates:
            others = models.keys() - candidates - _refused(input_dict["model_blessing"])
            chosen = max(others, default=None)
        found = [models[chosen]] if chosen is not None else []
        return {
            **input_dict,
            "model": found,
            "model_blessing": [blessings[model.id] for model in found],
        }


def _refused(blessings: Iterable[types.Artifact]) -> set[int]:
    """The ids of the models that an Evaluator refused when it measured them last.

    That on the newest data may refuse a model which that on the fixed data blesses.
    """
    last: dict[tuple[int, str], int] = {}
    for blessing in sorted(blessings, key=lambda each: each.id):
        # ROOT/EVALUATOR/blessing/EXECUTION
        evaluator = os.path.dirname(os.path.dirname(blessing.uri))
        last[blessing.get_int_custom_property(_MODEL_ID), evaluator] = (
            blessing.get_int_custom_property(_BLESSED)
        )
    return {model for (model, _), blessed in last.items() if blessed != 1}


def _served(
    store, models: Mapping[int, types.Artifact], pushes: Iterable[types.Artifact]
) -> int | None:
    """The id of the model of the highest version that is still where servers watch."""
    there = [
        push
        for push in pushes
        if push.get_int_custom_property("pushed") == 1
        and tf.io.gfile.exists(push.get_string_custom_property("pushed_destination"))
    ]
    if not there:
        return None
    served = max(there, key=lambda push: int(push.get_string_custom_property("pushed_version")))
    made = {
        event.execution_id
        for event in store.get_events_by_artifact_ids([served.id])
        if event.type == _OUTPUT
    }
    events = store.get_events_by_execution_ids(made)
    return next(
        (each.artifact_id for each in events if each.type == _INPUT and each.artifact_id in models),
        None,
    )
