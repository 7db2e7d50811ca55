"""One loaded SavedModel: its signatures, checked requests, and answers.

Loaded into a session of its own, as TensorFlow Serving does it. What serves here therefore also
serves there (`tf.saved_model.load` accepts models whose variables a session cannot restore), a
call costs a third of what a signature's concrete function costs, and closing the session gives the
memory back.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping, Sequence

import grpc
import numpy as np
import tensorflow as tf

from serving.errors import ServingError, invalid, status_code
from serving.protos import config_pb2, meta_graph_pb2, types_pb2
from serving.tensors import dtype_name, numpy_dtype

DEFAULT_SIGNATURE = "serving_default"
_METHODS = (
    "tensorflow/serving/predict",
    "tensorflow/serving/classify",
    "tensorflow/serving/regress",
)
# The smallest PNG, one black pixel: what a warm-up call sends to an input of encoded images.
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)

_log = logging.getLogger(__name__)


class SavedModel:
    """The SavedModel in the directory `path`, ready for calls from many threads."""

    def __init__(self, path: str) -> None:
        """Loads the graph tagged `serve`, restores variables, assets and tables.

        Raises whatever TensorFlow finds wrong with the files (tf.errors.OpError, OSError,
        ValueError).
        """
        config = tf.compat.v1.ConfigProto()
        config.gpu_options.allow_growth = True
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, ["serve"], path)
            self.signature_def: dict[str, meta_graph_pb2.SignatureDef] = dict(
                meta_graph.signature_def
            )
            self._calls = {
                name: self._callable(signature)
                for name, signature in self.signature_def.items()
                if signature.method_name in _METHODS
            }
        except BaseException:
            self._session.close()
            raise

    def _callable(self, signature: meta_graph_pb2.SignatureDef) -> Callable[..., list[np.ndarray]]:
        # The public make_callable goes through Session.run: 320 us a call of LeNet-5 instead of
        # 210 us.
        return self._session._make_callable_from_options(
            config_pb2.CallableOptions(
                feed=[info.name for info in signature.inputs.values()],
                fetch=[info.name for info in signature.outputs.values()],
            )
        )

    def close(self) -> None:
        """Gives the session's memory back. No call may be running or follow."""
        self._calls.clear()
        self._session.close()
        self._session = None
        gc.collect()  # a graph is full of cycles; without this swaps pile up for a long time

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """The SignatureDef called `name`; "" means serving_default.

        Raises ServingError: FAILED_PRECONDITION where there is none, INTERNAL where it cannot be
        called.
        """
        name = name or DEFAULT_SIGNATURE
        if name not in self.signature_def:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        signature = self.signature_def[name]
        if signature.method_name not in _METHODS:
            raise ServingError(
                grpc.StatusCode.INTERNAL,
                "Expected prediction signature method_name to be one of "
                f"{{{', '.join(_METHODS)}}}. Was: {signature.method_name}",
            )
        return signature

    def predict(
        self, name: str, inputs: Mapping[str, np.ndarray], output_filter: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Calls the signature `name` on named arrays; all outputs, or those in `output_filter`.

        Raises ServingError with TensorFlow Serving's code: INVALID_ARGUMENT for wrong names, types
        and shapes, or what the graph itself reports.
        """
        name = name or DEFAULT_SIGNATURE
        signature = self.signature(name)
        check_names(signature, inputs)
        for alias, info in signature.inputs.items():
            _check(alias, info, inputs[alias])
        _check_filter(signature, output_filter)
        try:
            values = self._calls[name](*(inputs[alias] for alias in signature.inputs))
        except tf.errors.OpError as error:
            raise ServingError(status_code(error.error_code), error.message) from error
        outputs = dict(zip(signature.outputs, map(np.asarray, values), strict=True))
        return {alias: outputs[alias] for alias in output_filter} if output_filter else outputs

    def warm_up(self) -> None:
        """Calls every signature once with one black image where its inputs allow it.

        The first call builds and optimises the graph; no request should wait for that. A signature
        that refuses the made-up example is not an error, variables that were not restored are.
        """
        for name, signature in self.signature_def.items():
            if name not in self._calls:
                continue
            try:
                self.predict(name, {k: _example(info) for k, info in signature.inputs.items()})
            except ServingError as error:
                if error.code is grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                _log.info("no warm-up of signature %s: %s", name, error.message)


def check_names(signature: meta_graph_pb2.SignatureDef, sent: Mapping[str, object]) -> None:
    """Raises INVALID_ARGUMENT where the names sent are not the signature's inputs."""
    wanted = set(signature.inputs)
    if len(sent) != len(wanted):
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({_names(sent)}) != len({_names(wanted)}). "
            f"Sent extra: {_names(set(sent) - wanted)}. "
            f"Missing but required: {_names(wanted - set(sent))}."
        )
    for alias, info in signature.inputs.items():
        if alias not in sent:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {info.name}) not found in request and "
                f"no default value provided. Inputs expected to be in the request {_names(sent)}, "
                "or default input alias set: "
            )


def _check(alias: str, info: meta_graph_pb2.TensorInfo, array: np.ndarray) -> None:
    if array.dtype != numpy_dtype(info.dtype):
        raise invalid(
            f'input "{alias}" is expected to be {dtype_name(info.dtype)} but '
            f"{_array_type(array)} is provided"
        )
    if info.tensor_shape.unknown_rank:
        return
    wanted = [dim.size for dim in info.tensor_shape.dim]
    fits = len(wanted) == array.ndim and all(
        size in (-1, given) for size, given in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        shape = ",".join("?" if size == -1 else str(size) for size in wanted)
        raise invalid(
            f'input "{alias}" is expected to have the shape [{shape}] but has '
            f"[{','.join(map(str, array.shape))}]"
        )


def _check_filter(signature: meta_graph_pb2.SignatureDef, output_filter: Sequence[str]) -> None:
    seen = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {_names(signature.outputs)}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.add(alias)


def _names(names: Mapping[str, object] | set[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"


def _array_type(array: np.ndarray) -> str:
    return (
        "string" if array.dtype.hasobject else dtype_name(tf.as_dtype(array.dtype).as_datatype_enum)
    )


def _example(info: meta_graph_pb2.TensorInfo) -> np.ndarray:
    shape = [max(dim.size, 1) for dim in info.tensor_shape.dim]
    if info.dtype == types_pb2.DT_STRING:
        return np.full(shape, _PIXEL, object)
    return np.zeros(shape, numpy_dtype(info.dtype))
