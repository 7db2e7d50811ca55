"""`convnets serve`, `predict` and `judge --model` on a small real SavedModel."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest
import trustme
from click.testing import CliRunner
from PIL import Image

from pipelines import cli, demo, served
from serving.client import Client, ServingError

TREE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two pushed models that tell dark images from light ones by the mean of their pixels."""
    import tensorflow as tf

    class Shade(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def __call__(self, examples):
            def light(encoded):
                image = tf.io.decode_image(encoded, channels=1, expand_animations=False)
                return tf.reduce_mean(tf.cast(image, tf.float32)) / 255.0

            share = tf.map_fn(light, examples, fn_output_signature=tf.float32)
            scores = tf.stack([1.0 - share, share], axis=1)
            names = tf.constant(["dark", "light"])
            return {"scores": scores, "classes": tf.gather(names, tf.argmax(scores, axis=1))}

    root = tmp_path_factory.mktemp("runs")
    module = Shade()
    signatures = {"serving_default": module.__call__.get_concrete_function()}
    for name in ("shade", "shade-too"):
        tf.saved_model.save(module, str(root / "serving" / name / "1"), signatures)
    return root


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    Image.new("RGB", (30, 20), "black").save(folder / "night.png")
    Image.new("RGB", (300, 200), "white").save(folder / "day.jpg")
    return [folder / "night.png", folder / "day.jpg"]


@pytest.fixture
def convnets(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments, code=0):
        result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture(scope="module")
def running(root):
    """`convnets serve` on free ports: its lines and its gRPC address. Ctrl-C ends it."""
    ports = ["--port", "0", "--rest-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "serve", "--root", str(root), *ports],
        cwd=TREE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if address := re.search(r"gRPC on (\S+);", line):
            assert "h5py" not in Path(f"/proc/{process.pid}/maps").read_text()  # Keras loads it
            yield lines, address[1]
            break
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate()
    assert process.returncode == 0, messages
    assert messages == ""


def words(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_serve_predict_and_rest(running, images, convnets):
    lines, address = running
    assert [line.split(":")[0] for line in lines[:-1]] == ["shade", "shade-too"]
    text = convnets("predict", *images, "--model", "shade", "--server", address)
    assert f"{images[0]} dark 1.0000" in words(text)
    assert f"{images[1]} light 1.0000" in words(text)

    url = lines[0].split(": ")[1].strip()
    with urllib.request.urlopen(url) as response:
        (status,) = json.load(response)["model_version_status"]
    assert status["state"] == "AVAILABLE"
    answers = demo.ask_rest(f"{url}:predict", [image.read_bytes() for image in images])
    assert answers == [("dark", 1.0), ("light", 1.0)]

    refused = convnets("predict", *images, "--model", "shad", "--server", address, code=1)
    assert refused.startswith(f"Error: {address}: NOT_FOUND")


def test_predict_without_a_server_starts_one_for_the_call(root, images, convnets, monkeypatch):
    # Whatever listens on this machine's port 8500 is not this test's.
    monkeypatch.setattr(served, "listens", lambda address: False)
    text = convnets("predict", images[1], "--model", "shade", "--root", root)
    assert f"{images[1]} light 1.0000" in words(text)


def test_predict_asks_the_server_that_listens(running, root, images, convnets, monkeypatch):
    address = running[1]
    assert served.listens(address)
    monkeypatch.setattr("pipelines.commands.serving.GRPC_PORT", int(address.rpartition(":")[2]))
    monkeypatch.delattr(served, "server")
    text = convnets("predict", images[0], "--model", "shade", "--root", root)
    assert f"{images[0]} dark 1.0000" in words(text)


def test_load_test(running, images, convnets):
    told = words(
        convnets(
            "load-test", *images, "--server", running[1], "--model", "shade", "--clients", 3,
            "--seconds", 0.5, "--batch-size", 2,
        )
    )  # fmt: skip
    values = dict(line.rsplit(" ", 1) for line in told if line and not line.endswith("ms"))
    assert int(values["requests answered"]) >= 3
    assert int(values["images a second"]) > 0
    assert any(re.fullmatch(r"99 % within [0-9.]+ ms", line) for line in told)


def test_load_test_of_a_model_that_is_not_served(running, images, convnets):
    told = convnets("load-test", *images, "--server", running[1], "--model", "none", code=1)
    assert "Latest(none)" in told


def test_several_models_and_none_named(root, images, convnets):
    text = convnets("predict", *images, "--root", root, "--server", "127.0.0.1:1", code=1)
    assert text == "Error: say which model with --model: shade, shade-too\n"


def test_what_is_no_image_is_refused_by_name(root, images, convnets, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no image")
    arguments = ("--model", "shade", "--server", "127.0.0.1:1")
    text = convnets("predict", images[0], path, *arguments, code=1)
    assert text == f"Error: {path}: neither PNG nor JPEG\n"


def test_a_truncated_image_is_refused_by_name(images, convnets, tmp_path):
    path = tmp_path / "half.jpg"
    whole = images[1].read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    arguments = ("--model", "shade", "--server", "127.0.0.1:1")
    text = convnets("predict", images[0], path, *arguments, code=1)
    assert text.startswith(f"Error: {path}: ")
    assert "truncated" in text.lower()


def test_a_damaged_image_that_pillow_decodes_is_refused_by_name(images, convnets, tmp_path):
    path = tmp_path / "damaged.png"
    photo = io.BytesIO()
    Image.open(images[0]).save(photo, "PNG")
    content = bytearray(photo.getvalue())
    content[-13] ^= 1  # of a checksum
    path.write_bytes(content)
    arguments = ("--model", "shade", "--server", "127.0.0.1:1")
    text = convnets("predict", path, *arguments, code=1)
    assert text == f"Error: {path}: cannot be decoded: the chunk IDAT is damaged\n"


def test_a_missing_image_is_refused(convnets):
    assert "absent.png" in convnets("predict", "absent.png", code=2)


def test_nobody_listens(images, convnets):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        assert not served.listens(address)
        arguments = ("--model", "shade", "--server", address)
        text = convnets("predict", images[0], *arguments, code=1)
    assert text.startswith(f"Error: {address}: UNAVAILABLE")


@pytest.mark.parametrize("command", ["serve", "predict"])
def test_nothing_pushed_yet(command, convnets, images, tmp_path, monkeypatch):
    monkeypatch.setattr(served, "listens", lambda address: False)
    arguments = images if command == "predict" else []
    text = convnets(command, *arguments, "--root", tmp_path, code=1)
    assert "no pushed model" in text
    assert "convnets run lenet" in text


def test_an_unknown_model_names_the_nearest(root, convnets):
    text = convnets("serve", "shad", "--root", root, code=1)
    assert text == f"Error: no model 'shad' in {root}: did you mean shade?\n"


@pytest.mark.parametrize("taken", ["--port", "--rest-port"])
def test_a_port_in_use_is_named(root, convnets, monkeypatch, taken):
    monkeypatch.setitem(sys.modules, "serving.server", None)  # before TensorFlow is loaded
    ports = {"--port": 0, "--rest-port": 0}
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports[taken] = other.getsockname()[1]
        arguments = [each for pair in ports.items() for each in pair]
        text = convnets("serve", "--root", root, *arguments, code=1)
    assert f"cannot listen on 127.0.0.1, port {ports[taken]}: it is in use" in text


def test_tls(root, tmp_path):
    authority = trustme.CA()
    pair = authority.issue_cert("localhost")

    def text(pem):
        return json.dumps(pem.bytes().decode())

    config = tmp_path / "ssl.config"
    config.write_text(
        f"server_key: {text(pair.private_key_pem)} server_cert: {text(pair.cert_chain_pems[0])}"
    )
    models = served.pushed(root, ["shade"])
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    with (
        served.server(models, host="localhost", ssl_config=config) as (address, _),
        Client(address, credentials=credentials) as client,
        Client(address, retries=0, timeout=10) as plain,
    ):
        assert client.status("shade")
        with pytest.raises(ServingError, match="UNAVAILABLE"):
            plain.status("shade")


def test_a_file_that_is_no_tls_settings_is_named(root, convnets, tmp_path):
    config = tmp_path / "ssl.config"
    config.write_text("server_key: 'k'")
    text = convnets("serve", "--root", root, "--ssl_config_file", config, code=1)
    assert text == f"Error: {config}: server_key and server_cert have to be set\n"


class TestTensorFlowServing:
    def test_is_asked_for_where_it_is_missing(self, root, convnets, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        text = convnets("serve", "--root", root, "--engine", "tfserving", code=1)
        assert text.startswith("Error: tensorflow_model_server is not on PATH")

    def test_takes_no_host(self, root, convnets):
        arguments = ("--engine", "tfserving", "--host", "0.0.0.0")
        assert "leave --host out" in convnets("serve", "--root", root, *arguments, code=2)

    def test_is_started_with_every_model(self, root, tmp_path):
        program = tmp_path / "tensorflow_model_server"
        program.write_text('#!/bin/sh\nfor each; do echo "$each"; done\n')
        program.chmod(0o755)
        command = ["serve", "--root", str(root), "--engine", "tfserving", "--port", "9000"]
        command += ["--ssl_config_file", str(program)]
        child = subprocess.run(
            [sys.executable, "-m", "pipelines", *command],
            cwd=TREE,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        port, rest_port, config, tls = child.stdout.split()
        assert tls == f"--ssl_config_file={program}"
        assert (port, rest_port) == ("--port=9000", "--rest_api_port=8501")

        from serving.model_config import by_path, read_model_config

        models = read_model_config(config.removeprefix("--model_config_file="))
        expected = {name: root / "serving" / name for name in ("shade", "shade-too")}
        assert models == by_path(expected)
