"""TensorFlow Serving's gRPC services, gRPC's own health service, and reflection."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from serving import field_count
from serving.errors import ServingError, let_go, translated
from serving.models import Models
from serving.protos import (
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
    session_service_pb2,
)
from serving.settings import TlsSettings

_PREDICTION = "tensorflow.serving.PredictionService"
_MODEL = "tensorflow.serving.ModelService"
_SESSION = "tensorflow.serving.SessionService"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_QUICKLY_COUNTED = 500  # fields of a message, in the event loop


class GrpcServer:
    """The gRPC side of a server; made, started and stopped in the event loop."""

    def __init__(
        self, models: Models, max_message_bytes: int, options: Mapping[str, int | str]
    ) -> None:
        options = {
            # With gRPC's default two servers share a port and each gets some of the requests.
            "grpc.so_reuseport": 0,
            "grpc.max_receive_message_length": max_message_bytes,
            "grpc.max_send_message_length": -1,
            **options,
        }
        self._server = grpc.aio.server(options=list(options.items()))
        self._health = health.aio.HealthServicer()
        self._whole = False
        services = _Services(self._server)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _PredictionService(models), services
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(models), services)
        services.add_generic_rpc_handlers((_session_service(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, services)
        reflection.enable_server_reflection(
            [_PREDICTION, _MODEL, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )

    def bind(self, address: str, tls: TlsSettings | None) -> int:
        """The port it listens on; 0 or RuntimeError where it cannot be had."""
        if tls:
            return self._server.add_secure_port(address, tls.credentials())
        return self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Starts to answer."""
        await self.set_health({}, [])
        await self._server.start()

    async def stop(self, grace: float | None) -> None:
        """Lets the requests in flight end for `grace` seconds."""
        await self._server.stop(grace)

    async def set_health(self, available: dict[str, bool], served: Sequence[str]) -> None:
        """Serving as a whole once every model is, and while those go on that have `served`; each by
        its name, too."""
        before = [available[name] for name in served]
        whole = self._whole and bool(before) and all(before)
        self._whole = whole = whole or (bool(available) and all(available.values()))
        services = {"": whole, _PREDICTION: whole, _MODEL: True, **available}
        for name, serving in services.items():
            await self._health.set(name, _SERVING if serving else _NOT_SERVING)


class _Services:
    """Takes services in the server's place, and gives them to it with `_Decoding`."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._server.add_generic_rpc_handlers([_Decoding(each) for each in handlers])

    def add_registered_method_handlers(self, _service: str, _handlers: Mapping[str, Any]) -> None:
        """The same methods once more, from newer generated code: gRPC's asyncio part takes none."""


class _Decoding(grpc.GenericRpcHandler):
    """Refuses bytes that are no message with INTERNAL, as gRPC in C++ does.

    In Python gRPC's own decoding ends the call with UNKNOWN, and with a traceback in the log. An
    interceptor would do the same and costs some 30 us a request.
    """

    def __init__(self, inner: grpc.GenericRpcHandler) -> None:
        self._inner = inner
        self._methods: dict[str, grpc.RpcMethodHandler] = {}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = details.method
        if method in self._methods:
            return self._methods[method]
        handler = self._inner.service(details)
        if handler is not None:
            if handler.unary_unary is not None:
                handler = _decoding(method, handler)
            self._methods[method] = handler
        return handler


def _decoding(method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    descriptor = handler.request_deserializer(b"").DESCRIPTOR

    async def decode(content: bytes, context: grpc.aio.ServicerContext) -> Any:
        if not await _few_fields(content, descriptor):
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the request of {method} has more than {field_count.MOST} fields",
            )
        try:
            request = handler.request_deserializer(content)
        except DecodeError as error:
            await context.abort(
                grpc.StatusCode.INTERNAL, f"the request of {method} is no message: {error}"
            )
        try:
            return await handler.unary_unary(request, context)
        except grpc.aio.AbortError as error:
            # gRPC's context keeps it, and it the context.
            let_go(error)
            content = request = None
            raise

    return grpc.unary_unary_rpc_method_handler(
        decode, response_serializer=handler.response_serializer
    )


async def _few_fields(content: bytes, descriptor: Descriptor) -> bool:
    """Whether the parser will take no longer than others can wait."""
    if len(content) <= field_count.UNCOUNTED_BYTES:
        return True
    if field_count.has_at_most(content, descriptor, _QUICKLY_COUNTED):
        return True
    return await asyncio.to_thread(field_count.has_at_most, content, descriptor, field_count.MOST)


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    async def Predict(self, request, context):
        return await self._answer("Predict", self._models.predict, request, context)

    async def Classify(self, request, context):
        return await self._answer("Classify", self._models.classify, request, context)

    async def Regress(self, request, context):
        return await self._answer("Regress", self._models.regress, request, context)

    async def MultiInference(self, request, context):
        return await self._answer("MultiInference", self._models.multi_inference, request, context)

    async def GetModelMetadata(self, request, context):
        return await answer(self._models.metadata, request, context)

    async def _answer(self, api: str, method: Callable[[Any], Any], request, context) -> Any:
        spec = request.tasks[0].model_spec if api == "MultiInference" and request.tasks else None
        spec = spec or getattr(request, "model_spec", None)
        # Any name could come in; counted are the models that there are.
        name = spec.name if spec is not None and spec.name in self._models.versions else ""
        begun, status = time.perf_counter(), "OK"
        try:
            return await answer(method, request, context)
        except asyncio.CancelledError:
            status = "CANCELLED"
            raise
        except BaseException:
            status = _name(context.code())
            raise
        finally:
            if name:
                seconds = time.perf_counter() - begun
                self._models.metrics.request(name, api, "GRPC", status, seconds)


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    async def GetModelStatus(self, request, context):
        return await answer(self._models.status, request, context)

    async def HandleReloadConfigRequest(self, request, context):
        async def reload(request):
            return await asyncio.to_thread(self._models.reload, request)

        return await answer(reload, request, context)


def _session_service() -> grpc.GenericRpcHandler:
    """SessionRun, which tensorflow_model_server does not offer either, refused in words."""

    async def refuse(request, context):
        await context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "SessionService.SessionRun would let clients run any part of the graph; it is not "
            "served. Call a signature: PredictionService.Predict",
        )

    method = grpc.unary_unary_rpc_method_handler(
        refuse,
        request_deserializer=session_service_pb2.SessionRunRequest.FromString,
        response_serializer=session_service_pb2.SessionRunResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(_SESSION, {"SessionRun": method})


async def answer(
    method: Callable[[Any], Any], request: Any, context: grpc.aio.ServicerContext
) -> Any:
    """What `method` (a function or a coroutine function) answers; its errors become statuses."""
    try:
        found = method(request)
        return await found if inspect.isawaitable(found) else found
    except Exception as error:
        await _refuse(context, translated(error))


async def _refuse(context: grpc.aio.ServicerContext, refusal: ServingError) -> None:
    await context.abort(refusal.code, refusal.message)


def _name(code: Any) -> str:
    """The name of a status, which gRPC's asyncio part may give as a number."""
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((each.name for each in grpc.StatusCode if each.value[0] == code), "UNKNOWN")
