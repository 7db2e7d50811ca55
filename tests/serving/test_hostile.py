"""What strangers send: an error each, and the server goes on."""

import base64
import gc
import gzip
import http.client
import io
import json
import socket
import struct
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from PIL import Image
from tensorflow_serving.apis import input_pb2, predict_pb2

from serving.client import Client, ServingError
from serving.images import check_pixels
from serving.json_examples import read_examples
from serving.server import Server

from .conftest import SIZE

METHODS = [
    "PredictionService/Predict",
    "PredictionService/Classify",
    "PredictionService/Regress",
    "PredictionService/MultiInference",
    "PredictionService/GetModelMetadata",
    "ModelService/GetModelStatus",
    "PredictionService/None",
]


def picture(width, height, kind):
    if kind == "png":
        head = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
        chunk = b"IHDR" + head
        length, check = struct.pack(">I", len(head)), struct.pack(">I", zlib.crc32(chunk))
        return b"\x89PNG\r\n\x1a\n" + length + chunk + check
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    if kind == "jpeg":
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", height, width)
    elif kind == "gif":
        content[6:10] = struct.pack("<HH", width, height)
    else:
        content[18:26] = struct.pack("<II", width, height)
    return bytes(content)


def ask(channel, method, content):
    """The status of a request of any bytes; INVALID for what is no message at all."""
    call = channel.unary_unary(f"/tensorflow.serving.{method}")
    try:
        call(content, timeout=20)
    except grpc.RpcError as error:
        undecodable = f"the request of /tensorflow.serving.{method} is no message"
        if error.code() is grpc.StatusCode.INTERNAL and undecodable in error.details():
            return "INVALID"
        return error.code().name
    return "OK"


@pytest.mark.parametrize(
    "method",
    [
        *(f"tensorflow.serving.{method}" for method in METHODS[:-1]),
        "tensorflow.serving.SessionService/SessionRun",
        "grpc.health.v1.Health/Check",
    ],
)
def test_bytes_that_are_no_message(channel, alive, caplog, method):
    with pytest.raises(grpc.RpcError, match=f"the request of /{method} is no message") as error:
        channel.unary_unary(f"/{method}")(b"\xff\xff\xff", timeout=20)
    assert error.value.code() is grpc.StatusCode.INTERNAL
    assert caplog.records == []  # gRPC's own would be a traceback
    alive()


@pytest.mark.parametrize(
    ("kind", "in_example"),
    [
        ("png", False),
        ("jpeg", False),
        ("gif", False),
        ("bmp", False),
        ("png", True),
        ("jpeg", True),
    ],
)
def test_an_image_that_claims_to_be_enormous(target, alive, kind, in_example):
    image = picture(60_000, 50_000, kind)
    with (
        Client(f"127.0.0.1:{target.grpc_port}") as client,
        pytest.raises(ServingError, match=r"(60000 x 50000|2147483648 x \d+) pixels") as error,
    ):
        if in_example:
            client.classify("small", [image])
        else:
            client.call("small", {"examples": np.array([image], object)})
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    alive()


def test_bad_neighbours_in_a_batch(target, photographs, alive):
    """Requests that share batches with broken images are answered all the same."""
    good, bad = photographs["cat"], photographs["cat"][:50]
    with Client(f"127.0.0.1:{target.grpc_port}") as client:
        expected = client.predict("small", [good])[0]["scores"]

        def ask(image):
            try:
                return client.predict("small", [image])[0]["scores"]
            except ServingError as error:
                return error.code

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, [good, bad] * 8))
    for answer in answers[::2]:
        np.testing.assert_allclose(answer, expected, rtol=1e-4)
    assert answers[1::2] == [grpc.StatusCode.INVALID_ARGUMENT] * 8


def test_slow_clients_hold_up_nobody(target, alive):
    halves = []
    for port, start in ((target.rest_port, b"POST /v1/models/small:predict HTTP/1.1\r\nHost: x"),
                        (target.rest_port, b"POST /v1/models/small:predict HTTP/1.1\r\nHost: x\r\n"
                                           b"Content-Length: 1000\r\n\r\n{"),
                        (target.grpc_port, b"PRI * HTTP/2.0\r\n")):  # fmt: skip
        for _ in range(20):
            halves.append(socket.create_connection(("127.0.0.1", port), timeout=30))
            halves[-1].sendall(start)
    alive()
    for half in halves:
        half.close()
    alive()


