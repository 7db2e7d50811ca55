"""Which version is served: the newest whole one, and nothing else, whatever happens on the disk."""

import os
import shutil
import threading
import time
import weakref

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf

from serving import versions
from serving.client import Client, ServingError
from serving.model_config import ModelConfig
from serving.versions import ModelVersions

THREADS = 8


@pytest.fixture
def small(base_path):
    """The versions of `small`, polled by hand, serving version 1."""
    small = ModelVersions(ModelConfig("small", str(base_path)), settle_seconds=0)
    small.poll()
    assert serving(small) == 1
    yield small
    small.close()


def serving(small):
    with small.lend(None) as lent:
        return lent.version


def states(small):
    names = ("START", "LOADING", "AVAILABLE", "UNLOADING", "END")
    numbers = {getattr(versions, name): name for name in names}
    return {status.version: numbers[status.state] for status in small.statuses()}


def make_old(folder):
    """Dates everything in `folder` to 1970, as if it had lain there for long."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (0, 0))


def push(export, base_path, version):
    """A push as a careful one is: complete under another name, then renamed."""
    shutil.copytree(export, base_path / f"{version}.tmp")
    (base_path / f"{version}.tmp").rename(base_path / str(version))


@pytest.fixture
def expected(exports, pixels):
    """Scores of the two exports for the photographs' pixels."""
    signatures = [tf.saved_model.load(str(path)).signatures["predict"] for path in exports]
    return [signature(image=tf.constant(pixels))["scores"].numpy() for signature in signatures]


