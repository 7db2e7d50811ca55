"""TensorFlow Serving's REST API (https://www.tensorflow.org/tfx/serving/api_rest) on aiohttp."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
import urllib.parse
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from google.protobuf import json_format

from serving import json_text
from serving.errors import ServingError, invalid, translated
from serving.json_examples import classification_json, read_examples, regression_json
from serving.json_tensors import answer_json, read_inputs
from serving.json_values import shown
from serving.models import Models
from serving.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)
from serving.saved_model import DEFAULT_SIGNATURE

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
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
# zlib's names of a header and a window.
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
# Deflate makes a thousand bytes of one. JSON of photographs has up to ten bytes a byte; a body that
# has more than a hundred costs much to read and nothing to send. Small ones may be of one colour.
_MOST_UNPACKED_A_BYTE = 100
_FREE_UNPACKED_BYTES = 16 << 20
# Of a version; more take Python long.
_MOST_DIGITS = 19


class RestServer:
    """Answers HTTP requests on a listening socket, in the event loop.

    Requests are parsed and answered in threads, so that a large one holds up no other. At the stop
    those in flight have `grace` seconds to end.
    """

    def __init__(
        self, models: Models, metrics_path: str | None, timeout: float, cors: bool
    ) -> None:
        """Takes the settings.

        metrics_path: where Prometheus asks, None for nowhere; timeout: of a request, seconds;
        cors: whether browsers are told that the scripts of any page may ask.
        """
        self._models = models
        self._metrics_path = metrics_path
        self._timeout = timeout
        self._headers = _CORS if cors else {}
        self._runner: web.ServerRunner | None = None

    async def start(self, listener: socket.socket, grace: float) -> None:
        """Starts to answer."""
        server = _HttpServer(self._handle, self._models.max_message_bytes, self._timeout)
        self._runner = web.ServerRunner(server, shutdown_timeout=grace)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Closes the socket and lets the requests in flight end."""
        if self._runner:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        path = request.rel_url.raw_path
        if path == self._metrics_path and request.method == "GET":
            return web.Response(body=self._models.metrics.text(), content_type="text/plain")
        if not path.lower().startswith("/v1/"):
            return _error(404, "Not Found")
        answer = await self._answer(request, path)
        answer.headers.update(self._headers)
        return answer

    async def _answer(self, request: web.BaseRequest, path: str) -> web.Response:
        limit = self._models.max_message_bytes
        try:
            if request.method == "OPTIONS":
                return _preflight(request)
            if (request.content_length or 0) > limit:
                raise web.HTTPRequestEntityTooLarge(limit, request.content_length or 0)
            await _invite(request)
            body = await asyncio.wait_for(request.read(), self._timeout)
            if encoding := request.headers.get("Content-Encoding"):
                body = await self._models.in_thread(_decompressed, body, encoding, limit)
            answer = self._dispatch(request.method, path, body)
            text = await asyncio.wait_for(answer, self._timeout)
        except web.HTTPRequestEntityTooLarge:
            return _error(413, f"the request is larger than the limit of {limit} bytes")
        except ConnectionError:
            return _error(499, "the connection was lost in the middle of the request")
        except (HttpProcessingError, web.RequestPayloadError) as error:
            return _error(400, invalid(f"the body is not as its headers say: {error}").message)
        except asyncio.TimeoutError:
            return _error(504, f"the request took more than {self._timeout:g} s")
        except Exception as error:
            return _refused(translated(error))
        # Bytes, so that the type is the one that TensorFlow Serving says, without a charset.
        return web.Response(body=text.encode(), content_type="application/json")

    async def _dispatch(self, method: str, path: str, body: bytes) -> str:
        if method == "POST" and (match := _PREDICT.fullmatch(path)):
            name, version, label, verb = match.groups()
            return await self._infer(verb.lower(), _spec(name, version, label), body)
        if method == "GET" and (match := _STATUS.fullmatch(path)):
            name, version, label, part = match.groups()
            if not name:
                raise invalid("Missing model name in request.")
            show = _metadata if part else _status
            return show(self._models, _spec(name, version, label))
        raise invalid(f"Malformed request: {method} {path}")

    async def _infer(self, verb: str, spec: model_pb2.ModelSpec, body: bytes) -> str:
        answers = {
            "predict": self._predict,
            "classify": self._classify,
            "regress": self._regress,
        }
        begun, status = time.perf_counter(), "OK"
        try:
            limit = self._models.max_message_bytes
            document = await self._models.in_thread(json_text.parse, body, limit)
            signature = document.get("signature_name", "")
            if not isinstance(signature, str):
                raise invalid(
                    f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key "
                    "must be a string value."
                )
            spec.signature_name = signature
            return await answers[verb](spec, document)
        except BaseException as error:
            failed = isinstance(error, Exception)
            status = translated(error).code.name if failed else "CANCELLED"
            raise
        finally:
            if spec.name in self._models.versions:
                seconds = time.perf_counter() - begun
                self._models.metrics.request(spec.name, verb.capitalize(), "REST", status, seconds)

    async def _predict(self, spec: model_pb2.ModelSpec, document: dict[str, Any]) -> str:
        name = spec.signature_name or DEFAULT_SIGNATURE
        with self._models.lend(spec) as lent:
            if name not in lent.model.signature_def:
                raise invalid(f'Serving signature name: "{name}" not found in signature def')
            lent.model.signature(name)  # can it be called?
            wanted = lent.model.signature_def[name].inputs

            def inputs() -> tuple[dict[str, Any], bool]:
                arrays, by_row = read_inputs(document, wanted)
                for alias, array in arrays.items():
                    self._models.check_images(alias, array)
                return arrays, by_row

            arrays, by_row = await self._models.in_thread(inputs)
            outputs = await self._models.infer(lent, name, arrays)
            return await self._models.in_thread(answer_json, outputs, by_row)

    async def _classify(self, spec: model_pb2.ModelSpec, document: dict[str, Any]) -> str:
        request = classification_pb2.ClassificationRequest(model_spec=spec)
        await self._models.in_thread(read_examples, document, request.input)
        response = await self._models.classify(request)
        return await self._models.in_thread(classification_json, response.result)

    async def _regress(self, spec: model_pb2.ModelSpec, document: dict[str, Any]) -> str:
        request = regression_pb2.RegressionRequest(model_spec=spec)
        await self._models.in_thread(read_examples, document, request.input)
        response = await self._models.regress(request)
        return await self._models.in_thread(regression_json, response.result)


