"""Any bytes, by the structure of protobuf, JSON and HTTP: never a failure of the server's own."""

import base64
import http.client
import json
import logging
import socket

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import model_management_pb2, predict_pb2

from serving import protos
from serving.tensors import to_proto

from . import http_text, wire
from .conftest import SIZE
from .test_hostile import METHODS, ask, picture

# Examples of each test in the tests' every run, and in `make soak`.
CHEAP, MANY = 1500, 20_000
EXPECTED = {
    "OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED",
    "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED",
}  # fmt: skip
HTTP_STATUSES = {200, 400, 404, 405, 413, 415, 417, 429, 501, 503, 504}
NAMES = st.sampled_from(
    ["small", "", "none", "../small", "small/1", "/etc/passwd", "small\0", "..", "%2e%2e", "é" * 99]
)
SIGNATURES = st.sampled_from(
    ["", "serving_default", "predict", "features", "classify", "regress", "explain", "\ud7ff" * 9]
)


def shapes():
    size = st.one_of(st.integers(-2, 9), st.sampled_from([28, 1 << 31, 1 << 40, (1 << 63) - 1]))
    return st.lists(size, max_size=5)


@st.composite
def tensors(draw):
    """A TensorProto that may claim anything."""
    proto = predict_pb2.PredictRequest().inputs["x"]
    proto.dtype = draw(st.integers(0, 25))
    for size in draw(shapes()):
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.unknown_rank = draw(st.booleans())
    kind = draw(st.sampled_from(["float_val", "int_val", "string_val", "bool_val", "half_val"]))
    values = {
        "float_val": st.floats(width=32),
        "string_val": st.one_of(st.binary(max_size=40), bombs()),
        "bool_val": st.booleans(),
    }.get(kind, st.integers(0, 1 << 16))
    getattr(proto, kind).extend(draw(st.lists(values, max_size=4)))
    if draw(st.booleans()):
        proto.tensor_content = draw(st.binary(max_size=64))
    return proto


def bombs():
    """Pictures: whole, cut off, and with sizes they do not have."""
    return st.builds(
        lambda size, kind, cut: picture(*size, kind)[: cut or None],
        st.tuples(*[st.sampled_from([1, 7, 28, 65_535])] * 2),
        st.sampled_from(["png", "jpeg", "gif", "bmp"]),
        st.integers(0, 60),
    )


WORDS = st.one_of(
    st.sampled_from(
        [
            "small", "predict", "serving_default", "classify", "regress", "image", "examples",
            "inputs", "scores", "signature_def", "image/encoded", "tensorflow/serving/classify",
            "tensorflow/serving/regress", "type.googleapis.com/tensorflow.Example",
        ]
    ).map(str.encode),
    st.sampled_from(["", "é" * 99, "a" * 9000]).map(str.encode),
    st.binary(max_size=20),
    bombs(),
)  # fmt: skip


def request(service, name, kind, **whole):
    return f"{service}/{name}", kind.DESCRIPTOR, kind(**whole).SerializeToString()


SPEC = {"name": "small"}
CLASSIFY = {
    "model_spec": {**SPEC, "signature_name": "classify"},
    "method_name": "tensorflow/serving/classify",
}
CALLS = [
    request("PredictionService", "Predict", protos.predict_pb2.PredictRequest, model_spec=SPEC),
    request(
        "PredictionService", "Predict", protos.predict_pb2.PredictRequest,
        model_spec={**SPEC, "signature_name": "predict"},
    ),
    request(
        "PredictionService", "Classify", protos.classification_pb2.ClassificationRequest,
        model_spec=CLASSIFY["model_spec"],
    ),
    request(
        "PredictionService", "Regress", protos.regression_pb2.RegressionRequest,
        model_spec={**SPEC, "signature_name": "regress"},
    ),
    request(
        "PredictionService", "MultiInference", protos.inference_pb2.MultiInferenceRequest,
        tasks=[CLASSIFY],
    ),
    request(
        "PredictionService", "GetModelMetadata",
        protos.get_model_metadata_pb2.GetModelMetadataRequest, model_spec=SPEC,
    ),
    request(
        "ModelService", "GetModelStatus", protos.get_model_status_pb2.GetModelStatusRequest,
        model_spec=SPEC,
    ),
]  # fmt: skip


@st.composite
def calls(draw):
    """A method and any fields of its request, often behind those that make it one of `small`."""
    method, kind, whole = draw(st.sampled_from(CALLS))
    more = draw(wire.messages(kind, WORDS))
    return method, draw(st.sampled_from([whole, whole, whole, b""])) + more


def fuzz(strategy, count, check, examples=()):
    """Calls `check` with `examples` and `count` others."""

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def each(one):
        check(one)

    for one in examples:
        each = example(one)(each)
    each()


def predict_content(name, signature, inputs, more):
    request = predict_pb2.PredictRequest(output_filter=more)
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for alias, proto in inputs.items():
        request.inputs[alias].CopyFrom(proto)
    return request.SerializeToString()


def reload_content(name, path):
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(
        name=name, base_path=path, model_platform="tensorflow"
    )
    return request.SerializeToString()


