"""The REST API, asked of the embedded server and of tensorflow_model_server."""

import base64
import http.client
import json
import math
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

from serving.client import ServingError
from serving.json_tensors import answer_json, read_inputs
from serving.server import Server

LIMIT = 200_000


def ask(server, path, document=None, body=None):
    """(HTTP status, parsed answer)."""
    data = json.dumps(document).encode() if document is not None else body
    request = urllib.request.Request(f"http://127.0.0.1:{server.rest_port}{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


@pytest.fixture
def images(photographs):
    return [b64(image) for image in photographs.values()]


@pytest.fixture
def reference(exports, photographs):
    signature = tf.saved_model.load(str(exports[0])).signatures["serving_default"]
    answer = signature(examples=tf.constant(list(photographs.values())))
    return {name: value.numpy() for name, value in answer.items()}


@pytest.mark.parametrize(
    "path", ["/v1/models/small:predict", "/v1/models/small/versions/1:predict"]
)
@pytest.mark.parametrize("named", [False, True])
def test_rows(server, images, reference, path, named):
    rows = [{"examples": image} for image in images] if named else images

    status, answer = ask(server, path, {"instances": rows})

    assert status == 200
    scores = [row["scores"] for row in answer["predictions"]]
    np.testing.assert_allclose(scores, reference["scores"], rtol=1e-5)
    classes = [row["classes"].encode() for row in answer["predictions"]]
    assert classes == list(reference["classes"])


@pytest.mark.parametrize("named", [False, True])
def test_columns(server, images, reference, named):
    inputs = {"examples": images} if named else images

    status, answer = ask(server, "/v1/models/small:predict", {"inputs": inputs})

    assert status == 200
    np.testing.assert_allclose(answer["outputs"]["scores"], reference["scores"], rtol=1e-5)


def test_pixels_and_signature_name(server, client, pixels):
    document = {"signature_name": "predict", "instances": pixels.tolist()}

    status, answer = ask(server, "/v1/models/small:predict", document)

    assert status == 200
    expected = [answer["scores"] for answer in client.predict("small", pixels)]
    np.testing.assert_allclose(
        [row["scores"] for row in answer["predictions"]], expected, rtol=1e-5
    )


def test_a_single_output_is_not_named(server, images):
    document = {"signature_name": "features", "instances": images[:1]}

    _, answer = ask(server, "/v1/models/small:predict", document)

    assert np.shape(answer["predictions"]) == (1, 24, 24, 6)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/foo:predict", 404, "Servable not found for request: Latest(foo)"),
        (
            "/v1/models/small/versions/3:predict",
            404,
            "Servable not found for request: Specific(small, 3)",
        ),
        ("/v1/models/small:explain", 400, "Malformed request: POST /v1/models/small:explain"),
        ("/v1/models/small", 400, "Malformed request: POST /v1/models/small"),
    ],
)
def test_wrong_addresses(server, images, path, status, message):
    assert ask(server, path, {"instances": images}) == (status, {"error": message})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b'{"instances": [', "JSON Parse error"),
        (b"\xff\xfe", "JSON Parse error"),
        (b"[" * 100_000, "JSON Parse error"),
        (b"[1, 2]", "Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"instances": [], "inputs": []}', "only one of 'inputs' or 'instances'"),
        (b'{"instances": 3}', "Excepting 'instances' to be an list/array"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"signature_name": 3, "instances": ["a"]}', "'signature_name' key must be a string"),
        (
            b'{"signature_name": "foo", "instances": ["a"]}',
            'Serving signature name: "foo" not found in signature def',
        ),
        (b'{"instances": [{"b64": "%%%"}]}', "Unable to base64 decode"),
        (b'{"instances": [{"examples": {"b65": "YQ=="}}]}', "base64"),
        (b'{"instances": [{"image": "YQ=="}]}', "image"),
        (b'{"instances": [null]}', "is not of expected type: string"),
        (b'{"instances": ["a", ["b"]]}', "instances"),
        (b'{"inputs": {"image": ["a"]}}', "Missing named input: examples in 'inputs' object."),
        (b'{"signature_name": "predict", "instances": ["a"]}', "is not of expected type: float"),
        (b'{"signature_name": "predict", "instances": [[1, 2], [3]]}', "instances"),
        (b'{"signature_name": "predict", "inputs": [[1, 2], [3]]}', ""),
        (b'{"signature_name": "predict", "instances": [[1.5]]}', ""),
        (b'{"instances": ["no image"]}', ""),
    ],
)
def test_wrong_documents(server, images, body, message):
    status, answer = ask(server, "/v1/models/small:predict", body=body)

    assert status == 400
    assert message in answer["error"]
    assert ask(server, "/v1/models/small:predict", {"instances": images})[0] == 200


