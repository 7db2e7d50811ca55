"""The gRPC API, asked of the embedded server and of tensorflow_model_server."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client import Client, ServingError

LIMIT = 200_000


@pytest.fixture
def reference(exports, photographs):
    """What the bare SavedModel answers for the photographs."""
    signature = tf.saved_model.load(str(exports[0])).signatures["serving_default"]
    answer = signature(examples=tf.constant(list(photographs.values())))
    return {name: value.numpy() for name, value in answer.items()}


def example(image: bytes) -> bytes:
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
    features = tf.train.Features(feature={"image/encoded": feature})
    return tf.train.Example(features=features).SerializeToString()


def assert_same(answers, reference):
    np.testing.assert_allclose([one["scores"] for one in answers], reference["scores"], rtol=1e-5)
    assert [one["classes"] for one in answers] == list(reference["classes"])


def test_encoded_images(client, photographs, reference):
    assert_same(client.predict("small", list(photographs.values())), reference)


def test_in_batches(client, photographs, reference):
    assert_same(client.predict("small", list(photographs.values()), batch_size=3), reference)


def test_paths(client, photographs, reference, tmp_path):
    paths = []
    for name, image in photographs.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(image)

    assert_same(client.predict("small", [str(paths[0]), *paths[1:]]), reference)


def test_serialised_examples(client, photographs, reference):
    assert_same(
        client.predict("small", [example(image) for image in photographs.values()]), reference
    )


def test_arrays_go_to_the_predict_signature(client, pixels, exports):
    signature = tf.saved_model.load(str(exports[0])).signatures["predict"]
    expected = {name: value.numpy() for name, value in signature(image=pixels).items()}

    assert_same(client.predict("small", list(pixels)), expected)
    assert_same(client.predict("small", pixels.astype("uint8")), expected)


def test_features(client, photographs):
    images = np.array(list(photographs.values()), object)

    outputs = client.call("small", {"examples": images}, "features")

    assert outputs["c1"].shape == (4, 24, 24, 6)
    assert outputs["c1"].std() > 0
    answers = client.predict("small", list(images), "features")
    assert [list(one) for one in answers] == [["c1"]] * 4
    np.testing.assert_array_equal([one["c1"] for one in answers], outputs["c1"])


def test_one_version_is_asked_by_number(client, photographs):
    assert client.predict("small", list(photographs.values()), version=1)
    with pytest.raises(ServingError) as error:
        client.predict("small", list(photographs.values()), version=3)
    assert error.value.code is grpc.StatusCode.NOT_FOUND
    assert error.value.message == "Servable not found for request: Specific(small, 3)"


def test_an_unknown_model(client, photographs):
    with pytest.raises(ServingError) as error:
        client.predict("foo", list(photographs.values()))
    assert error.value.code is grpc.StatusCode.NOT_FOUND
    assert error.value.message == "Servable not found for request: Latest(foo)"


def test_an_unknown_signature(client, pixels):
    with pytest.raises(ServingError) as error:
        client.call("small", {"image": pixels}, "explain")
    assert error.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.message == 'Serving signature key "explain" not found.'


def test_a_signature_that_is_no_prediction(client):
    with pytest.raises(ServingError) as error:
        client.call("small", {}, "__saved_model_init_op")
    assert error.value.code is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (("picture",), "Signature input alias: image"),
        ((), r"input size does not match signature: 0!=1 len\({}\) != len\({image}\)"),
        (("image", "mask"), r"Sent extra: {mask}. Missing but required: {}."),
    ],
)
def test_wrong_input_names(client, pixels, inputs, message):
    with pytest.raises(ServingError, match=message) as error:
        client.call("small", dict.fromkeys(inputs, pixels), "predict")
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_more_input_names_than_are_listed(client):
    with pytest.raises(ServingError, match="1000!=1") as error:
        client.call("small", {str(n): np.zeros(0) for n in range(1000)}, "predict")
    assert len(error.value.message) < 200


@pytest.mark.parametrize(
    "wrong",
    [
        lambda pixels: pixels.astype("int32"),
        lambda pixels: np.array([b"text"]),
        lambda pixels: pixels[..., :1],
        lambda pixels: pixels[0],
        lambda pixels: pixels[:, :20, :20],
    ],
    ids=["int32", "string", "one channel", "no batch", "20x20"],
)
def test_wrong_types_and_shapes(client, pixels, wrong):
    with pytest.raises(ServingError) as error:
        client.call("small", {"image": wrong(pixels)}, "predict")
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert client.predict("small", pixels)


@pytest.mark.parametrize("image", [b"", b"\x89PNG and then nothing", b"\xff\xd8\xff", b"text"])
def test_bytes_that_are_no_image(client, photographs, image):
    with pytest.raises(ServingError) as error:
        client.predict("small", [image])
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert client.predict("small", list(photographs.values()))


def test_output_filter(client, pixels):
    assert set(client.call("small", {"image": pixels}, "predict", output_filter=["scores"])) == {
        "scores"
    }
    for wrong in (["logits"], ["scores", "scores"]):
        with pytest.raises(ServingError, match="output tensor alias") as error:
            client.call("small", {"image": pixels}, "predict", output_filter=wrong)
        assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_no_model_spec(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.Predict(predict_pb2.PredictRequest(), timeout=10)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == "Missing ModelSpec"


def test_metadata_is_the_signature_def_of_the_saved_model(client, exports):
    proto = saved_model_pb2.SavedModel.FromString((exports[0] / "saved_model.pb").read_bytes())

    version, signatures = client.metadata("small")

    assert version == 1
    assert signatures == dict(proto.meta_graphs[0].signature_def)


@pytest.mark.parametrize("fields", [[], ["weights"]])
def test_metadata_fields_other_than_signature_def(server, fields):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "small"
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.GetModelMetadata(request, timeout=10)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_status(client):
    (status,) = client.status("small")

    assert (status.version, status.state, status.code) == (1, "AVAILABLE", grpc.StatusCode.OK)
    assert client.status("small", 1) == [status]


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("foo", None, "Could not find any versions of model foo"),
        ("small", 3, "Could not find version 3 of model small"),
    ],
)
def test_status_of_what_is_not_there(client, model, version, message):
    with pytest.raises(ServingError) as error:
        client.status(model, version)
    assert error.value.code is grpc.StatusCode.NOT_FOUND
    assert error.value.message == message


def test_a_message_over_the_limit(engine, base_path, photographs):
    with engine({"small": base_path}, max_message_bytes=LIMIT) as server:
        server.wait_until_available("small", 60)
        with Client(f"127.0.0.1:{server.grpc_port}") as client:
            with pytest.raises(ServingError) as error:
                client.predict("small", [bytes(LIMIT)])
            assert error.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert client.predict("small", list(photographs.values()))


def test_a_small_message_that_claims_a_huge_tensor(embedded):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "small"
    request.model_spec.signature_name = "predict"
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(0.0, shape=[1 << 22, 28, 28, 3]))
    with grpc.insecure_channel(f"127.0.0.1:{embedded.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="claims the shape") as error:
            stub.Predict(request, timeout=10)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
