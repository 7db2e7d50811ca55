"""The clients: retries, deadlines, asyncio."""

import asyncio
import itertools
import shutil
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving import messages
from serving.async_client import AsyncClient
from serving.client import Client, ServingError
from serving.engine import free_port
from serving.model_config import from_proto
from serving.server import Server

ROOT = Path(__file__).parents[2]


def test_a_server_that_comes_later_is_found_by_retries(base_path, pixels):
    port = free_port(0)
    with Server({"small": base_path}) as first:
        first.wait_until_available("small")
        started = threading.Event()

        def answer(client):
            started.set()
            return client.status("small")

        with Client(f"127.0.0.1:{port}", retries=0) as client:
            with pytest.raises(ServingError) as error:
                client.status("small")
            assert error.value.code is grpc.StatusCode.UNAVAILABLE
        found = []
        with Client(f"127.0.0.1:{port}") as client:
            asking = threading.Thread(target=lambda: found.extend(answer(client)))
            asking.start()
            assert started.wait(30)
            with Server({"small": base_path}, grpc_port=port) as server:
                asking.join()
                server.wait_until_available("small")
                assert client.predict("small", list(pixels))


def test_a_client_asks_all_servers_that_a_name_stands_for(one_version, tmp_path):
    newer = tmp_path / "small"
    shutil.copytree(one_version / "1", newer / "2")
    with Server({"small": one_version}) as one, Server({"small": newer}) as other:
        addresses = [f"127.0.0.1:{server.grpc_port}" for server in (one, other)]
        for server in (one, other):
            server.wait_until_available("small")
        with Client(f"ipv4:{','.join(addresses)}") as client:
            # The first answers come from the one that is connected first.
            answers = itertools.chain.from_iterable(client.status("small") for _ in range(1000))
            seen = set()
            for each in answers:
                seen.add(each.version)
                if seen == {1, 2}:
                    break
    assert seen == {1, 2}


def test_other_errors_are_not_tried_again(server, client):
    with Client(f"127.0.0.1:{server.grpc_port}") as again:
        for asked in (client, again):
            with pytest.raises(ServingError) as error:
                asked.call("none", {})
            assert error.value.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("code", "retries", "calls"),
    [
        (grpc.StatusCode.UNAVAILABLE, 2, 3),
        (grpc.StatusCode.UNAVAILABLE, 0, 1),
        (grpc.StatusCode.INVALID_ARGUMENT, 2, 1),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 2, 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 2, 1),
    ],
)
def test_only_what_is_unavailable_reaches_the_server_again(refusing, code, retries, calls):
    address, reached, refusal = refusing
    refusal.append(code)
    with Client(address, retries=retries) as client, pytest.raises(ServingError) as error:
        client.status("small")
    assert error.value.code is code
    assert len(reached) == calls


