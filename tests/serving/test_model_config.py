"""Models, policies and labels of a ModelServerConfig, from a file and while the server runs."""

import contextlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.client import Client, ServingError
from serving.model_config import (
    ConfigFile,
    ModelConfig,
    by_path,
    from_proto,
    read_model_config,
    to_proto,
)
from serving.server import Server
from serving.tensors import to_proto as tensor
from serving.versions import ModelVersions

from .test_versions import states


@pytest.fixture
def three(exports, tmp_path):
    """A directory with versions 1, 2 and 3."""
    for version in (1, 2, 3):
        shutil.copytree(exports[version % 2], tmp_path / "small" / str(version))
    return tmp_path / "small"


def config(text):
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def one_model(path, more=""):
    return config(
        f'model_config_list {{ config {{ name: "small" base_path: "{path}" '
        f'model_platform: "tensorflow" {more} }} }}'
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", {"latest": 1}),
        ("model_version_policy { latest {} }", {"latest": 1}),
        ("model_version_policy { latest { num_versions: 2 } }", {"latest": 2}),
        ("model_version_policy { all {} }", {"latest": None}),
        (
            "model_version_policy { specific { versions: 2 versions: 5 } }",
            {"latest": None, "specific": frozenset({2, 5})},
        ),
        ('version_labels { key: "stable" value: 3 }', {"labels": {"stable": 3}}),
    ],
)
def test_a_config_is_read_and_written(tmp_path, more, expected):
    file = tmp_path / "models.config"
    file.write_text(str(one_model("/models/small", more)))

    models = read_model_config(file)

    assert models == [ModelConfig("small", "/models/small", **expected)]
    assert from_proto(to_proto(models)) == models


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Only ModelConfigList is currently supported"),
        ('name: "a" base_path: "/m"', "Illegal setting neither"),
        ('name: "a" base_path: "/m" model_platform: "pytorch"', "platform has to be tensorflow"),
        ('name: "a" base_path: "m" model_platform: "tensorflow"', "absolute path or URI"),
        ('name: "a" base_path: "" model_platform: "tensorflow"', "absolute path or URI"),
        ('name: "a" base_path: "/m/../etc" model_platform: "tensorflow"', "leads upwards"),
        ('name: "a" base_path: "gs://b/../c" model_platform: "tensorflow"', "leads upwards"),
        ('name: "a/b" base_path: "/m" model_platform: "tensorflow"', "cannot be the name"),
        ('name: ".." base_path: "/m" model_platform: "tensorflow"', "cannot be the name"),
        ('name: "" base_path: "/m" model_platform: "tensorflow"', "cannot be the name"),
        (
            'name: "a" base_path: "/m" model_platform: "tensorflow" '
            "model_version_policy { specific {} }",
            "names no version",
        ),
        (
            'name: "a" base_path: "/m" model_platform: "tensorflow" logging_config {}',
            "logging_config is not supported",
        ),
    ],
)
def test_configs_that_make_no_sense(text, message):
    proto = config(f"model_config_list {{ config {{ {text} }} }}" if text else "")
    with pytest.raises(ServingError, match=message) as error:
        from_proto(proto)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_name_twice():
    proto = to_proto([*by_path({"small": "/a"}), *by_path({"small": "/b"})])
    with pytest.raises(ServingError, match="Illegal to list model small multiple times"):
        from_proto(proto)


def test_a_file_that_is_no_config_is_named(tmp_path):
    file = tmp_path / "models.config"
    file.write_text("model_config_list { nonsense }")
    with pytest.raises(ValueError, match=r"models\.config is not a ModelServerConfig"):
        read_model_config(file)


class Looks:
    """Stands for the event that ends the looking: before each look the next step is made."""

    def __init__(self, *steps):
        self.steps = list(steps)

    def wait(self, seconds):
        if not self.steps:
            return True
        self.steps.pop(0)()
        return False

    def is_set(self):
        return False