def test_the_wrong_row_is_named(server, images):
    document = {"instances": [images[0], 3]}

    status, answer = ask(server, "/v1/models/small:predict", document)

    assert status == 400
    assert "Failed to process element: 1" in answer["error"]


@pytest.mark.parametrize("path", ["/v1/models/small", "/v1/models/small/versions/1"])
def test_status(server, path):
    expected = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }

    assert ask(server, path) == (200, {"model_version_status": [expected]})


def test_status_of_what_is_not_there(server):
    assert ask(server, "/v1/models/foo") == (
        404,
        {"error": "Could not find any versions of model foo"},
    )


@pytest.mark.parametrize(
    "path", ["/v1/models/small/metadata", "/v1/models/small/versions/1/metadata"]
)
def test_metadata_is_the_signature_def_of_the_saved_model(server, exports, path):
    proto = saved_model_pb2.SavedModel.FromString((exports[0] / "saved_model.pb").read_bytes())

    status, answer = ask(server, path)

    assert status == 200
    assert answer["model_spec"] == {"name": "small", "signature_name": "", "version": "1"}
    signatures = get_model_metadata_pb2.SignatureDefMap()
    json_format.ParseDict(answer["metadata"]["signature_def"], signatures)
    assert dict(signatures.signature_def) == dict(proto.meta_graphs[0].signature_def)


def test_other_addresses_are_not_found(server):
    request = urllib.request.Request(f"http://127.0.0.1:{server.rest_port}/")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(request, timeout=30)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit(limited, images, chunked):
    body = json.dumps({"instances": [b64(bytes(LIMIT))]}).encode()
    body = iter([body]) if chunked else body  # a chunked body does not say its size beforehand

    status, answer = ask(limited, "/v1/models/small:predict", body=body)

    assert status == 413
    assert str(LIMIT) in answer["error"]
    assert ask(limited, "/v1/models/small:predict", {"instances": images})[0] == 200


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (tf.float32, [[1, 2.5], [-3, 1e3]]),
        (tf.float64, 0.1),
        (tf.int32, [1, -2]),
        (tf.int64, [[1 << 62]]),
        (tf.uint8, [0, 255]),
        (tf.uint64, [(1 << 64) - 1]),
        (tf.bool, [True, False]),
        (tf.float32, []),
    ],
)
def test_numbers_become_the_type_of_the_input(dtype, value):
    inputs = {"x": meta_graph_pb2.TensorInfo(dtype=dtype.as_datatype_enum)}

    arrays, by_row = read_inputs({"inputs": value}, inputs)

    np.testing.assert_array_equal(arrays["x"], np.array(value, dtype.as_numpy_dtype))
    assert arrays["x"].dtype == dtype.as_numpy_dtype
    assert not by_row


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (tf.float32, [True]),
        (tf.float32, [None]),
        (tf.float32, [{"b64": "YQ=="}]),
        (tf.int32, [1.5]),
        (tf.int32, [1 << 31]),
        (tf.uint8, [-1]),
        (tf.int64, [1 << 63]),
        (tf.int64, [1 << 70]),
        (tf.bool, [1]),
    ],
)
def test_numbers_of_another_type_are_refused(dtype, value):
    inputs = {"x": meta_graph_pb2.TensorInfo(dtype=dtype.as_datatype_enum)}

    with pytest.raises(ServingError, match="INVALID_ARGUMENT"):
        read_inputs({"inputs": value}, inputs)