async def _invite(request: web.BaseRequest) -> None:
    """Has a client that waits for it, as curl does with more than a megabyte, send its body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


def _preflight(request: web.BaseRequest) -> web.Response:
    """What a browser is told before it asks. Raises ServingError where no web page is behind it."""
    if re.search("https?://", request.headers.get("Origin", "")):
        return web.Response()
    raise ServingError(
        grpc.StatusCode.FAILED_PRECONDITION, "Origin header is missing in CORS preflight"
    )


class _HttpServer(web.Server):
    """Takes connections; bodies of `limit` bytes, `timeout` seconds."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.Response]],
        limit: int,
        timeout: float,
    ) -> None:
        self._limit, self._timeout = limit, timeout
        # A caller who hangs up need not be answered: what waits for a thread is dropped.
        super().__init__(handler, request_factory=self._request, handler_cancellation=True)

    def _request(self, message, payload, protocol, writer, task) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(
            message, payload, protocol, writer, task, loop, client_max_size=self._limit
        )

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,
            # It would unpack a megabyte to a gigabyte before it looked at the limit.
            auto_decompress=False,
            # One who sends nothing, or the half of a header, is let go after this long.
            keepalive_timeout=self._timeout,
        )


class _Connection(web.RequestHandler):
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Says what is no HTTP in JSON, as everything else; only our own faults are logged."""
        if status >= 500:
            message = super().handle_error(request, status, exc, message).text
        answer = _error(status, invalid(message or "").message)
        answer.force_close()
        return answer


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


def _decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """What a body of Content-Encoding gzip or deflate holds.

    Raises HTTPRequestEntityTooLarge for more than `limit` bytes, ServingError(INVALID_ARGUMENT) for
    another encoding, a body that is none of it, or one that holds far more than its bytes.
    """
    if encoding.lower() not in _WINDOWS:
        raise invalid(f"Content-Encoding: {encoding} is not supported")
    most = min(limit, max(_FREE_UNPACKED_BYTES, _MOST_UNPACKED_A_BYTE * len(body)))
    unpacker = zlib.decompressobj(_WINDOWS[encoding.lower()])
    try:
        content = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise invalid(f"the body is no {encoding}: {error}") from error
    if len(content) > limit:
        raise web.HTTPRequestEntityTooLarge(limit, len(content))
    if len(content) > most:
        raise invalid(
            f"the body of {len(body)} bytes holds more than {_MOST_UNPACKED_A_BYTE} times as many"
        )
    if not unpacker.eof:
        raise invalid(f"the body is no {encoding}: it is cut off")
    return content


def _spec(name: str, version: str | None, label: str | None) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(name))
    if version:
        if len(version) > _MOST_DIGITS or int(version) >= 1 << 63:
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


def _refused(refusal: ServingError) -> web.Response:
    return _error(_HTTP_STATUS.get(refusal.code, 500), refusal.message)


def _error(status: int, message: str) -> web.Response:
    return web.Response(status=status, body=_error_json(message), content_type="application/json")


def _error_json(message: str) -> bytes:
    return json.dumps({"error": message}).encode()
