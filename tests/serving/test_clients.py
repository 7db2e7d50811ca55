"""The clients: retries, deadlines, asyncio."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from serving.async_client import AsyncClient
from serving.client import Client, ServingError
from serving.engine import free_port
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
        [one.scores for one in encoded], [one.scores for one in expected], rtol=1e-5
    )
    assert path[0].label == expected[0].label
    assert [one.label for one in arrays] == [one.label for one in client.predict("small", pixels)]
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