def read(value, dtype):
    inputs = {"x": meta_graph_pb2.TensorInfo(dtype=dtype.as_datatype_enum)}
    return read_inputs({"inputs": value}, inputs)[0]["x"]


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        (tf.float32, [1.5, True], "JSON Value: true Type: True is not of expected type: float"),
        (tf.float32, ["1"], 'JSON Value: "1" Type: String is not of expected type: float'),
        (tf.float32, [(1 << 24) + 1, 0.5], "16777217 to float without loss of precision"),
        (tf.float32, [1e39], r"1e\+39 to float without loss of precision"),
        (tf.float64, [(1 << 53) + 1], "9007199254740993 to double without loss of precision"),
        (tf.int32, [1, 2.0], "JSON Value: 2.0 Type: Number is not of expected type: int32"),
        (tf.int64, [[1], [True]], "Type: True is not of expected type: int64"),
        (tf.uint64, [1 << 64], "is not of expected type: uint64"),
        (tf.float32, [[1], 2], "JSON Value: 2 found at incorrect level: 2 in the JSON DOM"),
        (tf.float32, [[1], [2, 3]], "unexpected size: 2 at level: 1 expected size: 1"),
        (tf.string, [1], "JSON Value: 1 Type: Number is not of expected type: string"),
        (tf.string, [{"b64": "Y"}], "Unable to base64 decode"),
    ],
)
def test_what_tensorflow_serving_refuses_in_its_words(dtype, value, message):
    with pytest.raises(ServingError, match=message) as error:
        read(value, dtype)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_type_without_json_is_not_implemented():
    with pytest.raises(ServingError, match="Conversion of JSON Value: 1 to type: complex64") as e:
        read([1], tf.complex64)
    assert e.value.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (tf.uint64, [1, (1 << 64) - 1], np.array([1, (1 << 64) - 1], np.uint64)),
        (tf.float32, [1 << 70, 0.5], np.array([2.0**70, 0.5], np.float32)),
        (tf.float32, 16777216.0 + 2.0, np.array(16777218.0, np.float32)),
        (tf.float32, [math.inf, math.nan], np.array([math.inf, math.nan], np.float32)),
        (tf.half, [0.5, 2048.5], np.array([0.5, 2048.5], np.float16)),
        (tf.bfloat16, [1.5], np.array([1.5], tf.bfloat16.as_numpy_dtype)),
        (tf.int8, [], np.array([], np.int8)),
        (tf.float32, [[], []], np.zeros((2, 0), np.float32)),
        (tf.string, [{"b64": "YW\n Jj ZA"}, "x"], np.array([b"abcd", b"x"], object)),
        (tf.string, "x", np.array(b"x", object)),
    ],
)
def test_what_tensorflow_serving_takes(dtype, value, expected):
    found = read(value, dtype)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [[1.0], [2.0, 3.0]],
            "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tens",
        ),
        ([[[1.0, 2.0]], [[1.0], [2.0]]], "Expecting shape \\[1,2\\] but got: \\[2,1\\]"),
        ([1.0, {"x": 1.0}], "Expecting value/list but got object at item 1 of input list"),
        ([{"x": 1.0}, {"x": "a"}], "Failed to process element: 1 key: x of 'instances' list."),
    ],
)
def test_rows_that_differ(rows, message):
    inputs = {"x": meta_graph_pb2.TensorInfo(dtype=tf.float32.as_datatype_enum)}
    with pytest.raises(ServingError, match=message):
        read_inputs({"instances": rows}, inputs)


def test_of_a_key_that_is_there_twice_the_first_counts(server):
    body = b'{"instances": 3, "instances": [], "signature_name": "none", "signature_name": ""}'
    assert '"none" not found' in ask(server, "/v1/models/small:predict", body=body)[1]["error"]


