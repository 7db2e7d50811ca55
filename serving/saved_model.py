"""One loaded SavedModel: its signatures, checked requests, and answers.

Loaded into a session of its own, as TensorFlow Serving does it. What serves here therefore also
serves there (`tf.saved_model.load` accepts models whose variables a session cannot restore), a
call costs a third of what a signature's concrete function costs, and closing the session gives the
memory back.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np

from serving import warmup
from serving.errors import ServingError, invalid, status_code
from serving.protos import config_pb2, meta_graph_pb2, types_pb2
from serving.runtime import tf
from serving.signature import METHODS, Input, Signature
from serving.tensors import numpy_dtype

DEFAULT_SIGNATURE = "serving_default"
# The smallest PNG, one black pixel: what a warm-up call sends to an input of encoded images.
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)

# Of a message of the graph that is not UTF-8: it may show all of what it was sent.
_SHOWN_BYTES = 4000

_log = logging.getLogger(__name__)


def _loaded(session: Any, path: str) -> meta_graph_pb2.MetaGraphDef:
    """Loads a SavedModel into a session."""
    if "://" in path or not any(character in path for character in "[]*?\\"):
        return tf.load(session, ["serve"], path)
    # TensorFlow takes the path of the variables for a pattern.
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "model")
        os.symlink(os.path.abspath(path), link)
        return tf.load(session, ["serve"], link)


class SavedModel:
    """The SavedModel in the directory `path`, ready for calls from many threads."""

    def __init__(self, path: str) -> None:
        """Loads the graph tagged `serve`, restores variables, assets and tables.

        Raises whatever TensorFlow finds wrong with the files (tf.errors.OpError, OSError,
        ValueError).
        """
        self.path = path
        config = config_pb2.ConfigProto()
        config.gpu_options.allow_growth = True
        self._session = tf.Session(graph=tf.Graph(), config=config)
        try:
            with self._session.graph.as_default():
                meta_graph = _loaded(self._session, path)
            self.signature_def: dict[str, meta_graph_pb2.SignatureDef] = dict(
                meta_graph.signature_def
            )
            self._signatures = {
                name: Signature(proto, meta_graph.graph_def)
                for name, proto in self.signature_def.items()
                if proto.method_name in METHODS
            }
            self._calls = {name: self._callable(each) for name, each in self._signatures.items()}
        except BaseException:
            self._session.close()
            raise

    def _callable(self, signature: Signature) -> Callable[..., list[np.ndarray]]:
        options = config_pb2.CallableOptions(feed=signature.feeds, fetch=signature.fetches)
        # The calling thread walks the graph itself: the operations still share all cores, and a
        # call of LeNet-5 takes 130 us instead of 170 us.
        options.run_options.inter_op_thread_pool = -1
        # The public make_callable goes through Session.run, which costs another 100 us.
        return self._session._make_callable_from_options(options)

    def close(self) -> None:
        """Gives the session's memory back. No call may be running or follow."""
        self._calls.clear()
        self._session.close()
        self._session = None
        gc.collect()  # a graph is full of cycles; without this swaps pile up for a long time

    def signature(self, name: str) -> Signature:
        """The signature called `name`; "" means serving_default.

        Raises ServingError: FAILED_PRECONDITION where there is none, INTERNAL where it cannot be
        called.
        """
        name = name or DEFAULT_SIGNATURE
        if name in self._signatures:
            return self._signatures[name]
        if name not in self.signature_def:
            raise ServingError(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        raise ServingError(
            grpc.StatusCode.INTERNAL,
            "Expected prediction signature method_name to be one of "
            f"{{{', '.join(METHODS)}}}. Was: {self.signature_def[name].method_name}",
        )

    def check(
        self, name: str, inputs: Mapping[str, np.ndarray], output_filter: Sequence[str] = ()
    ) -> None:
        """Whether the signature `name` takes these arrays and has these outputs.

        Raises ServingError with TensorFlow Serving's code: INVALID_ARGUMENT for wrong names and
        types.
        """
        signature = self.signature(name)
        signature.check(inputs)
        signature.check_filter(output_filter)

    def call(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs of the signature `name` for arrays that `check` has let pass.

        Raises ServingError with what the graph itself reports.
        """
        name = name or DEFAULT_SIGNATURE
        signature = self.signature(name)
        try:
            values = self._calls[name](*(inputs[alias] for alias in signature.inputs))
        except tf.OpError as error:
            raise ServingError(status_code(error.error_code), error.message) from error
        except UnicodeDecodeError as error:
            # The graph's message shows bytes that it was sent, and Python cannot read it.
            raise invalid(error.object[:_SHOWN_BYTES].decode(errors="replace")) from error
        return dict(zip(signature.outputs, map(_array, values), strict=True))

    def predict(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`check`, then `call`."""
        self.check(name, inputs)
        return self.call(name, inputs)

    def warm_up(self, before_each: Callable[[], None] = lambda: None) -> None:
        """Calls the model with the requests that lie beside it, or with made-up ones.

        `before_each` is called before each; what it raises ends the warm-up.

        The first call builds and optimises the graph; no request should wait for that.

        Raises ServingError where a request that lies beside the model fails or is answered with
        NaN. Of the made-up ones variables that were not restored are errors, and NaN in answers to
        numbers: of a string a signature does not say what it should be.
        """
        if not warmup.replay(self.path, self.predict, before_each):
            self._call_with_made_up_images(before_each)

    def _call_with_made_up_images(self, before_each: Callable[[], None]) -> None:
        """Calls every signature whose inputs allow it once."""
        for name, signature in self._signatures.items():
            before_each()
            try:
                inputs = {alias: _example(each) for alias, each in signature.inputs.items()}
                outputs = self.predict(name, inputs)
                if not any(array.dtype.hasobject for array in inputs.values()):
                    warmup.check_numbers(name, outputs)
            except ServingError as error:
                if error.code is grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                _log.info("no warm-up of signature %s: %s", name, error.message)


def _array(value: np.ndarray | bytes) -> np.ndarray:
    if not isinstance(value, bytes):
        return np.asarray(value)
    # A lone string; NumPy's own kind of strings would lose NULs at its end.
    array = np.empty((), object)
    array[()] = value
    return array


def _example(wanted: Input) -> np.ndarray:
    shape = [max(size, 1) for size in wanted.shape or ()]
    if wanted.dtype == types_pb2.DT_STRING:
        return np.full(shape, _PIXEL, object)
    dtype = numpy_dtype(wanted.dtype)
    if dtype.kind == "f":
        # All shades: of one alone, what divides by the contrast would make NaN.
        return np.linspace(0, 255, math.prod(shape)).reshape(shape).astype(dtype)
    return np.zeros(shape, dtype)
