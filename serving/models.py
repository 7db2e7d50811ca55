"""The models being served: the answers that the gRPC and the REST API both give."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import grpc

from serving import tensors
from serving.errors import ServingError, invalid, not_found
from serving.protos import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)
from serving.saved_model import DEFAULT_SIGNATURE, SavedModel, check_names
from serving.versions import ModelVersions, VersionStatus


class Models:
    """Names to models. Requests and answers are TensorFlow Serving's messages.

    `wake` is set when a replaced version can be unloaded. A request's tensor may not claim more
    than `max_message_bytes`.
    """

    def __init__(self, base_paths: Mapping[str, str], max_message_bytes: int) -> None:
        self.wake = threading.Event()
        self.max_message_bytes = max_message_bytes
        self.versions = {
            name: ModelVersions(name, os.fspath(path), self.wake.set)
            for name, path in base_paths.items()
        }

    @contextlib.contextmanager
    def lend(self, spec: model_pb2.ModelSpec) -> Iterator[tuple[int, SavedModel]]:
        """Version and model that `spec` asks for.

        Raises ServingError: NOT_FOUND, or INVALID_ARGUMENT for version labels, which nothing
        defines.
        """
        if spec.version_label:
            raise invalid(f"Unrecognized servable version label: {spec.version_label}")
        version = spec.version.value if spec.HasField("version") else None
        if spec.name not in self.versions:
            raise not_found(spec.name, version)
        with self.versions[spec.name].lend(version) as lent:
            yield lent

    def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """PredictionService.Predict. Raises ServingError."""
        _need_spec(request)
        with self.lend(request.model_spec) as (version, model):
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            check_names(model.signature(name), request.inputs)
            inputs = {
                alias: tensors.from_proto(proto, alias, self.max_message_bytes)
                for alias, proto in request.inputs.items()
            }
            outputs = model.predict(name, inputs, request.output_filter)
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(_spec(request.model_spec.name, version, name))
        for alias, value in outputs.items():
            response.outputs[alias].CopyFrom(tensors.to_proto(value))
        return response

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """PredictionService.GetModelMetadata. Raises ServingError."""
        _need_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self.lend(request.model_spec) as (version, model):
            for name, signature in model.signature_def.items():
                signatures.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse(
            model_spec=_spec(request.model_spec.name, version)
        )
        response.metadata["signature_def"].Pack(signatures)
        return response

    def status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """ModelService.GetModelStatus. Raises ServingError."""
        _need_spec(request)
        spec = request.model_spec
        if spec.version_label:
            raise invalid(f"Unrecognized servable version label: {spec.version_label}")
        found = self.versions[spec.name].statuses() if spec.name in self.versions else []
        missing = f"Could not find any versions of model {spec.name}"
        if spec.HasField("version"):
            found = [status for status in found if status.version == spec.version.value]
            missing = f"Could not find version {spec.version.value} of model {spec.name}"
        if not found:
            raise ServingError(grpc.StatusCode.NOT_FOUND, missing)
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in found:
            _add_status(response, status)
        return response


def _need_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _spec(name: str, version: int, signature_name: str = "") -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=name, signature_name=signature_name)
    spec.version.value = version
    return spec


def _add_status(
    response: get_model_status_pb2.GetModelStatusResponse, status: VersionStatus
) -> None:
    proto = response.model_version_status.add(version=status.version, state=status.state)
    proto.status.error_code = status.code.value[0]
    proto.status.error_message = status.message