def test_a_config_file_is_followed(tmp_path, caplog):
    file = tmp_path / "models.config"
    applied = []
    refused = ServingError(grpc.StatusCode.UNKNOWN, "small cannot be had")

    def write(text):
        return lambda: file.write_text(text)

    def reload(models):
        applied.append(models[0].base_path)
        if applied.count("/refused") == 1:
            raise refused

    def same():
        pass

    write(str(one_model("/a")))()
    following = ConfigFile(file)
    assert following.read() == by_path({"small": "/a"})
    following.follow(
        0.1,
        reload,
        Looks(
            same,
            write("nonsense {"), same, same, write("name: 3"),  # two problems
            write(str(one_model("/a"))), write(str(one_model("/b"))), same,
            file.unlink, same,
            write(str(one_model("/refused"))), same, same,
        ),
    )  # fmt: skip
    assert applied == ["/b", "/refused", "/refused"]
    problems = ["is not a Mod", "is not a Mod", "No such file", "small cannot be had"]
    assert len(caplog.messages) == len(problems)
    assert all(map(str.__contains__, caplog.messages, problems))
    assert all(str(file) in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ({"latest": 1}, {3}),
        ({"latest": 2}, {2, 3}),
        ({"latest": None}, {1, 2, 3}),
        ({"latest": None, "specific": frozenset({1, 3, 9})}, {1, 3}),
    ],
)
def test_policies(three, policy, served):
    small = ModelVersions(ModelConfig("small", str(three), **policy), settle_seconds=0)
    small.poll()

    assert {version for version, state in states(small).items() if state == "AVAILABLE"} == served
    for version in served:
        with small.lend(version) as lent:
            assert lent.version == version
    with small.lend(None) as lent:
        assert lent.version == 3
    shutil.rmtree(three / "3")
    small.poll()
    with small.lend(None) as lent:
        assert lent.version == max(served - {3}, default=2)
    small.close()


def test_another_policy_while_it_serves(three):
    first, later = (ModelConfig("small", str(three), specific=frozenset({n})) for n in (1, 2))
    small = ModelVersions(first, settle_seconds=0)
    small.poll()
    with small.lend(1):
        small.configure(later, {})
        small.poll()
        assert states(small) == {1: "UNLOADING", 2: "AVAILABLE"}
        # Back again while the first is still in use: it is loaded once more.
        small.configure(first, {})
        small.poll()
        assert states(small) == {1: "AVAILABLE", 2: "END"}
    small.poll()
    assert states(small) == {1: "AVAILABLE", 2: "END"}
    small.close()


def code_and_message(call, *arguments, **named):
    with pytest.raises(ServingError) as error:
        call(*arguments, **named)
    return error.value.code.name, error.value.message


def top_score(client, images, **version):
    return client.predict("small", images, **version)[0]["scores"].max()


def test_reloading(three, pixels, tmp_path):
    images = list(pixels)
    both = "model_version_policy { specific { versions: 1 versions: 2 } }"
    with (
        Server(from_proto(one_model(three)), poll_seconds=0.05, settle_seconds=0) as server,
        Client(f"127.0.0.1:{server.grpc_port}") as client,
    ):
        server.wait_until_available("small")
        assert client.metadata("small")[0] == 3
        # Another policy with labels, in one request.
        labels = 'version_labels { key: "old" value: 1 } version_labels { key: "new" value: 2 }'
        client.reload(one_model(three, both + labels))
        scores = {label: top_score(client, images, version_label=label) for label in ("old", "new")}
        assert scores["old"] != scores["new"]
        assert top_score(client, images, version=1) == scores["old"]
        assert code_and_message(client.predict, "small", images, version_label="none") == (
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: none",
        )
        assert code_and_message(client.predict, "small", images, version=3)[0] == "NOT_FOUND"

        # A label of a version that is not served changes no label.
        wrong = 'version_labels { key: "old" value: 7 }'
        assert code_and_message(client.reload, one_model(three, both + wrong)) == (
            "FAILED_PRECONDITION",
            "Request to assign label to version 7 of model small, which is not currently available "
            "for inference",
        )
        assert top_score(client, images, version_label="old") == scores["old"]

        # Another model instead; then one that cannot be had.
        shutil.copytree(three, tmp_path / "other")
        other = config(str(one_model(tmp_path / "other")).replace('"small"', '"other"'))
        client.reload(other)
        assert client.predict("other", images)
        assert code_and_message(client.predict, "small", images)[0] == "NOT_FOUND"
        broken = tmp_path / "broken" / "1"
        shutil.copytree(three / "1", broken)
        index = broken / "variables" / "variables.index"
        index.write_bytes(bytes(len(index.read_bytes())))
        more = one_model(broken.parent)
        more.model_config_list.config.extend(other.model_config_list.config)
        code, message = code_and_message(client.reload, more)
        assert code == "UNKNOWN"
        assert message.startswith("1 servable(s) did not become available: {{small due to error")
        assert client.predict("other", images)


