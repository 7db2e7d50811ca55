"""The server as a whole: several models, ports, the command, the client's footprint."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from serving.client import Client, ServingError
from serving.command import main
from serving.engine import EXECUTABLE, TensorFlowModelServer, free_port, model_config
from serving.server import Server

ROOT = Path(__file__).parents[2]


def test_several_models(engine, exports, tmp_path, photographs):
    for name, export in zip(("one", "two"), exports, strict=True):
        shutil.copytree(export, tmp_path / name / "1")
    with engine({"one": tmp_path / "one", "two": str(tmp_path / "two")}) as server:
        images = list(photographs.values())
        with Client(f"127.0.0.1:{server.grpc_port}") as client:
            answers = []
            for name in ("one", "two"):
                assert server.wait_until_available(name, 60) == 1
                answers.append([answer["scores"].max() for answer in client.predict(name, images)])
    assert answers[0] != answers[1]


def test_waiting_for_a_model_that_is_not_served(server):
    with pytest.raises(ServingError, match="foo") as error:
        server.wait_until_available("foo", 1)
    assert error.value.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("taken", ["grpc_port", "rest_port"])
def test_a_port_in_use_is_named_and_nothing_is_left_running(base_path, taken):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        spare = free_port(0)
        ports = {"grpc_port": spare, "rest_port": spare, taken: port}
        with (
            pytest.raises(OSError, match=rf"\b{port}\b.*in use"),
            Server({"small": base_path}, **ports),
        ):
            pass
    assert free_port(spare) == spare


def test_a_second_server_does_not_share_the_port(embedded, base_path):
    for port in ("grpc_port", "rest_port"):
        with (
            pytest.raises(OSError, match="in use"),
            Server({"small": base_path}, **{port: getattr(embedded, port)}),
        ):
            pass


def test_an_address_the_machine_does_not_have(base_path):
    with (
        pytest.raises(OSError, match=r"203\.0\.113\.1"),
        Server({"small": base_path}, host="203.0.113.1"),
    ):
        pass


def test_stopping_frees_the_ports(engine, base_path):
    with engine({"small": base_path}) as server:
        server.wait_until_available("small", 60)
        ports = [server.grpc_port, server.rest_port]
        for port in ports:
            socket.create_connection(("127.0.0.1", port)).close()
    assert [free_port(port) for port in ports] == ports
    with engine({"small": base_path}, grpc_port=ports[0], rest_port=ports[1]) as server:
        assert server.wait_until_available("small", 60) == 1


def test_one_api_alone(base_path):
    with Server({"small": base_path}, rest_port=None) as server:
        assert server.rest_port is None
        server.wait_until_available("small")
    with Server({"small": base_path}, grpc_port=None) as server:
        assert server.grpc_port is None
        server.wait_until_available("small")


def test_no_server_at_all():
    with Client(f"127.0.0.1:{free_port(0)}", timeout=5) as client:
        with pytest.raises(ServingError) as error:
            client.status("small")
        assert error.value.code is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(ServingError, match="small is not available at") as error:
            client.wait_until_available("small", 0.01)
        assert error.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_tensorflow_is_not_loaded_whole_and_the_end_is_clean(base_path):
    program = """
        import sys, numpy as np
        from serving.client import Client
        from serving.tensors import from_proto, to_proto
        assert from_proto(to_proto(np.ones(3, "float32")), "x", 99).sum() == 3
        import serving.command  # its --help, and what it refuses
        assert not any(name.startswith("tensorflow.python") for name in sys.modules)

        from serving.server import Server
        with Server({"small": sys.argv[1]}, rest_port=None) as server:
            server.wait_until_available("small")
            with Client(f"127.0.0.1:{server.grpc_port}") as client:
                assert client.predict("small", [np.zeros([28, 28, 3], "float32")])
        assert "tensorflow" not in sys.modules and "keras" not in sys.modules

        from serving import runtime
        parts = vars(runtime.tf)
        runtime._NAMES["Session"] = ("of.another.version", "Session", "compat.v1.Session")
        assert vars(runtime.choose()) == parts

        import tensorflow as tf
        assert tf.executing_eagerly() and tf.keras.layers.Dense(2)(tf.ones([1, 3])).shape == (1, 2)
        from serving.protos import tensor_pb2
        assert isinstance(tf.make_tensor_proto(1.0), tensor_pb2.TensorProto)
        assert tf.make_ndarray(to_proto(np.ones(3, "float32"))).sum() == 3
        sys.server = server  # one that goes with the last of the modules
    """
    command = [sys.executable, "-c", textwrap.dedent(program), base_path]
    messages = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stderr
    assert "excepthook" not in messages and "Exception ignored" not in messages, messages


def test_the_command_serves_until_a_signal(base_path, photographs, tmp_path):
    grpc_port, rest_port = free_port(0), free_port(0)
    config = tmp_path / "models.config"
    config.write_text(model_config({"small": str(base_path)}))
    flags = [f"--port={grpc_port}", f"--rest_api_port={rest_port}", "--enable_batching=true"]
    flags += [f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=0.1"]
    process = subprocess.Popen([sys.executable, "-m", "serving", *flags], cwd=ROOT)
    try:
        with Client(f"127.0.0.1:{grpc_port}") as client:
            assert client.wait_until_available("small", 300) == 1
            assert client.predict("small", list(photographs.values()))
            config.write_text(model_config({"another": str(base_path)}))
            assert client.wait_until_available("another", 300) == 1

        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == 0
    finally:
        process.kill()
    assert free_port(grpc_port) == grpc_port


@pytest.mark.parametrize(
    ("flags", "twice"),
    [
        (["--port={}"], False),
        (["--port=0", "--rest_api_port={}"], False),
        (["--port={}", "--rest_api_port={}"], True),
    ],
)
def test_the_command_names_a_port_in_use(base_path, monkeypatch, flags, twice):
    monkeypatch.setitem(sys.modules, "serving.server", None)  # before TensorFlow is loaded
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        if twice:
            other.close()
        flags = [flag.format(port) for flag in flags]
        result = CliRunner().invoke(main, [*flags, f"--model_base_path={base_path}"])
    assert result.output == f"Error: cannot listen on 127.0.0.1, port {port}: it is in use\n"
    assert result.exit_code == 1


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Our own command under the name tensorflow_model_server on PATH.

    It takes the same flags, so it shows that the process is started, asked and stopped rightly.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / EXECUTABLE
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m serving "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.chdir(ROOT)


def test_the_child_process_is_used_like_a_server(stand_in, base_path, photographs):
    with TensorFlowModelServer({"small": base_path}) as server:
        assert server.wait_until_available("small", 300) == 1
        with Client(f"127.0.0.1:{server.grpc_port}") as client:
            assert client.predict("small", list(photographs.values()))
        port = server.grpc_port
    assert free_port(port) == port


def test_a_child_process_that_ends_shows_what_it_printed(tmp_path, monkeypatch):
    script = tmp_path / EXECUTABLE
    script.write_text("#!/bin/sh\necho no such flag; exit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    server = TensorFlowModelServer({"small": tmp_path})
    with server, pytest.raises(RuntimeError, match="no such flag"):
        server.wait_until_available("small", 60)


def test_no_executable_on_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=EXECUTABLE), TensorFlowModelServer({}):
        pass


def test_a_command_that_would_serve_nothing():
    for flags in (["--port=0"], []):
        assert CliRunner().invoke(main, flags).exit_code == 2
