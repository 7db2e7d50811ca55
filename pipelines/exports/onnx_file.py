"""An `.onnx` file: pixels in, answers out, any number of pictures at a time."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from components import extras
from components.answers import Answers
from pipelines.exports.original import Answering, Original, pixel_function
from pipelines.exports.quiet import converting

# Of ONNX' operations, the set that its version 1.12 (2022) brought: runtimes since then read it.
_OPSET = 17
_NAME = "tf2onnx"


def write(original: Original, path: Path, precision: str) -> None:
    """Converts the model.

    Args:
      original: the model.
      path: of the file.
      precision: float32.

    Raises:
      ValueError: the extra is not installed, or the network has operations that ONNX lacks.
    """
    del precision
    convert, onnx = _library("tf2onnx.convert"), _library("onnx")
    _library("onnxruntime")
    with converting(_NAME), _still("tf2onnx"):
        frozen = convert_variables_to_constants_v2(pixel_function(original, batch=None))
        # By the names of the inputs in their order; what follows them is captured.
        shown = [each.name for each in frozen.inputs[: len(original.input_shapes)]]
        given = dict(zip(shown, sorted(original.input_shapes), strict=True))
        model, _ = convert.from_graph_def(
            _without_captures(frozen),
            input_names=shown,
            output_names=[output.name for output in frozen.outputs],
            opset=_OPSET,
        )
        outputs = [output.name for output in frozen.outputs]
        # By the names of the outputs in their order, as tf.function gives a mapping.
        names = dict(zip(outputs, sorted(original.task.measured), strict=True))
        _rename(model.graph, {**given, **names})
    _check(model, onnx)
    onnx.save(model, str(path))


def _check(model: Any, onnx: ModuleType) -> None:
    """Raises ValueError where there are operations of TensorFlow left, which tf2onnx only logs."""
    nodes = model.graph.node
    lacking = {node.op_type for node in nodes if not onnx.defs.has(node.op_type, node.domain)}
    if lacking:
        names = ", ".join(sorted(lacking))
        raise ValueError(f"{_NAME} cannot write this network: it has no {names}")
    with converting(_NAME):
        onnx.checker.check_model(model)


def _without_captures(frozen: Any) -> graph_pb2.GraphDef:
    """The graph of a function with the constants that it took from outside written into it."""
    captured = {inner.op.name: outer for outer, inner in frozen.graph.captures}
    graph = frozen.graph.as_graph_def()
    for node in graph.node:
        if node.name in captured:
            value = tf.make_tensor_proto(captured[node.name].numpy())
            node.op = "Const"
            node.attr.clear()
            node.attr["value"].tensor.CopyFrom(value)
            node.attr["dtype"].type = value.dtype
    return graph


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Gives inputs and outputs of an ONNX graph other names, wherever they stand."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)


def reader(original: Original, path: Path) -> Answering:
    """The file in ONNX Runtime."""
    runtime = _library("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def answer(records: tf.Tensor) -> Answers:
        pixels = original.named(original.pixels(records))
        values = session.run(names, {name: each.numpy() for name, each in pixels.items()})
        return original.of_pixels(dict(zip(names, values, strict=True)), records)

    return answer


def _library(name: str) -> ModuleType:
    """A module of the extra.

    Raises:
      ValueError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"{name.partition('.')[0]} is not installed; {extras.command('onnx')}"
        ) from error


@contextlib.contextmanager
def _still(logger: str) -> Iterator[None]:
    """Without what a library logs, while the block lasts."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