@pytest.fixture
def refusing():
    """(address, methods called, statuses) of a server that refuses with the last status."""
    reached, refusal = [], []

    class Refuse(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(
                lambda _, context: reached.append(details.method) or context.abort(refusal[-1], "")
            )

    server = grpc.server(ThreadPoolExecutor(1), [Refuse()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", reached, refusal
    server.stop(None).wait()


@pytest.mark.parametrize("retries", [-1, 5])
def test_retries_have_a_limit(retries):
    with pytest.raises(ValueError, match="from 0 to 4"):
        Client("127.0.0.1:1", retries=retries)


def test_asyncio_gives_the_same(server, client, photographs, pixels, tmp_path):
    images = list(photographs.values())
    (tmp_path / "one.png").write_bytes(images[0])

    async def ask():
        async with AsyncClient(f"127.0.0.1:{server.grpc_port}") as asked:
            return (
                await asked.predict("small", images, batch_size=1),
                await asked.predict("small", [tmp_path / "one.png"]),
                await asked.predict("small", list(pixels)),
                await asked.metadata("small"),
                await asked.status("small"),
                await asked.classify("small", images[:1]),
                await asked.regress("small", images[:1]),
            )

    encoded, path, arrays, metadata, status, classes, numbers = asyncio.run(ask())

    expected = client.predict("small", images)
    np.testing.assert_allclose(
        [one["scores"] for one in encoded], [one["scores"] for one in expected], rtol=1e-5
    )
    assert path[0]["classes"] == expected[0]["classes"]
    again = client.predict("small", pixels)
    assert [one["classes"] for one in arrays] == [one["classes"] for one in again]
    assert metadata == client.metadata("small")
    assert status == client.status("small")
    assert classes == client.classify("small", images[:1])
    assert numbers == client.regress("small", images[:1])


def test_asyncio_errors_deadlines_and_cancelling(server, pixels):
    ages = {"steps": np.array([100_000])}

    async def ask():
        async with AsyncClient(f"127.0.0.1:{server.grpc_port}", timeout=0.2) as asked:
            with pytest.raises(ServingError, match="DEADLINE_EXCEEDED"):
                await asked.call("small", ages, "spin")
        async with AsyncClient(f"127.0.0.1:{server.grpc_port}") as asked:
            with pytest.raises(ServingError, match="NOT_FOUND"):
                await asked.predict("none", list(pixels))
            task = asyncio.create_task(asked.call("small", ages, "spin"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await asked.predict("small", list(pixels))

    assert len(asyncio.run(ask())) == 4


def test_asyncio_waits_for_a_model(base_path, exports):
    shutil.copytree(exports[1], base_path / "2")

    async def wait(address):
        async with AsyncClient(address) as asked:
            with pytest.raises(ServingError, match=r"not available at .* after 0\.1 s") as error:
                await asked.wait_until_available("small", 0.1, version=9)
            return error.value.code, await asked.wait_until_available("small", 60, version=2)

    with Server({"small": base_path}, poll_seconds=0.05) as server:
        code, version = asyncio.run(wait(f"127.0.0.1:{server.grpc_port}"))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert version == 2


def test_asyncio_does_not_wait_for_what_has_failed(base_path):
    index = base_path / "1" / "variables" / "variables.index"
    index.write_bytes(bytes(len(index.read_bytes())))

    async def wait(address):
        async with AsyncClient(address) as asked:
            await asked.wait_until_available("small", 60)

    with (
        Server({"small": base_path}, poll_seconds=0.05) as server,
        pytest.raises(ServingError, match="FAILED_PRECONDITION: version 1 is END"),
    ):
        asyncio.run(wait(f"127.0.0.1:{server.grpc_port}"))


@pytest.fixture(scope="module")
def labelled(exports):
    """A server of both versions, the older of which is called `stable`."""
    text = f"""model_config_list {{ config {{
        name: "small" base_path: "{exports[0].parent}" model_platform: "tensorflow"
        model_version_policy {{ all {{}} }} version_labels {{ key: "stable" value: 1 }}
    }} }}"""
    config = text_format.Parse(text, ModelServerConfig())
    with Server(from_proto(config), poll_seconds=0.05) as server:
        with Client(f"127.0.0.1:{server.grpc_port}") as client:
            for version in (1, 2):
                client.wait_until_available("small", 60, version)
        yield server


def test_a_label_chooses_the_version(labelled, photographs):
    images = list(photographs.values())

    async def ask(address):
        async with AsyncClient(address) as asked:
            return (
                await asked.classify("small", images, version_label="stable"),
                await asked.regress("small", images, version_label="stable"),
                (await asked.metadata("small", version_label="stable"))[0],
                await asked.status("small", version_label="stable"),
            )

    address = f"127.0.0.1:{labelled.grpc_port}"
    with Client(address) as client:
        found = (
            client.classify("small", images, version_label="stable"),
            client.regress("small", images, version_label="stable"),
            client.metadata("small", version_label="stable")[0],
            client.status("small", version_label="stable"),
        )
        assert found[0] == client.classify("small", images, version=1)
        assert found[0] != client.classify("small", images)
        assert found[1] == client.regress("small", images, version=1)
        assert found[2] == 1
        assert [status.version for status in found[3]] == [1]
        with pytest.raises(ServingError, match="Unrecognized servable version label: none"):
            client.classify("small", images, version_label="none")
    assert asyncio.run(ask(address)) == found


def test_a_version_label_is_for_predict_too(labelled, pixels):
    with Client(f"127.0.0.1:{labelled.grpc_port}") as client:
        (stable,) = client.predict("small", pixels[:1], version_label="stable")
        (first,) = client.predict("small", pixels[:1], version=1)
        (newest,) = client.predict("small", pixels[:1])
    np.testing.assert_array_equal(stable["scores"], first["scores"])
    assert abs(stable["scores"] - newest["scores"]).max() > 0


def test_every_output_of_an_image_by_its_name(client, photographs, pixels):
    images = list(photographs.values())
    for answer in client.predict("small", images, batch_size=3):
        assert set(answer) == {"scores", "classes"}
        assert answer["scores"].shape == (4,) and answer["scores"].dtype == np.float32
        assert isinstance(answer["classes"], bytes)
    assert client.predict("small", []) == []


@pytest.mark.parametrize("shape", [[], [1], [3, 2]])
def test_an_output_without_a_value_for_each_image_is_named(shape):
    batch = {"examples": np.array([b"a", b"b"], object)}
    with pytest.raises(ValueError, match="2 images, but an output mean of shape"):
        messages.answers({"mean": np.zeros(shape, np.float32)}, batch)


def test_bytes_that_are_nothing(client):
    with pytest.raises(ValueError, match=r"neither PNG, JPEG nor a tf\.Example"):
        client.classify("small", [b"\xff\xff\xff\xff"])


def test_asyncio_without_tensorflow():
    program = """
        import sys
        from serving.async_client import AsyncClient
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, check=True)


def test_images_of_several_inputs_go_by_their_names():
    black, white = (np.full((2, 3, 1), level, np.uint8) for level in (0, 255))
    asked = [{"first": black, "clip": [black, white]}, {"first": white, "clip": [white, white]}]
    ((signature, inputs),) = messages.image_batches(asked, "serving_default", 64)
    assert signature == "predict"
    assert (inputs["first"].shape, inputs["clip"].shape) == ((2, 2, 3, 1), (2, 2, 2, 3, 1))
    assert inputs["clip"][0, 1].min() == 255 and inputs["first"].dtype == np.float32
    files = [{"first": b"a", "clip": [b"b", b"c"]}, {"first": b"d", "clip": [b"e", b"f"]}]
    one, two = messages.image_batches(files, "serving_default", 1)
    assert [signature for signature, _ in (one, two)] == ["serving_default"] * 2
    assert two[1]["first"].tolist() == [b"d"] and two[1]["clip"].tolist() == [[b"e", b"f"]]
    outputs = {"kin": np.array([0.5], np.float32)}
    assert messages.answers(outputs, two[1]) == [{"kin": np.float32(0.5)}]