@pytest.mark.parametrize("number", ["1e309", "-1E+400", "9" * 400 + ".0", "9" * 400])
def test_a_number_that_no_double_holds(server, number):
    body = f'{{"signature_name": "predict", "instances": [{number}]}}'.encode()
    status, answer = ask(server, "/v1/models/small:predict", body=body)
    assert status == 400
    assert answer["error"].startswith("JSON Parse error")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_document_that_is_not_plain_utf_8(server, encoding):
    body = f'{{"signature_name": "predict", "instances": [{"9" * 400}]}}'.encode(encoding)
    status, answer = ask(server, "/v1/models/small:predict", body=body)
    assert status == 400
    assert answer["error"].startswith("JSON Parse error")


def test_several_inputs_by_row():
    inputs = {
        "a": meta_graph_pb2.TensorInfo(dtype=tf.int64.as_datatype_enum),
        "b": meta_graph_pb2.TensorInfo(dtype=tf.string.as_datatype_enum),
    }
    rows = [{"a": [1, 2], "b": "x"}, {"b": {"b64": "eQ=="}, "a": [3, 4]}]

    arrays, by_row = read_inputs({"instances": rows}, inputs)

    np.testing.assert_array_equal(arrays["a"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(arrays["b"], [b"x", b"y"])
    assert by_row
    for wrong in ([1], [{"a": 1}], [rows[0], [1]], [{**rows[0], "c": 1}]):
        with pytest.raises(ServingError, match="INVALID_ARGUMENT"):
            read_inputs({"instances": wrong}, inputs)


def test_floats_are_written_with_the_fewest_digits_that_give_them_back():
    values = np.array([0.2, 1e-20, 3.0, 16777216, math.nan, math.inf], np.float32)

    text = answer_json({"x": values}, by_row=True)

    assert text == '{"predictions": [0.2, 1e-20, 3.0, 16777216.0, NaN, Infinity]}'


@pytest.mark.parametrize("shape", [(50_000,), (3, 30_000), (20_000, 3), (2, 4, 20_000, 1), (2, 0)])
@pytest.mark.parametrize("by_row", [True, False])
def test_answers_are_written_piece_by_piece(shape, by_row):
    x = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    one, two = (answer_json(outputs, by_row) for outputs in ({"x": x}, {"x": x, "y": x}))
    if by_row:
        both = [{"x": row, "y": row} for row in x.tolist()]
        expected = {"predictions": x.tolist()}, {"predictions": both}
    else:
        expected = {"outputs": x.tolist()}, {"outputs": {"x": x.tolist(), "y": x.tolist()}}
    assert (one, two) == tuple(map(json.dumps, expected))


def test_outputs_called_bytes_are_base64():
    values = np.array([b"\xff", b"a"], object)

    assert answer_json({"image_bytes": values}, by_row=False) == (
        '{"outputs": [{"b64": "/w=="}, {"b64": "YQ=="}]}'
    )
    assert answer_json({"name": values[1:]}, by_row=False) == '{"outputs": ["a"]}'


def test_cross_origin_requests():
    ports = []
    with Server({}, None) as plain, Server({}, None, rest_cors=True) as server:
        for each in (plain, server):
            connection = http.client.HTTPConnection("127.0.0.1", each.rest_port, timeout=30)

            def allowed(method, path="/v1/models/small", ask=connection, **headers):
                ask.request(method, path, headers=headers)
                answer = ask.getresponse()
                return answer.status, answer.read(), dict(answer.headers)

            ports.append(
                [
                    allowed("OPTIONS", Origin="https://page"),
                    allowed("OPTIONS"),
                    allowed("OPTIONS", Origin="null"),
                    allowed("GET"),
                    allowed("GET", "/monitoring/prometheus/metrics"),
                    allowed("OPTIONS", "/elsewhere", Origin="https://page"),
                ]
            )
            connection.close()
    for answers in ports:
        assert [status for status, *_ in answers] == [200, 400, 400, 404, 200, 404]
        assert answers[0][1] == b""
        assert b"Origin header is missing in CORS preflight" in answers[1][1]
    cors = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "POST, GET",
        "Access-Control-Allow-Headers": "Content-Type",
    }
    assert not any(cors.keys() & headers.keys() for *_, headers in ports[0])
    shown = [cors.items() <= headers.items() for *_, headers in ports[1]]
    assert shown == [True] * 4 + [False] * 2
