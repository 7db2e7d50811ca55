"""tf.Examples, classes and numbers in TensorFlow Serving's JSON: :classify and :regress."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.errors import invalid
from serving.json_values import decoded, shown, type_name
from serving.protos import classification_pb2, example_pb2, input_pb2, regression_pb2
from serving.tensors import check_strings

_MOST_FEATURES = 1 << 16  # of an example
_INT64 = range(-(1 << 63), 1 << 63)


def read_examples(document: Mapping[str, Any], message: input_pb2.Input) -> None:
    """Fills `message` with the examples, and their context, of a parsed request.

    Raises ServingError(INVALID_ARGUMENT) with TensorFlow Serving's message.
    """
    target = message.example_list
    if "context" in document:
        target = message.example_list_with_context
        target.context.CopyFrom(_example(document["context"]))
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected "
            "and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(
            f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array"
        )
    if not examples:
        raise invalid(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    check_strings("'examples'", len(examples))
    target.examples.extend(map(_example, examples))


def classification_json(result: classification_pb2.ClassificationResult) -> str:
    """For each example its pairs of label and score."""
    rows = [
        [[one.label, _shortest(one.score)] for one in each.classes]
        for each in result.classifications
    ]
    return json.dumps({"results": rows})


def regression_json(result: regression_pb2.RegressionResult) -> str:
    """For each example its number."""
    return json.dumps({"results": [_shortest(each.value) for each in result.regressions]})


def _example(value: Any) -> example_pb2.Example:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    if len(value) > _MOST_FEATURES:
        raise invalid(f"Example has {len(value)} features, more than {_MOST_FEATURES}")
    example = example_pb2.Example()
    for name, content in value.items():
        feature = example.features.feature[name]
        for each in content if isinstance(content, list) else [content]:
            _add(feature, name, each)
    return example


def _add(feature: example_pb2.Example, name: str, value: Any) -> None:
    if isinstance(value, int) and int(value) not in _INT64:
        raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
    if isinstance(value, int):  # True and False too
        kind, value = "int64_list", int(value)
    elif isinstance(value, float):
        kind = "float_list"
    elif isinstance(value, str):
        kind, value = "bytes_list", value.encode()
    elif isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        kind, value = "bytes_list", decoded(value["b64"])
    else:
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")
    if feature.WhichOneof("kind") not in (None, kind):
        expected = feature.WhichOneof("kind").removesuffix("_list")
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")
    getattr(feature, kind).value.append(value)


def _shortest(value: float) -> float:
    """The number with the fewest decimals that gives the same float32."""
    return float(str(np.float32(value)))
