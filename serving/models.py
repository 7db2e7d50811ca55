"""The models being served: the answers that the gRPC and the REST API both give."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any, TypeVar

import grpc
import numpy as np

from serving import inference, tensors
from serving.batching import Scheduler
from serving.errors import ServingError, invalid, not_found
from serving.images import MAX_IMAGE_PIXELS, check_pixels
from serving.metrics import Metrics
from serving.model_config import ModelConfig, from_proto
from serving.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)
from serving.saved_model import DEFAULT_SIGNATURE
from serving.settings import BatchingParameters
from serving.versions import SETTLE_SECONDS, LoadedVersion, ModelVersions, VersionStatus

# Requests beyond are taken apart in threads, so that they do not hold up the others; the second
# where values are read one by one.
_LARGE_BYTES, _LARGE_LIST_BYTES = 256 << 10, 8 << 10
_LARGE_RESULT = 10_000  # values
_TAKING_APART = 4
_MOST_TASKS = 1000  # of a MultiInference
_RELOAD_SECONDS = 120.0

_Result = TypeVar("_Result")


class Models:
    """Names to models. Requests and answers are TensorFlow Serving's messages.

    Coroutines run in the server's event loop. `on_new` is called with each model that a reload
    adds: it polls it until it is cancelled, and closes it then. A request's tensor may not claim
    more than `max_message_bytes`, an image in it no more than `max_image_pixels`.
    """

    def __init__(
        self,
        configs: Sequence[ModelConfig],
        max_message_bytes: int,
        batching: BatchingParameters | None = None,
        max_image_pixels: int = MAX_IMAGE_PIXELS,
        settle_seconds: float = SETTLE_SECONDS,
        on_new: Callable[[ModelVersions], None] = lambda _: None,
    ) -> None:
        self._on_new = on_new
        self._settle_seconds = settle_seconds
        self.max_message_bytes = max_message_bytes
        self.metrics = Metrics()
        self.versions = {config.name: self._new(config) for config in configs}
        self._max_image_pixels = max_image_pixels
        self._scheduler = Scheduler(batching, max_message_bytes, self._called)
        self._pool = futures.ThreadPoolExecutor(_TAKING_APART, thread_name_prefix="messages")
        self._reloading = threading.Lock()

    def cancel(self) -> None:
        """Ends all waiting for models."""
        for versions in self.versions.values():
            versions.cancel(ServingError(grpc.StatusCode.UNAVAILABLE, "the server is stopping"))

    def close(self) -> None:
        """Ends the threads and unloads the models. Waits for the requests still running."""
        self._scheduler.shut_down()
        self._pool.shutdown()
        for versions in self.versions.values():
            versions.close()

    def lend(self, spec: model_pb2.ModelSpec) -> LoadedVersion:
        """The version that `spec` asks for, held: `with` it.

        Raises ServingError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        versions = self.versions.get(spec.name)
        version = spec.version.value if spec.HasField("version") else None
        if versions is None:
            raise not_found(spec.name, version)
        if spec.version_label:
            version = versions.labelled(spec.version_label)
        return versions.lend(version)

    async def in_thread(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """What `function` returns; for what would hold up the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, function, *arguments)

    async def infer(
        self,
        lent: LoadedVersion,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        output_filter: Sequence[str] = (),
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature, all or those in `output_filter`. Raises ServingError."""
        lent.model.check(signature, inputs, output_filter)
        outputs = await self._scheduler.run(lent, signature, inputs)
        return {name: outputs[name] for name in output_filter} if output_filter else outputs

    async def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """PredictionService.Predict. Raises ServingError."""
        need_spec(request)
        with self.lend(request.model_spec) as lent:
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            lent.model.signature(name).check_names(request.inputs)
            in_pieces = all(map(tensors.is_one_piece, request.inputs.values()))
            limit = _LARGE_BYTES if in_pieces else _LARGE_LIST_BYTES
            inputs = await self._if(request.ByteSize() > limit, self._inputs, request)
            outputs = await self.infer(lent, name, inputs, request.output_filter)
            response = predict_pb2.PredictResponse()
            response.model_spec.CopyFrom(_spec(lent, name))
            values = sum(array.size for array in outputs.values())
            await self._if(values > _LARGE_RESULT, _fill, response, outputs)
        return response

    async def classify(
        self, request: classification_pb2.ClassificationRequest
    ) -> classification_pb2.ClassificationResponse:
        """PredictionService.Classify. Raises ServingError."""
        return await self._with_examples(
            request, inference.check_classification, inference.classification,
            classification_pb2.ClassificationResponse,
        )  # fmt: skip

    async def regress(
        self, request: regression_pb2.RegressionRequest
    ) -> regression_pb2.RegressionResponse:
        """PredictionService.Regress. Raises ServingError."""
        return await self._with_examples(
            request, inference.check_regression, inference.regression,
            regression_pb2.RegressionResponse,
        )  # fmt: skip

    async def multi_inference(
        self, request: inference_pb2.MultiInferenceRequest
    ) -> inference_pb2.MultiInferenceResponse:
        """PredictionService.MultiInference. Raises ServingError."""
        if not request.tasks:
            raise invalid("Inference request has no tasks.")
        if len(request.tasks) > _MOST_TASKS:
            # Each is of another signature.
            raise invalid(f"Inference request has more than {_MOST_TASKS} tasks.")
        specs = [task.model_spec for task in request.tasks]
        if not all(spec.name for spec in specs):
            raise invalid("Found ModelSpec with an empty model name.")
        if {spec.name for spec in specs} != {specs[0].name}:
            raise invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        response = inference_pb2.MultiInferenceResponse()
        with self.lend(specs[0]) as lent:
            names = inference.check_tasks(request, lent.model.signature_def, DEFAULT_SIGNATURE)
            examples = await self._read_examples(request)
            for task, name in zip(request.tasks, names, strict=True):
                outputs = await self.infer(lent, name, {inference.INPUTS: examples})
                result = response.results.add(model_spec=_spec(lent, name))
                if task.method_name == inference.CLASSIFY:
                    made = await self.in_thread(inference.classification, outputs, len(examples))
                    result.classification_result.CopyFrom(made)
                else:
                    made = await self.in_thread(inference.regression, outputs, len(examples))
                    result.regression_result.CopyFrom(made)
        return response

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """PredictionService.GetModelMetadata. Raises ServingError."""
        need_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self.lend(request.model_spec) as lent:
            for name, signature in lent.model.signature_def.items():
                signatures.signature_def[name].CopyFrom(signature)
            response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(lent))
        response.metadata["signature_def"].Pack(signatures)
        return response

    def status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """ModelService.GetModelStatus. Raises ServingError."""
        need_spec(request)
        spec = request.model_spec
        versions = self.versions.get(spec.name)
        found = versions.statuses() if versions else []
        missing = f"Could not find any versions of model {spec.name}"
        version = spec.version.value if spec.HasField("version") else None
        if spec.version_label and versions:
            version = versions.labelled(spec.version_label)
        if version is not None:
            found = [status for status in found if status.version == version]
            missing = f"Could not find version {version} of model {spec.name}"
        if not found:
            raise ServingError(grpc.StatusCode.NOT_FOUND, missing)
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in found:
            _add_status(response, status, versions.public(status.message))
        return response

    def reload(
        self, request: model_management_pb2.ReloadConfigRequest
    ) -> model_management_pb2.ReloadConfigResponse:
        """ModelService.HandleReloadConfigRequest; waits for the new models, so not in the loop.

        Raises ServingError: INVALID_ARGUMENT for a config that makes no sense, UNKNOWN for models
        that did not become available, FAILED_PRECONDITION for labels of versions that did not.
        """
        self.apply(from_proto(request.config))
        return model_management_pb2.ReloadConfigResponse(
            status={"error_code": grpc.StatusCode.OK.value[0]}
        )

    def apply(self, configs: Sequence[ModelConfig]) -> None:
        """Serves these models instead, and no others. Raises ServingError as `reload` does."""
        deadline = time.monotonic() + _RELOAD_SECONDS
        with self._reloading:
            added = self._exchange(configs)
        self._wait_for(added, deadline)
        for config in configs:
            versions = self.versions.get(config.name)
            # Another reload may have taken it away meanwhile.
            if versions is None or versions.config.base_path != config.base_path:
                continue
            for version in config.labels.values():
                if not versions.wait_for(version, deadline - time.monotonic()):
                    raise ServingError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {config.name}, "
                        "which is not currently available for inference",
                    )
            versions.configure(config, config.labels)

    def _exchange(self, configs: Sequence[ModelConfig]) -> list[ModelVersions]:
        """Takes these models in the place of what there is; those that are new."""
        labels = {name: versions.config.labels for name, versions in self.versions.items()}
        kept, added = {}, []
        for config in configs:
            old = self.versions.get(config.name)
            if old is None or old.config.base_path != config.base_path:
                kept[config.name] = self._new(dataclasses.replace(config, labels={}))
                added.append(kept[config.name])
            else:
                # Labels come last: they may only be of versions that serve.
                old.configure(config, labels[config.name])
                kept[config.name] = old
        self.versions, before = kept, self.versions
        gone = [old for old in before.values() if kept.get(old.name) is not old]
        for old in gone:
            old.cancel(ServingError(grpc.StatusCode.ABORTED, "another reload took it away"))
        for versions in added:
            self._on_new(versions)
        return added

    def _wait_for(self, added: Sequence[ModelVersions], deadline: float) -> None:
        problems = []
        for versions in added:
            try:
                versions.wait_until_available(deadline - time.monotonic(), must_be_there=True)
            except ServingError as error:
                why = versions.public(error.message)
                problems.append(f"{{{versions.name} due to error: {why}}}")
        if problems:
            raise ServingError(
                grpc.StatusCode.UNKNOWN,
                f"{len(problems)} servable(s) did not become available: {{{', '.join(problems)}}}",
            )

    def _new(self, config: ModelConfig) -> ModelVersions:
        return ModelVersions(config, self._settle_seconds)

    def _called(self, lent: LoadedVersion, signature: str, seconds: float, rows: int) -> None:
        self.metrics.call(lent.name, signature or DEFAULT_SIGNATURE, seconds, rows)

    async def _with_examples(self, request, check, convert, response_class) -> Any:
        need_spec(request)
        with self.lend(request.model_spec) as lent:
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            if name not in lent.model.signature_def:
                raise invalid(f"No signature was found with the name: {name}")
            lent.model.signature(name)  # can it be called?
            check(lent.model.signature_def[name])
            examples = await self._read_examples(request)
            outputs = await self.infer(lent, name, {inference.INPUTS: examples})
            result = await self.in_thread(convert, outputs, len(examples))
            return response_class(model_spec=_spec(lent, name), result=result)

    def _inputs(self, request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
        inputs, left = {}, self.max_message_bytes
        for alias, proto in request.inputs.items():
            inputs[alias] = tensors.from_proto(proto, alias, left)
            left -= inputs[alias].nbytes
            self.check_images(alias, inputs[alias])
        return inputs

    async def _read_examples(self, request: Any) -> np.ndarray:
        large = request.ByteSize() > _LARGE_LIST_BYTES
        return await self._if(large, self._examples, request)

    def _examples(self, request: Any) -> np.ndarray:
        examples = inference.serialized_examples(request.input, self.max_message_bytes)
        self.check_images(inference.INPUTS, examples)
        return examples

    def check_images(self, alias: str, array: np.ndarray) -> None:
        """Raises ServingError(INVALID_ARGUMENT) where an image in `array` is too large."""
        check_pixels(alias, array, self._max_image_pixels)

    async def _if(self, large: bool, function: Callable[..., _Result], *arguments: Any) -> _Result:
        return await self.in_thread(function, *arguments) if large else function(*arguments)


def need_spec(request: Any) -> None:
    """Raises ServingError(INVALID_ARGUMENT) where the request names no model."""
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _fill(response: predict_pb2.PredictResponse, outputs: Mapping[str, np.ndarray]) -> None:
    for alias, value in outputs.items():
        tensors.fill(response.outputs[alias], value)


def _spec(lent: LoadedVersion, signature_name: str = "") -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=lent.name, signature_name=signature_name)
    spec.version.value = lent.version
    return spec


def _add_status(
    response: get_model_status_pb2.GetModelStatusResponse, status: VersionStatus, message: str
) -> None:
    proto = response.model_version_status.add(version=status.version, state=status.state)
    proto.status.error_code = status.code.value[0]
    proto.status.error_message = message
