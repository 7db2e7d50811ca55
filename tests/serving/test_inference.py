"""Classify, Regress and MultiInference, over gRPC and REST."""

import base64
import json
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.client import ServingError

from .conftest import LABELS

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture
def scores(client, photographs):
    return np.array([one["scores"] for one in client.predict("small", [*photographs.values()])])


def example(image):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
    return tf.train.Example(features=tf.train.Features(feature={"image/encoded": feature}))


def examples(photographs):
    return input_pb2.Input(example_list={"examples": map(example, photographs.values())})


def post(server, verb, document):
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/small:{verb}"
    try:
        with urllib.request.urlopen(url, json.dumps(document).encode(), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_classify(client, photographs, scores):
    answers = client.classify("small", [*photographs.values()])

    assert [[label for label, _ in each] for each in answers] == [list(LABELS)] * 4
    np.testing.assert_allclose([[s for _, s in each] for each in answers], scores, rtol=1e-5)


def test_regress(client, photographs, scores):
    answers = client.regress("small", [*photographs.values()])

    np.testing.assert_allclose(answers, scores.max(axis=1), rtol=1e-5)


def test_the_context_is_part_of_every_example(stub, photographs, scores):
    message = input_pb2.Input()
    with_context = message.example_list_with_context
    with_context.context.CopyFrom(example(photographs["coffee"]))
    with_context.examples.add()
    request = regression_pb2.RegressionRequest(input=message)
    request.model_spec.name, request.model_spec.signature_name = "small", "regress"

    answer = stub.Regress(request, timeout=30)

    np.testing.assert_allclose(answer.result.regressions[0].value, scores[1].max(), rtol=1e-5)
    assert answer.model_spec.version.value == 1


def multi_inference(photographs, *tasks):
    request = inference_pb2.MultiInferenceRequest(input=examples(photographs))
    for model, signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = model, signature
    return request


def test_multi_inference(stub, photographs, scores):
    request = multi_inference(
        photographs, ("small", "regress", REGRESS), ("small", "classify", CLASSIFY)
    )

    regress, classify = stub.MultiInference(request, timeout=30).results

    values = [each.value for each in regress.regression_result.regressions]
    np.testing.assert_allclose(values, scores.max(axis=1), rtol=1e-5)
    rows = [
        [one.score for one in each.classes]
        for each in classify.classification_result.classifications
    ]
    np.testing.assert_allclose(rows, scores, rtol=1e-5)
    assert classify.model_spec.signature_name == "classify"
    assert classify.model_spec.version.value == 1


@pytest.mark.parametrize(
    ("tasks", "code", "message"),
    [
        ([("", "regress", REGRESS)], "INVALID_ARGUMENT", "empty model name"),
        (
            [("small", "regress", REGRESS), ("other", "classify", CLASSIFY)],
            "INVALID_ARGUMENT",
            "must access the same model name",
        ),
        ([("small", "regress", REGRESS)] * 2, "INVALID_ARGUMENT", "Duplicate evaluation"),
        ([("small", "explain", REGRESS)], "INVALID_ARGUMENT", "not found in model graph: explain"),
        ([("small", "regress", "explain")], "UNIMPLEMENTED", "method_name: explain"),
        ([("none", "regress", REGRESS)], "NOT_FOUND", r"Latest\(none\)"),
    ],
)
def test_tasks_that_cannot_be_answered_together(stub, photographs, tasks, code, message):
    with pytest.raises(grpc.RpcError, match=message) as error:
        stub.MultiInference(multi_inference(photographs, *tasks), timeout=30)
    assert error.value.code().name == code


@pytest.mark.parametrize(
    ("request_class", "signature", "message"),
    [
        (classification_pb2.ClassificationRequest, "explain", "found with the name: explain"),
        (classification_pb2.ClassificationRequest, "spin", "classification inputs found"),
        (classification_pb2.ClassificationRequest, "regress", "at least one of"),
        (regression_pb2.RegressionRequest, "classify", "Expected one output Tensor"),
        (regression_pb2.RegressionRequest, "spin", "regression inputs found"),
    ],
)
def test_signatures_of_another_kind(stub, photographs, request_class, signature, message):
    request = request_class(input=examples(photographs))
    request.model_spec.name, request.model_spec.signature_name = "small", signature
    method = stub.Classify if "Class" in request_class.__name__ else stub.Regress
    with pytest.raises(grpc.RpcError, match=message):
        method(request, timeout=30)


def test_no_examples(client):
    for method in (client.classify, client.regress):
        with pytest.raises(ServingError, match=r"Input is empty\.") as error:
            method("small", [])
        assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_over_rest(server, photographs, scores):
    rows = [
        {"image/encoded": {"b64": base64.b64encode(image).decode()}}
        for image in photographs.values()
    ]

    status, answer = post(server, "classify", {"signature_name": "classify", "examples": rows})
    assert status == 200
    assert [[label for label, _ in row] for row in answer["results"]] == [list(LABELS)] * 4
    given = [[score for _, score in row] for row in answer["results"]]
    np.testing.assert_allclose(given, scores, rtol=1e-5)

    document = {"signature_name": "regress", "context": rows[2], "examples": [{}, {"n": [1, 2]}]}
    status, answer = post(server, "regress", document)
    assert status == 200
    np.testing.assert_allclose(answer["results"], [scores[2].max()] * 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "key 'examples' is expected and was not found"),
        ({"examples": {}}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [3]}, "Example must be JSON object"),
        ({"examples": [{"a": None}]}, "Feature: a has element with unexpected JSON type"),
        ({"examples": [{"a": [[1]]}]}, "Feature: a has element with unexpected JSON type"),
        ({"examples": [{"a": [1, "b"]}]}, "Unexpected element type in feature: a"),
        ({"examples": [{"a": 1 << 63}]}, "Only int64 is supported"),
        ({"examples": [{"a": {"b64": "%"}}]}, "Unable to base64 decode"),
        ({"context": 3, "examples": [{}]}, "Example must be JSON object"),
    ],
)
def test_wrong_examples_over_rest(server, document, message):
    status, answer = post(server, "classify", {"signature_name": "classify", **document})

    assert status == 400
    assert message in answer["error"]