def test_a_rest_request_has_a_time_limit(one_version):
    with Server({"small": one_version}, rest_timeout=0.2) as server:
        server.wait_until_available("small")
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=30)
        body = json.dumps({"signature_name": "spin", "instances": [100_000]})
        connection.request("POST", "/v1/models/small:predict", body)
        answer = connection.getresponse()
        assert answer.status == 504
        assert "more than 0.2 s" in json.loads(answer.read())["error"]
        connection.close()


def test_clients_that_send_half_a_header_or_nothing_are_let_go(base_path):
    with Server({"small": base_path}, None, rest_timeout=1.0) as server:
        silent, half = (
            socket.create_connection(("127.0.0.1", server.rest_port), timeout=60) for _ in range(2)
        )
        half.sendall(b"POST /v1/models/small:predict HTTP/1.1\r\nHost: x")
        for client in (silent, half):
            # Nothing, or the answer that the request timed out; then the end.
            while client.recv(1 << 16):
                pass
            client.close()


def one_string(value: bytes, *shape: int) -> bytes:
    """A Predict request of a string tensor that has one value and claims a shape."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "small"
    proto = request.inputs["examples"]
    proto.dtype = 7
    proto.string_val.append(value)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return request.SerializeToString()


@pytest.mark.parametrize("shape", [(30_000_000,), (1 << 40,), (2000,), (1 << 30, 0)])
def test_a_string_that_claims_to_be_many(channel, alive, shape):
    assert ask(channel, "PredictionService/Predict", one_string(b"x", *shape)) == "INVALID_ARGUMENT"
    alive()


def test_a_shape_of_any_number_of_dimensions(channel, alive):
    content = one_string(b"x", *[1 << 62] * 20_000)
    assert ask(channel, "PredictionService/Predict", content) == "INVALID_ARGUMENT"
    alive()


def test_a_number_that_claims_to_be_many(channel, alive):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "small", "predict"
    proto = request.inputs["image"]
    proto.dtype = 1
    proto.float_val.append(1.0)
    for size in (1000, SIZE, SIZE, 3):
        proto.tensor_shape.dim.add(size=size)
    content = request.SerializeToString()
    assert ask(channel, "PredictionService/Predict", content) == "INVALID_ARGUMENT"
    proto.tensor_shape.dim[0].size = 4
    assert ask(channel, "PredictionService/Predict", request.SerializeToString()) == "OK"
    alive()


def test_an_image_of_one_colour_has_no_more_pixels_than_its_bytes_allow():
    buffer = io.BytesIO()
    Image.new("L", (4000, 4000)).save(buffer, "png")
    one = np.array([buffer.getvalue()], object)
    with pytest.raises(ServingError, match=r"4000 x 4000 pixels in \d+ bytes, more than 100 a"):
        check_pixels("examples", one, 64_000_000)
    noise = np.random.default_rng(0).integers(0, 255, (2100, 2100), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "png", compress_level=0)
    check_pixels("examples", np.array([buffer.getvalue()] * 200, object), 64_000_000)
    with pytest.raises(ServingError, match="pixels in all images"):
        check_pixels("examples", np.array([buffer.getvalue()] * 300, object), 64_000_000)


def test_a_string_of_more_fields_than_are_parsed():
    wanted = r"a tf.Example has more than \d+ fields"
    with pytest.raises(ServingError, match=wanted):
        check_pixels("examples", np.array([b"\x0a\x00" * (1 << 20)], object), 64_000_000)


def test_an_example_of_more_features_than_are_read():
    features = dict.fromkeys(map(str, range((1 << 16) + 1)), 1)
    with pytest.raises(ServingError, match="Example has 65537 features, more than 65536"):
        read_examples({"examples": [features]}, input_pb2.Input())


def post(server, body: bytes, **headers: str) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)
    connection.request("POST", "/v1/models/small:predict", body, headers)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def test_packed_bodies(target, photographs, alive):
    document = {"instances": [{"b64": base64.b64encode(photographs["cat"]).decode()}]}
    body = json.dumps(document).encode()
    plain = post(target, body)
    assert plain[0] == 200
    headers = {"Content-Encoding": "gzip"}
    packed = gzip.compress(body)
    assert post(target, packed, **headers) == plain
    # A thousand times the limit.
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(200)) + bomb.flush()
    assert post(target, content, **headers)[0] == 413
    # Within the limit, but Python's parser would let nobody else in for as long as it takes.
    lists = gzip.compress(b'{"instances":[' + b"[]," * 100_000 + b"[]]}")
    status, answer = post(target, lists, **headers)
    assert (status, "values, more than the limit" in answer["error"]) == (400, True)
    for wrong in (packed[:-9], body, b""):
        assert post(target, wrong, **headers)[0] == 400
    assert post(target, packed, **{"Content-Encoding": "br"})[0] == 400
    alive()


def test_a_packed_body_may_not_be_a_hundred_times_as_large(embedded):
    packed = gzip.compress(b'{"instances":["' + b"a" * (17 << 20) + b'"]}')
    status, answer = post(embedded, packed, **{"Content-Encoding": "gzip"})
    assert (status, "more than 100 times as many" in answer["error"]) == (400, True)


def test_a_message_of_more_fields_than_are_parsed(embedded):
    """An empty message takes two bytes, and its parser lets nobody else in meanwhile."""
    with grpc.insecure_channel(f"127.0.0.1:{embedded.grpc_port}") as channel:
        content = b"\x12\x00" * ((1 << 19) + 1)
        assert ask(channel, "PredictionService/Predict", content) == "INVALID_ARGUMENT"
        assert ask(channel, "PredictionService/MultiInference", content) == "INVALID_ARGUMENT"
        assert ask(channel, "PredictionService/MultiInference", b"\x0a\x00" * 2000) == (
            "INVALID_ARGUMENT"
        )


def test_what_a_refused_request_has_sent_is_let_go(target, channel):
    """At once, and not when Python next looks for garbage: it may be hundreds of megabytes."""
    text = b"no picture " * 40_000
    body = b'{"instances": ["%s"]}' % text

    def refused():
        assert post(target, body)[0] == 400
        assert ask(channel, "PredictionService/Predict", one_string(text, 1)) == "INVALID_ARGUMENT"

    refused()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(5):
            refused()
        # Of ten; a thread may still have the last one.
        assert tracemalloc.get_traced_memory()[0] < 3 * len(text)
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [' + b"[]," * 100_000 + b"[]]}",
        b'{"instances": ' + b"[" * 40 + b'"x"' + b"]" * 40 + b"}",
        b'{"instances": ["\\ud800"]}',
        b'{"instances": ["x"], "signature_name": "\\udfff"}',
        b'{"instances": [{"b64": "%s"}]}' % base64.b64encode(b"\xff\xfe no picture \x80"),
        b'{"inputs": [' + b'"x",' * 70_000 + b'"x"]}',
    ],
    ids=["empty lists", "deep", "half a pair", "half a pair as a name", "no picture", "many"],
)
def test_mistakes_in_json(target, alive, body):
    status, answer = post(target, body)
    assert (status, "error" in answer) == (400, True)
    assert len(answer["error"]) < 3000
    alive()


def test_both_halves_of_a_pair_are_a_character(target):
    body = b'{"signature_name": "\\ud83d\\ude00", "instances": ["x"]}'
    assert "\U0001f600" in post(target, body)[1]["error"]


def test_a_version_of_thousands_of_digits(target):
    connection = http.client.HTTPConnection("127.0.0.1", target.rest_port, timeout=60)
    connection.request("GET", f"/v1/models/small/versions/{'9' * 5000}")
    answer = connection.getresponse()
    assert answer.status == 400
    assert "Failed to convert version" in json.loads(answer.read())["error"]
    connection.close()


def test_a_client_that_hangs_up_in_its_body_is_no_fault_of_the_server(target, caplog):
    with socket.create_connection(("127.0.0.1", target.rest_port), timeout=60) as client:
        client.sendall(
            b"POST /v1/models/small:predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        )
        client.sendall(b"Content-Length: 9\r\n\r\n")
        # As curl waits before it sends more than a megabyte; the server now reads the body.
        assert client.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{")
    # It has noticed once it answers another, later one.
    assert post(target, b"{}")[0] == 400
    assert caplog.records == []


def test_what_is_no_http_is_answered_in_json(target):
    with socket.create_connection(("127.0.0.1", target.rest_port), timeout=60) as client:
        client.sendall(b"NO HTTP AT ALL\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"application/json" in head
    assert "error" in json.loads(body)


def test_a_message_that_echoes_is_cut(target):
    text = "é" * 20_000
    with Client(f"127.0.0.1:{target.grpc_port}") as client, pytest.raises(ServingError) as error:
        client.call("small", {"examples": np.array([b"x"], object)}, signature_name=text)
    assert error.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert len(error.value.message) < 2100
