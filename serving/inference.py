"""Classify and Regress: tf.Examples in, labels with scores or numbers out.

The rules are those of tensorflow_serving/servables/tensorflow: the classifier, regressor and util.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc
import numpy as np

from serving.errors import ServingError, invalid
from serving.protos import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    meta_graph_pb2,
    regression_pb2,
    types_pb2,
)
from serving.tensors import check_strings, dtype_name

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
INPUTS = "inputs"
_CLASSES, _SCORES, _OUTPUTS = "classes", "scores", "outputs"


def serialized_examples(message: input_pb2.Input, max_bytes: int) -> np.ndarray:
    """The tf.Examples of a request, bytes [N], each with the context they share.

    Raises ServingError(INVALID_ARGUMENT) where there are none, more than `tensors.MAX_STRINGS`, or
    more than `max_bytes` of contexts.
    """
    kind = message.WhichOneof("kind")
    examples = getattr(message, kind).examples if kind else ()
    if not examples:
        raise invalid("Input is empty.")
    check_strings(INPUTS, len(examples))
    context = b""
    if kind == "example_list_with_context":
        # Two messages one after the other are read as one.
        context = message.example_list_with_context.context.SerializeToString()
    if len(context) * len(examples) > max_bytes:
        raise invalid(
            f"a context of {len(context)} bytes for {len(examples)} examples is over {max_bytes} "
            "bytes"
        )
    array = np.empty(len(examples), object)
    array[:] = [context + example.SerializeToString() for example in examples]
    return array


def check_classification(signature: meta_graph_pb2.SignatureDef) -> None:
    """Raises ServingError where the signature cannot classify tf.Examples."""
    _check_input(signature, "classification")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if not {_CLASSES, _SCORES} & set(signature.outputs):
        raise _precondition(
            f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or '
            f'"{_SCORES}". Signature was: {signature}'
        )


def check_regression(signature: meta_graph_pb2.SignatureDef) -> None:
    """Raises ServingError where the signature gives no number for each tf.Example."""
    _check_input(signature, "regression")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if _OUTPUTS not in signature.outputs:
        raise _precondition(f"No regression outputs found in SignatureDef: {signature}")


def classification(
    outputs: Mapping[str, np.ndarray], rows: int
) -> classification_pb2.ClassificationResult:
    """The answer from `classes` (bytes [N, C]), `scores` (float32 [N, C]) or both."""
    expected = {_CLASSES: types_pb2.DT_STRING, _SCORES: types_pb2.DT_FLOAT}
    given = {name: outputs[name] for name in expected if name in outputs}
    for name, array in given.items():
        if array.ndim != 2:
            raise invalid(
                f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}"
            )
        if array.dtype.hasobject != (name == _CLASSES):
            type_name = types_pb2.DataType.Name(expected[name])
            raise invalid(f"Expected {name} Tensor of {type_name}. Got: {array.dtype}")
        if len(array) != rows:
            raise invalid(f"Expected {name} output batch size of {rows}. Got: {len(array)}")
    widths = {array.shape[1] for array in given.values()}
    if len(widths) > 1:
        raise invalid("Tensors class and score should match in dim_size(1).")
    result = classification_pb2.ClassificationResult()
    for row in range(rows):
        classes = result.classifications.add().classes
        for column in range(next(iter(widths))):
            one = classes.add()
            if _CLASSES in given:
                one.label = given[_CLASSES][row, column].decode(errors="replace")
            if _SCORES in given:
                one.score = float(given[_SCORES][row, column])
    return result


def regression(outputs: Mapping[str, np.ndarray], rows: int) -> regression_pb2.RegressionResult:
    """The answer from `outputs`, float32 [N] or [N, 1]."""
    values = outputs[_OUTPUTS]
    if values.ndim != 1 and not (values.ndim == 2 and values.shape[1] == 1):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{_shape(values)}"
        )
    if len(values) != rows:
        raise invalid(f"Input batch size did not match output batch size: {rows} vs. {len(values)}")
    if values.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {values.dtype}")
    result = regression_pb2.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def check_tasks(
    request: inference_pb2.MultiInferenceRequest,
    signatures: Mapping[str, meta_graph_pb2.SignatureDef],
    default: str,
) -> list[str]:
    """The signature of each task. Raises ServingError for tasks that cannot be answered together.

    default: the signature of a task that names none.
    """
    names: list[str] = []
    tensors = set()
    for task in request.tasks:
        name = task.model_spec.signature_name or default
        if name in names:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        names.append(name)
        if name not in signatures:
            raise invalid(f"Requested signature not found in model graph: {name}")
        if task.method_name not in (CLASSIFY, REGRESS):
            raise ServingError(
                grpc.StatusCode.UNIMPLEMENTED,
                f"Unsupported signature method_name: {task.method_name}",
            )
        check = check_classification if task.method_name == CLASSIFY else check_regression
        check(signatures[name])
        tensors.add(signatures[name].inputs[INPUTS].name)
    if len(tensors) > 1:
        raise invalid("Input tensor must be the same for all Signatures.")
    return names


def _check_input(signature: meta_graph_pb2.SignatureDef, kind: str) -> None:
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if INPUTS not in signature.inputs:
        raise _precondition(f"No {kind} inputs found in SignatureDef: {signature}")
    dtype = signature.inputs[INPUTS].dtype
    if dtype != types_pb2.DT_STRING:
        raise invalid(f"tf.Examples go into a string Tensor. Got: {dtype_name(dtype)}")


def _precondition(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"
