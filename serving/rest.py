"""TensorFlow Serving's REST API (https://www.tensorflow.org/tfx/serving/api_rest) on aiohttp."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from aiohttp import web
from google.protobuf import json_format

from serving.errors import ServingError, invalid
from serving.json_tensors import answer_json, read_inputs
from serving.models import Models
from serving.protos import get_model_metadata_pb2, get_model_status_pb2, model_pb2

_PREDICT = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:(classify|regress|predict)", re.I
)
_STATUS = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?", re.I
)
# tensorflow_serving/model_servers/http_server.cc, ToHTTPStatusCode. Everything else is 500.
_HTTP_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}

_log = logging.getLogger(__name__)


class RestServer:
    """Answers HTTP requests on a listening socket, in an event loop of its own thread.

    Requests are parsed and answered in `threads` other threads, so that a large one holds up no
    other. At the stop those in flight have `grace` seconds to end.
    """

    def __init__(self, listener: socket.socket, models: Models, threads: int, grace: float) -> None:
        self._listener = listener
        self._grace = grace
        self._models = models
        self._loop = asyncio.new_event_loop()
        self._pool = futures.ThreadPoolExecutor(threads, thread_name_prefix="rest")
        self._thread = threading.Thread(target=self._loop.run_forever, name="rest", daemon=True)
        self._runner: web.AppRunner | None = None

    def start(self) -> None:
        """Starts to answer."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def stop(self) -> None:
        """Closes the socket and lets the requests in flight end."""
        if self._thread.is_alive():
            if self._runner:
                stopping = self._runner.cleanup()
                asyncio.run_coroutine_threadsafe(stopping, self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._pool.shutdown()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=self._models.max_message_bytes)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=self._grace)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener).start()

    async def _handle(self, request: web.Request) -> web.Response:
        path = request.rel_url.raw_path
        if not path.lower().startswith("/v1/"):
            return _error(404, "Not Found")
        try:
            limit = self._models.max_message_bytes
            if (request.content_length or 0) > limit:
                raise web.HTTPRequestEntityTooLarge(limit, request.content_length or 0)
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _error(413, f"the request is larger than the limit of {limit} bytes")
        answer = asyncio.get_running_loop().run_in_executor(
            self._pool, _answer, self._models, request.method, path, body
        )
        return await answer


def _answer(models: Models, method: str, path: str, body: bytes) -> web.Response:
    try:
        text = _dispatch(models, method, path, body)
    except ServingError as error:
        return _error(_HTTP_STATUS.get(error.code, 500), error.message)
    except Exception as error:
        _log.exception("a request failed")
        return _error(500, f"{type(error).__name__}: {error}")
    return web.Response(text=text, content_type="application/json")


def _dispatch(models: Models, method: str, path: str, body: bytes) -> str:
    if method == "POST" and (match := _PREDICT.fullmatch(path)):
        name, version, label, verb = match.groups()
        if verb.lower() != "predict":
            raise ServingError(
                grpc.StatusCode.UNIMPLEMENTED, f":{verb} is not served by the embedded server"
            )
        return _predict(models, _spec(name, version, label), body)
    if method == "GET" and (match := _STATUS.fullmatch(path)):
        name, version, label, part = match.groups()
        if not name:
            raise invalid("Missing model name in request.")
        show: Callable[[Models, model_pb2.ModelSpec], str] = _metadata if part else _status
        return show(models, _spec(name, version, label))
    raise invalid(f"Malformed request: {method} {path}")


def _predict(models: Models, spec: model_pb2.ModelSpec, body: bytes) -> str:
    document = _parse(body)
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid("'signature_name' key must be a string value.")
    with models.lend(spec) as (_, model):
        if (name or "serving_default") not in model.signature_def:
            raise invalid(
                f'Serving signature name: "{name or "serving_default"}" not found in signature def'
            )
        inputs, by_row = read_inputs(document, model.signature(name).inputs)
        return answer_json(model.predict(name, inputs), by_row)


def _status(models: Models, spec: model_pb2.ModelSpec) -> str:
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
    return json.dumps(_to_dict(models.status(request)), indent=1)


def _metadata(models: Models, spec: model_pb2.ModelSpec) -> str:
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=spec, metadata_field=["signature_def"]
    )
    response = models.metadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    document = {
        "model_spec": _to_dict(response.model_spec),
        "metadata": {"signature_def": _to_dict(signatures)},
    }
    return json.dumps(document, indent=1)


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid("JSON Value: Is not object")
    return document


def _spec(name: str, version: str | None, label: str | None) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(name))
    if version:
        if int(version) >= 1 << 63:
            raise invalid(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    if label:
        spec.version_label = urllib.parse.unquote(label)
    return spec


def _to_dict(message: Any) -> dict[str, Any]:
    # The option that writes zeros and empty strings out changed its name in protobuf 5.
    options = {"preserving_proto_field_name": True}
    try:
        return json_format.MessageToDict(
            message, always_print_fields_with_no_presence=True, **options
        )
    except TypeError:
        return json_format.MessageToDict(message, including_default_value_fields=True, **options)


def _error(status: int, message: str) -> web.Response:
    return web.Response(
        status=status, text=json.dumps({"error": message}), content_type="application/json"
    )