@st.composite
def answerable(draw):
    """A tensor that the signature `predict` takes."""
    shape = draw(st.integers(1, 3)), SIZE, SIZE, 3
    return to_proto(np.full(shape, draw(st.floats(0, 255, width=32)), np.float32))


REQUESTS = st.one_of(
    # Past the names, where the tensors are looked at.
    st.tuples(
        st.just("PredictionService/Predict"),
        st.builds(
            lambda names, tensor, more: predict_content(
                "small", names[0], {names[1]: tensor}, more
            ),
            st.sampled_from([("predict", "image"), ("serving_default", "examples")]),
            st.one_of(tensors(), answerable()),
            st.lists(st.sampled_from(["scores", "classes"]), max_size=2),
        ),
    ),
    st.tuples(
        st.just("PredictionService/Predict"),
        st.builds(
            predict_content,
            NAMES,
            SIGNATURES,
            st.dictionaries(st.sampled_from(["image", "examples", "inputs", "x"]), tensors(),
                            max_size=2),
            st.lists(st.sampled_from(["scores", "classes", ""]), max_size=2),
        ),
    ),
    st.tuples(st.sampled_from(METHODS), st.binary(max_size=300)),
    st.tuples(
        st.just("ModelService/HandleReloadConfigRequest"),
        # Always with one model that is refused: a good config would take the model away.
        st.builds(
            reload_content,
            st.sampled_from(["../small", "a/b", "", "..", "a%2fb", "a\0"]),
            st.sampled_from(["/etc", "relative", "/models/../../etc", "gs://a/../b", "", "/a\0"]),
        ),
    ),
)  # fmt: skip


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(),
        st.text(max_size=9), bombs().map(lambda image: {"b64": base64.b64encode(image).decode()}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=12,
)  # fmt: skip
PATHS = st.builds(
    "/v1/models/{}{}{}".format,
    st.sampled_from(["small", "", "none", "..%2f..%2fetc", "..", "%00", "small%2f1", "%ff%fe"]),
    st.sampled_from(["", "/versions/1", "/versions/99999999999999999999", "/labels/a", "/../x"]),
    st.sampled_from([":predict", ":classify", ":regress", "", "/metadata", ":explain", "//"]),
)
DOCUMENTS = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda key, value, name: json.dumps({key: value, "signature_name": name}).encode(),
        st.sampled_from(["instances", "inputs", "examples", "context"]),
        JSON,
        st.one_of(SIGNATURES, st.none()),
    ),
)


@pytest.fixture
def no_complaint(caplog):
    """Nothing that comes in is an error of the server's own, to be logged as one."""
    yield caplog
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert errors == []


def fuzz_grpc(channel, alive, count):
    seen = set()

    def check(call):
        seen.add(code := ask(channel, *call))
        assert code in EXPECTED | {"INVALID"}

    fuzz(st.one_of(REQUESTS, calls()), count, check)
    alive()
    assert {"OK", "INVALID", "INVALID_ARGUMENT", "NOT_FOUND"} <= seen


def test_any_fields(channel, alive, no_complaint):
    fuzz_grpc(channel, alive, CHEAP)


@pytest.mark.soak
def test_any_fields_by_the_thousand(channel, alive, no_complaint):
    fuzz_grpc(channel, alive, MANY)


def fuzz_json(target, alive, count):
    connection = http.client.HTTPConnection("127.0.0.1", target.rest_port, timeout=30)
    seen = set()
    paths = st.one_of(
        st.sampled_from(["predict", "classify", "regress"]).map("/v1/models/small:{}".format), PATHS
    )

    def check(call):
        method, path, (headers, body) = call
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        seen.add(answer.status)
        assert answer.status in HTTP_STATUSES, content
        assert answer.status == 200 or "error" in json.loads(content)

    bodies = st.one_of(http_text.BODIES, st.tuples(st.just({}), DOCUMENTS))
    fuzz(st.tuples(st.sampled_from(["POST", "POST", "POST", "GET"]), paths, bodies), count, check)
    connection.close()
    alive()
    assert {200, 400, 404} <= seen


def test_any_json(target, alive, no_complaint):
    fuzz_json(target, alive, CHEAP)


@pytest.mark.soak
def test_any_json_by_the_thousand(target, alive, no_complaint):
    fuzz_json(target, alive, MANY)


def exchange(port, content):
    """What comes back on a connection that sends `content` and no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        try:
            client.sendall(content)
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(1 << 16), b""))
        except (ConnectionResetError, BrokenPipeError):
            return b""  # It has been answered, or let go, before all of it was sent.


def fuzz_http(target, alive, count):
    seen = set()

    def check(content):
        answer = exchange(target.rest_port, content)
        # A client that hangs up at once need not be answered.
        if answer:
            seen.add(status := int(answer.split(b" ", 2)[1]))
            assert status in HTTP_STATUSES | {100}, answer

    fuzz(http_text.CONNECTIONS, count, check)
    alive()
    assert 400 in seen


def test_any_http(target, alive, no_complaint):
    fuzz_http(target, alive, CHEAP)


@pytest.mark.soak
def test_any_http_by_the_thousand(target, alive, no_complaint):
    fuzz_http(target, alive, MANY)
