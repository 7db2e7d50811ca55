"""`convnets serve`, `predict` and `judge --model` on a small real SavedModel."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import pytest
import trustme
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from components import tasks
from pipelines import cli, demo, served
from pipelines.console import answers, screens
from pipelines.predictions import answerers
from pipelines.predictions.tables import Form
from serving.client import Client, ServingError

CLASSIFICATION = tasks.find("classification")
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


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


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
    pngs = [image.read_bytes() for image in images]
    given = demo.ask_rest(f"{url}:predict", pngs, CLASSIFICATION.outputs)
    columns, rows = answers.in_words(given, Form(CLASSIFICATION))
    assert columns == ("answer", "score")
    assert rows == [("dark", "1.0000"), ("light", "1.0000")]
    screen = Console(width=200, file=io.StringIO())
    screen.print(screens.answers_table(["night", "day"], columns, rows, rows))
    table = words(screen.file.getvalue())
    assert "image answer score over REST score" in table
    assert "day light 1.0000 light 1.0000" in table

    refused = convnets("predict", *images, "--model", "shad", "--server", address, code=1)
    assert refused.startswith(f"Error: {address}: NOT_FOUND")


def test_predict_without_a_server_asks_the_model_in_this_process(
    root, images, convnets, monkeypatch
):
    # Whatever listens on this machine's port 8500 is not this test's.
    monkeypatch.setattr(served, "listens", lambda address: False)
    text = convnets("predict", images[1], "--model", "shade", "--root", root, "--json")
    (answer,) = lines_of(text)
    assert answer["classes"] == "light"


def test_predict_asks_the_server_that_listens(running, root, images, convnets, monkeypatch):
    address = running[1]
    assert served.listens(address)
    monkeypatch.setattr("pipelines.commands.predicting.GRPC_PORT", int(address.rpartition(":")[2]))
    monkeypatch.delattr(answerers, "of_path")
    text = convnets("predict", images[0], "--model", "shade", "--root", root)
    assert f"{images[0]} dark 1.0000" in words(text)


def test_asking_a_running_server_waits_for_no_tensorflow(running, root, images):
    code = """
        import sys
        from pipelines import cli
        try:
            cli.main(sys.argv[1:])
        finally:
            assert not {"keras", "matplotlib", "tensorflow", "tfx"} & set(sys.modules)
    """
    arguments = ["predict", images[0], "--model", "shade", "--server", running[1], "--root", root]
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "dark" in child.stdout


def test_json_is_a_line_an_image(running, images, convnets):
    text = convnets("predict", *images, "--model", "shade", "--server", running[1], "--json")
    assert lines_of(text) == [
        {"file": str(images[0]), "classes": "dark", "scores": [1.0, 0.0]},
        {"file": str(images[1]), "classes": "light", "scores": [0.0, 1.0]},
    ]


def test_the_task_is_that_of_the_newest_pushed_version(tmp_path):
    folder = tmp_path / "serving" / "net"
    assert served.task_and_names(tmp_path, "net") == (None, [])
    for version, facts in (("9", "{}"), ("10", '{"task": "classification"}'), ("11", None)):
        (folder / version / "assets").mkdir(parents=True)
        if facts:
            (folder / version / "saved_model.pb").touch()
            (folder / version / "assets" / "task.json").write_text(facts)
    (folder / "10" / "assets" / "labels.txt").write_text("Käse\nBrot\n", encoding="utf-8")
    assert served.task_and_names(tmp_path, "net") == (CLASSIFICATION, ["Käse", "Brot"])
    (folder / "11" / "saved_model.pb").touch()
    assert served.task_and_names(tmp_path, "net") == (CLASSIFICATION, [])


def test_the_task_is_known_by_the_outputs():
    assert answerers.task_of(["scores", "classes"], None) is CLASSIFICATION
    assert answerers.task_of(["scores", "classes", "more"], CLASSIFICATION) is CLASSIFICATION
    # The server has another model of this name than the one that was pushed.
    assert answerers.task_of(["scores"], CLASSIFICATION) is None
    assert answerers.task_of(["scores", "classes", "more"], None) is None


@pytest.fixture(scope="module")
def sketches(tmp_path_factory):
    """A pushed model whose outputs are of no task of ours."""
    import tensorflow as tf

    class Sketch(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def __call__(self, examples):
            images = tf.shape(examples)[0]
            row = tf.constant([0.1, float("nan"), float("inf")])
            return {
                "row": tf.tile(row[tf.newaxis], [images, 1]),
                "map": tf.reshape(tf.range(images * 12), [images, 3, 4]),
                "digest": tf.fill([images], tf.constant(b"\xff\xfe")),
                "words": tf.fill([images, 2], "ä"),
                "share": tf.fill([images], 0.25),
            }

    root = tmp_path_factory.mktemp("sketches")
    module = Sketch()
    tf.saved_model.save(module, str(root / "serving" / "sketch" / "1"), module.__call__)
    with served.server({"sketch": str(root / "serving" / "sketch")}) as (address, _):
        yield address


def test_outputs_of_no_known_task(sketches, images, convnets):
    arguments = ("--model", "sketch", "--server", sketches)
    text = words(convnets("predict", *images, *arguments))
    assert "image digest map row share words" in text
    assert f"{images[1]} \ufffd\ufffd 3 x 4, from 12 to 23 0.1, nan, inf 0.25 ä, ä" in text

    first, _ = lines_of(convnets("predict", *images, *arguments, "--json"))
    assert first == {
        "file": str(images[0]),
        "digest": {"b64": "//4="},
        "map": np.arange(12).reshape(3, 4).tolist(),
        "row": [0.1, None, None],
        "share": 0.25,
        "words": ["ä", "ä"],
    }


def test_nothing_is_drawn_of_no_known_task(sketches, images, convnets, tmp_path):
    arguments = ("--model", "sketch", "--server", sketches, "--draw", tmp_path / "drawn", "--json")
    text = convnets("predict", images[0], *arguments, code=1)
    answer, error = text.splitlines()
    assert json.loads(answer)["share"] == 0.25
    assert error == "Error: what is answered is of no known task: nothing is drawn"


@pytest.fixture
def odd(tmp_path):
    """Pictures of one name in several folders, one of them turned, one of 16 bits."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (300, 40), "red").save(tmp_path / "a" / "x.jpg", exif=exif)
    Image.fromarray(np.full((30, 200), 65535, np.uint16)).save(tmp_path / "b" / "x.png")
    Image.new("L", (20, 10), "black").save(tmp_path / "c" / "X.png")
    return [tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.png", tmp_path / "c" / "X.png"]


def test_draw(running, odd, convnets, tmp_path):
    folder = tmp_path / "new" / "drawn"
    arguments = ("--model", "shade", "--server", running[1], "--draw", folder)
    text = convnets("predict", *odd, *arguments)
    assert f"{odd[1]} light 1.0000" in words(text)
    assert sorted(each.name for each in folder.iterdir()) == ["X-3.png", "x-2.png", "x.png"]
    turned, deep, small = (np.asarray(Image.open(folder / name)) for name in DRAWN)
    assert (turned[:300, :40] == [254, 0, 0]).all() and turned.shape[0] > 310
    assert (deep[:30] == 255).all() and deep.shape[1] == 200
    assert (small[:10, :20] == 0).all() and small.shape[1] > 60
    for drawn, height in ((turned, 300), (deep, 30), (small, 10)):
        caption = drawn[height:]
        assert caption.min() < 50 and caption.mean() > 150
        # Nothing of the letters is cut off.
        border = [caption[0], caption[-1], caption[:, 0], caption[:, -1]]
        assert all((edge == 255).all() for edge in border)


DRAWN = ("x.png", "x-2.png", "X-3.png")


def test_draw_overwrites_nothing(images, convnets, tmp_path):
    (tmp_path / "day.png").write_text("mine")
    arguments = ("--model", "shade", "--server", "127.0.0.1:1", "--draw", tmp_path)
    text = convnets("predict", *images, *arguments, code=1)
    assert text == f"Error: {tmp_path}/day.png is there already, and --draw overwrites nothing\n"
    assert [each.name for each in tmp_path.iterdir()] == ["day.png"]
    assert (tmp_path / "day.png").read_text() == "mine"


def test_draw_into_a_file_is_refused(images, convnets):
    text = convnets("predict", images[0], "--draw", images[1], code=2)
    assert "is a file" in text


def test_load_test(running, images, convnets):
    lines = words(
        convnets(
            "load-test", *images, "--server", running[1], "--model", "shade", "--clients", 3,
            "--seconds", 0.5, "--batch-size", 2,
        )
    )  # fmt: skip
    values = dict(line.rsplit(" ", 1) for line in lines if line and not line.endswith("ms"))
    assert int(values["requests answered"]) >= 3
    assert int(values["images a second"]) > 0
    assert any(re.fullmatch(r"99 % within [0-9.]+ ms", line) for line in lines)


def test_load_test_of_a_model_that_is_not_served(running, images, convnets):
    lines = convnets("load-test", *images, "--server", running[1], "--model", "none", code=1)
    assert "Latest(none)" in lines


def test_several_models_and_none_named(root, images, convnets):
    text = convnets("predict", *images, "--root", root, "--server", "127.0.0.1:1", code=1)
    assert text == "Error: say which model with --model: shade, shade-too\n"


def test_what_is_no_image_is_refused_by_name(root, images, convnets, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no image")
    arguments = ("--model", "shade", "--server", "127.0.0.1:1")
    text = convnets("predict", path, *arguments, code=1)
    assert text == f"Error: no answer about 1 of 1:\n  {path}: neither PNG nor JPEG\n"


def test_a_truncated_image_is_refused_by_name(images, convnets, tmp_path):
    path = tmp_path / "half.jpg"
    whole = images[1].read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    arguments = ("--model", "shade", "--server", "127.0.0.1:1")
    text = convnets("predict", path, *arguments, code=1)
    assert f"\n  {path}: " in text
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
    assert text.endswith(f"\n  {path}: cannot be decoded: the chunk IDAT is damaged\n")


def test_a_missing_image_is_refused_by_name(images, convnets):
    arguments = ("--model", "shade", "--server", "127.0.0.1:1")
    text = convnets("predict", "absent.png", *arguments, code=1)
    assert text.endswith("\n  absent.png: cannot be read: No such file or directory\n")


def test_nobody_listens(images, convnets):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        assert not served.listens(address)
        arguments = ("--model", "shade", "--server", address)
        text = convnets("predict", images[0], *arguments, code=1)
    assert text.startswith(f"Error: {address}: no server answers there")


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


@pytest.mark.parametrize("flag", ["--port", "--rest-port"])
def test_a_port_that_is_none_is_named(convnets, flag):
    for port in (99999, -1):
        assert f"Invalid value for '{flag}'" in convnets("serve", flag, port, code=2)


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