def whole_health(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        request = health_pb2.HealthCheckRequest()
        return health_pb2_grpc.HealthStub(channel).Check(request, timeout=30).status


def two_models(path, other):
    both = one_model(path)
    both.model_config_list.config.add(
        name="other", base_path=str(other), model_platform="tensorflow"
    )
    return both


def test_a_model_that_is_not_there_holds_nothing_up(embedded, base_path, tmp_path, pixels):
    with Client(f"127.0.0.1:{embedded.grpc_port}", timeout=60) as client:
        code, message = code_and_message(
            client.reload, two_models(base_path, tmp_path / "nothing" / "here")
        )
        assert (code, "other due to error" in message) == ("UNKNOWN", True)
        assert str(tmp_path) not in message
        assert whole_health(embedded) == health_pb2.HealthCheckResponse.SERVING
        client.reload(one_model(base_path))
        assert client.predict("small", list(pixels))


def state(client, name):
    """Of the newest version; "" where none is seen yet."""
    with contextlib.suppress(ServingError):
        return client.status(name)[0].state
    return ""


def test_a_reload_that_waits_holds_up_neither_others_nor_the_end(exports, base_path, tmp_path):
    half = tmp_path / "half" / "1"
    half.mkdir(parents=True)
    shutil.copy(exports[0] / "saved_model.pb", half)
    with (
        ThreadPoolExecutor(1) as pool,
        Server({"small": base_path}, poll_seconds=0.05, settle_seconds=0) as server,
        Client(f"127.0.0.1:{server.grpc_port}", timeout=100, retries=0) as waiting,
        Client(f"127.0.0.1:{server.grpc_port}", timeout=60) as client,
    ):
        server.wait_until_available("small")
        config = two_models(base_path, half.parent)
        first = pool.submit(code_and_message, waiting.reload, config)
        while state(client, "other") != "START":
            assert not first.done()
        client.reload(two_models(base_path, base_path))
        assert "another reload took it away" in first.result()[1]
        last = pool.submit(code_and_message, waiting.reload, config)
        while state(client, "other") != "START":
            assert not last.done()
        assert whole_health(server) == health_pb2.HealthCheckResponse.SERVING
        server.__exit__()
        assert "the server is stopping" in last.result()[1]


def write_slow_warm_up(version):
    """Two minutes of requests, none of them long."""
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "spin"
    log.predict_log.request.inputs["steps"].CopyFrom(tensor(np.array([2000])))
    (version / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(version / "assets.extra" / "tf_serving_warmup_requests")) as file:
        for _ in range(1000):
            file.write(log.SerializeToString())


def test_a_model_that_takes_long_to_load_holds_up_neither_others_nor_the_end(
    exports, base_path, tmp_path, pixels
):
    shutil.copytree(exports[0], tmp_path / "slow" / "1")
    write_slow_warm_up(tmp_path / "slow" / "1")
    both = two_models(base_path, tmp_path / "slow")
    all_three = two_models(base_path, tmp_path / "slow")
    all_three.model_config_list.config.add(
        name="third", base_path=str(base_path), model_platform="tensorflow"
    )
    with (
        ThreadPoolExecutor(1) as pool,
        Server({"small": base_path}, poll_seconds=0, settle_seconds=0) as server,
        Client(f"127.0.0.1:{server.grpc_port}", timeout=100, retries=0) as waiting,
        Client(f"127.0.0.1:{server.grpc_port}", timeout=60) as client,
    ):
        server.wait_until_available("small")
        first = pool.submit(code_and_message, waiting.reload, both)
        while state(client, "other") != "LOADING":
            assert not first.done()
        client.reload(all_three)
        assert client.predict("third", list(pixels))
        assert state(client, "other") == "LOADING"
        server.__exit__()
        assert "the server is stopping" in first.result()[1]
        assert not [each.name for each in threading.enumerate() if each.name == "versions-of-other"]


def test_without_polls_a_reload_is_looked_after_all_the_same(base_path, tmp_path, pixels):
    with (
        Server({"small": base_path}, poll_seconds=0, settle_seconds=0) as server,
        Client(f"127.0.0.1:{server.grpc_port}", timeout=60) as client,
    ):
        server.wait_until_available("small")
        assert code_and_message(client.reload, two_models(base_path, tmp_path))[0] == "UNKNOWN"
        wrong = one_model(base_path, 'version_labels { key: "old" value: 7 }')
        assert code_and_message(client.reload, wrong)[0] == "FAILED_PRECONDITION"


@pytest.mark.parametrize("text", ["", 'model_config_list { config { name: "../x" } }'])
def test_a_reload_that_makes_no_sense_changes_nothing(embedded, pixels, text):
    with Client(f"127.0.0.1:{embedded.grpc_port}") as client:
        assert code_and_message(client.reload, config(text))[0] == "INVALID_ARGUMENT"
        assert client.predict("small", list(pixels))
