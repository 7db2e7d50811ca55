"""TensorFlow Serving's generated classes, imported in 0.2 s instead of TensorFlow's 10 s.

The classes of tensorflow-serving-api import `tensorflow.core.framework.*_pb2`. Those files need
protobuf only, but importing them runs `tensorflow/__init__.py` first. Where TensorFlow is not
loaded yet, a bare package of the same name and folder stands in for it during the import and is
taken away afterwards; a later `import tensorflow` finds the generated modules already loaded and
goes on as always.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator


@contextlib.contextmanager
def without_loading_tensorflow() -> Iterator[None]:
    """Lets modules of TensorFlow be imported, while it lasts, without its `__init__.py`."""
    spec = None if "tensorflow" in sys.modules else importlib.util.find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        yield
        return
    bare = types.ModuleType("tensorflow")
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = bare
    try:
        yield
    finally:
        if sys.modules.get("tensorflow") is bare:
            del sys.modules["tensorflow"]


with without_loading_tensorflow():
    from tensorflow.core.example import example_pb2
    from tensorflow.core.framework import graph_pb2, node_def_pb2, tensor_pb2, types_pb2
    from tensorflow.core.protobuf import (
        config_pb2,
        meta_graph_pb2,
        saved_model_pb2,
    )
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        model_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_log_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
        session_service_pb2,
    )
    from tensorflow_serving.config import model_server_config_pb2

    for _service in ("model_service_pb2", "prediction_service_pb2"):
        # Modules of an older generator, which the newer protobuf does not let end: by then the
        # description of the service is in the pool, and nothing else of them is needed.
        with contextlib.suppress(AttributeError):
            importlib.import_module(f"tensorflow_serving.apis.{_service}")

__all__ = [
    "classification_pb2",
    "config_pb2",
    "example_pb2",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "graph_pb2",
    "inference_pb2",
    "input_pb2",
    "meta_graph_pb2",
    "model_management_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "model_service_pb2_grpc",
    "node_def_pb2",
    "predict_pb2",
    "prediction_log_pb2",
    "prediction_service_pb2_grpc",
    "regression_pb2",
    "saved_model_pb2",
    "session_service_pb2",
    "tensor_pb2",
    "types_pb2",
    "without_loading_tensorflow",
]
