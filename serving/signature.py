"""One signature of a SavedModel, taken out of its proto once: every request is held against it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from serving.errors import invalid
from serving.protos import graph_pb2, meta_graph_pb2, node_def_pb2
from serving.tensors import array_dtype_name, dtype_name, numpy_dtype

METHODS = (
    "tensorflow/serving/predict",
    "tensorflow/serving/classify",
    "tensorflow/serving/regress",
)
_OF_ANY_SHAPE = {
    *("Add", "AddV2", "Cast", "Const", "Div", "Identity", "Mul", "Neg", "Placeholder"),
    *("ReadVariableOp", "RealDiv", "Sub", "VarHandleOp", "VariableV2"),
}


@dataclasses.dataclass(frozen=True)
class Input:
    """What goes into a signature.

    feed: the tensor of the graph. dtype: TensorFlow's DataType. shape: -1 for any size; None where
    not even the rank is known. any_shape: whether the graph takes others, too.
    """

    feed: str
    dtype: int
    shape: tuple[int, ...] | None
    any_shape: bool = False

    def check(self, alias: str, number: int, array: np.ndarray) -> None:
        """Raises INVALID_ARGUMENT for an array of another type or shape."""
        if array.dtype != numpy_dtype(self.dtype):
            raise invalid(
                f"Expects arg[{number}] to be {dtype_name(self.dtype)} but "
                f"{array_dtype_name(array)} is provided"
            )
        if self.any_shape or self.shape is None or self.shape == array.shape:
            return
        fits = len(self.shape) == array.ndim and all(
            size in (-1, given) for size, given in zip(self.shape, array.shape, strict=True)
        )
        if not fits:
            shape = ",".join("?" if size == -1 else str(size) for size in self.shape)
            raise invalid(
                f'input "{alias}" is expected to have the shape [{shape}] but has '
                f"[{','.join(map(str, array.shape))}]"
            )


class Signature:
    """Inputs and outputs by their aliases.

    batches: whether it takes any number of rows, so that requests can share a call.

    Whether a shape fits is left to the graph, as in TensorFlow Serving, where every operation of
    it takes arrays of any shape. Others may end the process: a convolution of TensorFlow's does.
    """

    def __init__(
        self, proto: meta_graph_pb2.SignatureDef, graph: graph_pb2.GraphDef | None = None
    ) -> None:
        self.inputs = {alias: _input(info) for alias, info in proto.inputs.items()}
        if graph is not None and _operations(proto, graph) <= _OF_ANY_SHAPE:
            self.inputs = {
                alias: dataclasses.replace(each, any_shape=True)
                for alias, each in self.inputs.items()
            }
        self.outputs = tuple(proto.outputs)
        self.feeds = [each.feed for each in self.inputs.values()]
        self.fetches = [info.name for info in proto.outputs.values()]
        self.batches = bool(self.inputs) and all(
            each.shape and each.shape[0] == -1 for each in self.inputs.values()
        )

    def check_names(self, sent: Mapping[str, object]) -> None:
        """Raises INVALID_ARGUMENT where the names sent are not those of the inputs."""
        if len(sent) - len(self.inputs) > _MOST_EXTRA:
            # To name them all would take as long as their sender likes.
            raise invalid(
                f"input size does not match signature: {len(sent)}!={len(self.inputs)} "
                f"len({_names(self.inputs)})."
            )
        if len(sent) != len(self.inputs):
            wanted = set(self.inputs)
            raise invalid(
                f"input size does not match signature: {len(sent)}!={len(wanted)} "
                f"len({_names(sent)}) != len({_names(wanted)}). "
                f"Sent extra: {_names(set(sent) - wanted)}. "
                f"Missing but required: {_names(wanted - set(sent))}."
            )
        for alias, wanted in self.inputs.items():
            if alias not in sent:
                raise invalid(
                    f"Signature input alias: {alias}(feed name: {wanted.feed}) not found in "
                    "request and no default value provided. Inputs expected to be in the request "
                    f"{_names(sent)}, or default input alias set: "
                )

    def check(self, sent: Mapping[str, np.ndarray]) -> None:
        """Raises INVALID_ARGUMENT for other names, types and shapes than the inputs'."""
        self.check_names(sent)
        for number, (alias, wanted) in enumerate(self.inputs.items()):
            wanted.check(alias, number, sent[alias])

    def check_filter(self, output_filter: Sequence[str]) -> None:
        """Raises INVALID_ARGUMENT for outputs that there are not, or that are asked for twice."""
        seen = set()
        for alias in output_filter:
            if alias not in self.outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {alias} Outputs expected to be "
                    f"in the set {_names(self.outputs)}."
                )
            if alias in seen:
                raise invalid(f"duplicate output tensor alias: {alias}")
            seen.add(alias)


def _operations(proto: meta_graph_pb2.SignatureDef, graph: graph_pb2.GraphDef) -> set[str]:
    """The kinds of operations between the inputs and the outputs; "" for what is not there."""
    nodes = {node.name: node for node in graph.node}
    seen = {_node(info.name) for info in proto.inputs.values()}
    names = [_node(info.name) for info in proto.outputs.values()]
    kinds = set()
    while names:
        name = names.pop()
        if name not in seen:
            seen.add(name)
            node = nodes.get(name, node_def_pb2.NodeDef())
            kinds.add(node.op)
            names += map(_node, node.input)
    return kinds


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _input(info: meta_graph_pb2.TensorInfo) -> Input:
    known = not info.tensor_shape.unknown_rank
    shape = tuple(dim.size for dim in info.tensor_shape.dim) if known else None
    return Input(info.name, info.dtype, shape)


# Names of a request beyond those of the inputs that a refusal lists.
_MOST_EXTRA = 100


def _names(names: Collection[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"