def test_swaps_under_load_fail_no_request(engine, exports, base_path, pixels, expected):
    problems, answers, stop = [], [0] * THREADS, threading.Event()

    def ask(thread, port):
        with Client(f"127.0.0.1:{port}", timeout=30) as client:
            while not stop.is_set():
                try:
                    scores = client.call("small", {"image": pixels}, "predict")["scores"]
                except ServingError as error:
                    problems.append(error)
                else:
                    if not any(np.allclose(scores, one, rtol=1e-4) for one in expected):
                        problems.append(scores)
                answers[thread] += 1

    with engine({"small": base_path}) as server:
        server.wait_until_available("small", 60)
        threads = [threading.Thread(target=ask, args=(n, server.grpc_port)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            with Client(f"127.0.0.1:{server.grpc_port}") as client:
                for version in (2, 3, 4):
                    push(exports[(version + 1) % 2], base_path, version)
                    assert client.wait_until_available("small", 60, version) == version
                    scores = client.call("small", {"image": pixels}, "predict")["scores"]
                    np.testing.assert_allclose(scores, expected[(version + 1) % 2], rtol=1e-4)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert problems == []
    assert min(answers) > 0


def test_requests_in_flight_end_on_the_old_version(small, exports, base_path, pixels, expected):
    with small.lend(None) as lent:
        push(exports[1], base_path, 2)
        small.poll()

        assert (lent.version, serving(small)) == (1, 2)
        assert states(small) == {1: "UNLOADING", 2: "AVAILABLE"}
        scores = lent.model.predict("predict", {"image": pixels})["scores"]
        np.testing.assert_allclose(scores, expected[0], rtol=1e-4)
        with pytest.raises(ServingError, match=r"Specific\(small, 1\)"), small.lend(1):
            pass
    small.poll()
    assert states(small) == {1: "END", 2: "AVAILABLE"}


def test_the_memory_of_an_unloaded_version_is_given_back(small, exports, base_path, pixels):
    with small.lend(None) as lent:
        lent.model.predict("predict", {"image": pixels})
        parts = lent, lent.model, lent.model._session, lent.model._session.graph
        references = [weakref.ref(part) for part in parts]
    del lent, parts
    push(exports[1], base_path, 2)

    small.poll()

    assert states(small) == {1: "END", 2: "AVAILABLE"}
    assert [reference() for reference in references] == [None] * 4


def test_the_last_request_on_an_old_version_asks_for_the_unloading(base_path, exports):
    small = ModelVersions(ModelConfig("small", str(base_path)), settle_seconds=0)
    small.poll()
    with small.lend(None):
        push(exports[1], base_path, 2)
        small.poll()
        with small.lend(None):
            pass
        assert not small.wake.is_set()
    assert small.wake.is_set()
    small.close()


@pytest.mark.parametrize(
    "last", ["saved_model.pb", "variables/variables.index", "assets/labels.txt"]
)
def test_a_version_that_is_being_copied_never_serves(exports, base_path, last):
    make_old(base_path / "1")
    small = ModelVersions(ModelConfig("small", str(base_path)), settle_seconds=3600)
    export, target = exports[1], base_path / "2"
    names = [str(path.relative_to(export)) for path in export.rglob("*") if path.is_file()]
    for name in sorted(names, key=lambda name: (name == last, name)):
        content = (export / name).read_bytes()
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        for part in (content[: len(content) // 2], content):
            small.poll()
            assert serving(small) == 1
            (target / name).write_bytes(part)
    small.poll()
    assert serving(small) == 1

    make_old(target)
    small.poll()
    assert serving(small) == 2
    small.close()


def test_what_a_half_copied_version_lacks_is_in_the_status(small, exports, base_path):
    shutil.copytree(exports[1], base_path / "2", ignore=shutil.ignore_patterns("*.data-*"))
    small.poll()

    newest = small.statuses()[0]

    assert states(small) == {1: "AVAILABLE", 2: "START"}
    assert newest.code is grpc.StatusCode.OK
    assert newest.message == "waiting: there is no variables/variables.data-00000-of-00001"
    assert small.pending


def test_files_that_do_not_change_are_trusted_whatever_their_dates(exports, base_path):
    """As on a file server whose clock is ahead."""
    for path in (base_path / "1").rglob("*"):
        os.utime(path, (time.time() + 1e6,) * 2)
    small = ModelVersions(ModelConfig("small", str(base_path)), settle_seconds=0.01)
    small.poll()
    assert states(small) == {1: "START"}
    deadline = time.monotonic() + 60

    while states(small) == {1: "START"} and time.monotonic() < deadline:
        small.poll()

    assert serving(small) == 1
    small.close()


def test_a_version_that_changes_while_it_is_loaded_is_not_served(small, exports, base_path):
    push(exports[1], base_path, 2)
    labels = base_path / "2" / "assets" / "labels.txt"
    changes = iter(["a\nb\nc\nd\n"])

    class Changing(versions.SavedModel):
        def warm_up(self, before_each):
            super().warm_up(before_each)
            for text in changes:
                labels.write_text(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "SavedModel", Changing)
        small.poll()
        assert states(small) == {1: "AVAILABLE", 2: "START"}
        small.poll()
        assert serving(small) == 2


def test_a_version_that_fails_is_reported_and_tried_again_when_it_changes(
    small, exports, base_path
):
    data = base_path / "2.tmp" / "variables" / "variables.data-00000-of-00001"
    shutil.copytree(exports[1], base_path / "2.tmp")
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    (base_path / "2.tmp").rename(base_path / "2")
    small.poll()

    newest = small.statuses()[0]
    assert states(small) == {1: "AVAILABLE", 2: "END"}
    assert newest.code is not grpc.StatusCode.OK
    assert "Read less bytes than requested" in newest.message
    assert serving(small) == 1

    (base_path / "2" / data.relative_to(base_path / "2.tmp")).write_bytes(whole)
    small.poll()
    assert serving(small) == 2
    assert states(small)[2] == "AVAILABLE"


def test_a_broken_version_over_grpc(engine, exports, base_path, photographs):
    shutil.copytree(exports[1], base_path / "2.tmp")
    index = base_path / "2.tmp" / "variables" / "variables.index"
    index.write_bytes(bytes(len(index.read_bytes())))
    with engine({"small": base_path}) as server:
        server.wait_until_available("small", 60)
        with Client(f"127.0.0.1:{server.grpc_port}") as client:
            (base_path / "2.tmp").rename(base_path / "2")
            with pytest.raises(ServingError, match="version 2 is END") as error:
                client.wait_until_available("small", 60, version=2)
            assert error.value.code is grpc.StatusCode.FAILED_PRECONDITION
            assert str(base_path) not in error.value.message
            assert client.predict("small", list(photographs.values()), version=1)


def test_a_model_whose_variables_a_session_cannot_restore(base_path):
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    module = tf.Module()
    module.net = net  # tracked by Keras' own objects only: TensorFlow Serving cannot serve it
    module.call = tf.function(
        lambda image: {"scores": net(image)},
        input_signature=[tf.TensorSpec([None, 2], tf.float32, name="image")],
    )
    tf.saved_model.save(module, str(base_path / "2"), signatures=module.call)
    shutil.rmtree(base_path / "1")
    small = ModelVersions(ModelConfig("small", str(base_path)), settle_seconds=0)
    small.poll()

    with pytest.raises(ServingError, match="Could not find variable") as error:
        small.wait_until_available(60)

    assert error.value.code is grpc.StatusCode.FAILED_PRECONDITION
    small.close()


def test_broken_versions_at_the_start_leave_the_newest_good_one(exports, base_path):
    (base_path / "2").mkdir()
    (base_path / "2" / "saved_model.pb").write_bytes(b"nothing of a SavedModel")
    (base_path / "3").mkdir()
    (base_path / "4").write_text("not even a directory")
    small = ModelVersions(ModelConfig("small", str(base_path)), settle_seconds=0)
    small.poll()

    assert serving(small) == 1
    assert states(small) == {1: "AVAILABLE", 2: "START", 3: "START", 4: "START"}
    small.close()


@pytest.mark.parametrize("name", ["2.tmp", ".2", "tmp-2", "2-part", "2 ", "v2", "-2", "2_", "٢"])
def test_other_names_are_no_versions(small, exports, base_path, name):
    shutil.copytree(exports[1], base_path / name)
    small.poll()

    assert serving(small) == 1
    assert states(small) == {1: "AVAILABLE"}


def test_a_number_that_is_no_int64_is_no_version(small, exports, base_path, caplog):
    shutil.copytree(exports[1], base_path / str(1 << 63))
    for _ in range(3):
        small.poll()
    assert states(small) == {1: "AVAILABLE"}
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == f"{base_path / str(1 << 63)}: no version: it is no int64"
    shutil.copytree(exports[1], base_path / str((1 << 63) - 1))
    small.poll()
    assert serving(small) == (1 << 63) - 1


def test_a_base_path_that_is_away_is_told_once(tmp_path, caplog):
    small = ModelVersions(ModelConfig("small", str(tmp_path / "away")))
    for _ in range(3):
        small.poll()
    assert len(caplog.records) == 1
    (tmp_path / "away").mkdir()
    for _ in range(3):
        small.poll()
    assert [record.getMessage() for record in caplog.records][1:] == [
        f"No versions under base path {tmp_path / 'away'}"
    ]


def test_versions_are_ordered_as_numbers(small, exports, base_path):
    push(exports[1], base_path, 9)
    push(exports[0], base_path, 10)
    small.poll()

    assert serving(small) == 10


def test_taking_the_newest_version_away_goes_back(small, exports, base_path):
    push(exports[1], base_path, 2)
    small.poll()
    shutil.rmtree(base_path / "2")
    small.poll()

    assert serving(small) == 1
    assert states(small) == {1: "AVAILABLE", 2: "END"}


def test_a_base_path_that_is_away_for_a_while(small, exports, base_path, tmp_path):
    base_path.rename(tmp_path / "away")
    small.poll()
    assert serving(small) == 1

    push(exports[1], tmp_path / "away", 2)
    (tmp_path / "away").rename(base_path)
    small.poll()
    assert serving(small) == 2


def test_waiting_in_vain_says_why(tmp_path):
    small = ModelVersions(ModelConfig("small", str(tmp_path / "nowhere")))
    small.poll()

    with pytest.raises(ServingError, match=r"Could not read base path .*nowhere") as error:
        small.wait_until_available(0.01)

    assert error.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_base_path_that_appears_later(engine, exports, tmp_path):
    with engine({"small": tmp_path / "later"}) as server:
        with (
            pytest.raises(ServingError, match="Servable not found"),
            Client(f"127.0.0.1:{server.grpc_port}") as client,
        ):
            client.predict("small", [b"image"])
        push(exports[0], tmp_path / "later", 1)
        assert server.wait_until_available("small", 60) == 1
