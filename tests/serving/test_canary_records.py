"""The requests beside a model: it is warmed up by them and serves only if it answers them."""

import re
import shutil

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.client import Client, ServingError
from serving.model_config import ModelConfig
from serving.saved_model import SavedModel
from serving.server import Server
from serving.versions import ModelVersions

from .test_inference import examples
from .test_versions import push, serving, states


def predict_log(pixels, signature="predict"):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(pixels))
    return log


def write(version, *logs):
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log if isinstance(log, bytes) else log.SerializeToString())


@pytest.fixture
def small(base_path):
    small = ModelVersions(ModelConfig("small", str(base_path)), settle_seconds=0)
    small.poll()
    yield small
    small.close()


def reason(small, exports, base_path, *logs):
    """What is said of version 2 with these requests beside it; version 1 serves on."""
    shutil.copytree(exports[1], base_path / "2.tmp")
    write(base_path / "2.tmp", *logs)
    (base_path / "2.tmp").rename(base_path / "2")
    small.poll()
    status = small.statuses()[0]
    if status.message:
        assert states(small) == {1: "AVAILABLE", 2: "END"}
        assert serving(small) == 1
    return status.code, status.message


def test_all_kinds_of_requests(small, exports, base_path, pixels, photographs):
    classify, regress, multi = (prediction_log_pb2.PredictionLog() for _ in range(3))
    for log, name in ((classify.classify_log, "classify"), (regress.regress_log, "regress")):
        log.request.model_spec.signature_name = name
        log.request.input.CopyFrom(examples(photographs))
    inference = multi.multi_inference_log.request
    inference.input.CopyFrom(examples(photographs))
    inference.tasks.add(model_spec={"signature_name": "classify"})
    called = []

    class Recording(SavedModel):
        def call(self, name, inputs):
            called.append((name, len(next(iter(inputs.values())))))
            return super().call(name, inputs)

    logs = [predict_log(pixels), classify, regress, multi]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serving.versions.SavedModel", Recording)
        found = reason(small, exports, base_path, *logs)
    assert found == (grpc.StatusCode.OK, "")
    assert called == [("predict", 4), ("classify", 4), ("regress", 4), ("classify", 4)]
    assert serving(small) == 2


def test_answers_that_are_no_numbers(small, exports, base_path, pixels):
    code, message = reason(
        small, exports, base_path, predict_log(pixels), predict_log(np.full_like(pixels, np.nan))
    )

    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert message == "warm-up record 2: the signature predict answers with NaN in scores"


def test_weights_that_are_no_numbers_need_no_records_to_be_found(base_path):
    module = tf.Module()
    module.weight = tf.Variable(float("nan"))

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4, 1], tf.float32)])
    def predict(image):
        return {"scores": tf.reduce_mean(image, axis=(1, 2)) * module.weight}

    module.predict = predict
    with Server({"small": base_path}, poll_seconds=0.1) as server:
        server.wait_until_available("small", 60)
        tf.saved_model.save(module, str(base_path / "2.tmp"), signatures={"predict": predict})
        (base_path / "2.tmp").rename(base_path / "2")
        with Client(f"127.0.0.1:{server.grpc_port}") as client:
            while (newest := client.status("small")[0]).state != "END":
                assert newest.version == 1 or newest.state != "AVAILABLE"
            assert newest.code is grpc.StatusCode.FAILED_PRECONDITION
            assert newest.message == "the signature predict answers with NaN in scores"
            assert client.wait_until_available("small") == 1


@pytest.mark.parametrize(
    ("log", "code", "message"),
    [
        (b"\xff\xff", "INVALID_ARGUMENT", "record 1: it is no PredictionLog"),
        (predict_log(np.zeros(3)), "INVALID_ARGUMENT", r"record 1: Expects arg\[0\] to be float"),
        (
            predict_log(np.zeros((1, 28, 28, 3), np.float32), "explain"),
            "FAILED_PRECONDITION",
            'signature key "explain" not found',
        ),
        (
            prediction_log_pb2.PredictionLog(session_run_log={}),
            "UNIMPLEMENTED",
            "Unsupported log_type for warmup: session_run_log",
        ),
    ],
)
def test_requests_that_it_cannot_answer(small, exports, base_path, log, code, message):
    found, text = reason(small, exports, base_path, log)

    assert found.name == code
    assert re.search(message, text)


def test_a_file_that_is_cut_off(small, exports, base_path, pixels):
    write(base_path / "1", predict_log(pixels))
    path = base_path / "1" / "assets.extra" / "tf_serving_warmup_requests"
    path.write_bytes(path.read_bytes()[:-10])
    again = ModelVersions(ModelConfig("small", str(base_path)), settle_seconds=0)
    again.poll()
    (status,) = again.statuses()
    assert status.code is grpc.StatusCode.DATA_LOSS
    again.close()


def test_too_many_requests(small, exports, base_path, pixels):
    log = predict_log(pixels[:1]).SerializeToString()

    _, message = reason(small, exports, base_path, *([log] * 1001))

    assert message.startswith("Number of warmup records exceeds the maximum (1000)")


def test_the_reason_is_in_the_status_over_grpc(engine, exports, base_path, pixels):
    with engine({"small": base_path}) as server:
        server.wait_until_available("small", 60)
        with Client(f"127.0.0.1:{server.grpc_port}") as client:
            shutil.copytree(exports[1], base_path / "2.tmp")
            write(base_path / "2.tmp", predict_log(np.zeros(3)))
            (base_path / "2.tmp").rename(base_path / "2")
            with pytest.raises(ServingError, match="version 2 is END"):
                client.wait_until_available("small", 60, version=2)
            push(exports[1], base_path, 3)
            assert client.wait_until_available("small", 60, version=3) == 3
