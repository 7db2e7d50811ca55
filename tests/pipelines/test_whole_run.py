"""The whole pipeline on real images, as a user runs it."""

import importlib.resources
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.stages import STAGES
from tests.photos import PHOTOS, write_crops

ONE_EPOCH = ("--set", "epochs=1", "--set", "thresholds.accuracy=0.9")
RESOLVERS = {"PreviousData", "Baseline"}
MNIST = Path(str(importlib.resources.files("convnets_data"))) / "mnist"


def convnets(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments], capture_output=True, text=True, **options
    )


def summary(root: Path) -> dict:
    """Of the newest run."""
    newest = max((root / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(newest.read_text())


def states(run: dict) -> dict[str, str]:
    return {entry["stage"]: entry["state"] for entry in run["stages"]}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("mnist-road")


@pytest.fixture(scope="module")
def mnist_run(root) -> tuple[dict, str]:
    """`convnets run lenet` on all of MNIST, cut to one epoch; what it wrote and printed."""
    run = convnets("run", "lenet", *ONE_EPOCH, "--root", str(root))
    assert run.returncode == 0, run.stdout + run.stderr
    return summary(root), run.stdout


def test_every_stage_ran_and_the_model_was_blessed_and_pushed(mnist_run, root):
    run, printed = mnist_run
    assert states(run) == dict.fromkeys(STAGES, "done")
    assert run["blessed"] is True
    assert run["error"] is None
    assert run["dead_letters"] == 0
    assert Path(run["pushed"]).parent == root / "serving" / "lenet"
    assert (Path(run["pushed"]) / "saved_model.pb").exists()
    assert Path(run["report"]).read_text().lstrip().lower().startswith("<!doctype html>")
    for stage in STAGES:
        assert stage in printed
    assert "convnets serve" in printed


def test_the_judgement_is_on_all_test_images_beside_the_papers_figures(mnist_run):
    run, printed = mnist_run
    judgement = json.loads(Path(run["judgement"]).read_text())
    assert judgement["examples"] == 10_000
    assert judgement["metrics"]["error"] < 0.06
    figures = {row["id"]: row for row in judgement["rows"]}
    row = figures["lecun1998-lenet5-distortions"]
    assert row["paper_value"] == 0.8
    assert row["ours"] == pytest.approx(100 * judgement["metrics"]["error"])
    assert "0.8 %" in printed


def test_the_pushed_model_reads_digits_over_grpc(mnist_run, root):
    from components.ingest.idx import read_split
    from components.ingest.images import png
    from serving.client import Client
    from serving.server import Server

    images, labels = read_split(MNIST, "t10k-*")
    encoded = [png(image) for image in images[:50]]
    with Server({"lenet": str(root / "serving" / "lenet")}, grpc_port=0, rest_port=0) as server:
        server.wait_until_available("lenet", 60)
        answers = Client(f"127.0.0.1:{server.grpc_port}").predict("lenet", encoded)
    right = [
        answer["classes"] == str(label).encode()
        for answer, label in zip(answers, labels, strict=False)
    ]
    assert np.mean(right) > 0.9


def test_a_second_run_takes_every_stage_from_the_cache(mnist_run, root):
    first, _ = mnist_run
    run = convnets("run", "lenet", *ONE_EPOCH, "--root", str(root))
    assert run.returncode == 0, run.stdout + run.stderr
    second = summary(root)
    # The resolvers look up and compute nothing, so TFX never caches them.
    cached = {stage: state for stage, state in states(second).items() if stage not in RESOLVERS}
    assert cached == dict.fromkeys(cached, "cached")
    for key in ("pushed", "report", "judgement", "blessed", "why"):
        assert second[key] == first[key]


def test_papers_shows_the_run(mnist_run, root):
    shown = convnets("papers", "--root", str(root), env={**os.environ, "COLUMNS": "200"})
    assert shown.returncode == 0, shown.stderr
    assert "lenet" in shown.stdout


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder per class of crops of two photographs, and one truncated file."""
    folder = tmp_path_factory.mktemp("photos")
    write_crops(folder, 40, (60, 200), kinds=("jpg", "png"))
    whole = (folder / "cat" / "00.jpg").read_bytes()
    (folder / "cat" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


SHORT = ("--set", "epochs=2", "--set", "batch_size=8", "--set", "thresholds.accuracy=0.1")
SHORT += ("--set", "thresholds.chance=null", "--name", "photographs")


def test_ones_own_images(photos, tmp_path):
    run = convnets("run", "lenet-relu", "--data", str(photos), "--root", str(tmp_path), *SHORT)
    assert run.returncode == 0, run.stdout + run.stderr
    result = summary(tmp_path)
    assert result["dead_letters"] == 1
    assert Path(result["pushed"]).parent == tmp_path / "serving" / "photographs"
    assert (Path(result["pushed"]) / "assets" / "labels.txt").read_text() == "cat\ncoffee\n"
    judgement = json.loads(Path(result["judgement"]).read_text())
    assert judgement["labels"] == ["cat", "coffee"]
    assert not any(row["comparable"] for row in judgement["rows"])


def test_too_many_dead_letters_stop_the_run_and_name_them(photos, tmp_path):
    data = tmp_path / "data"
    for name in PHOTOS:
        (data / name).mkdir(parents=True)
        for path in sorted((photos / name).glob("*"))[:8]:
            (data / name / path.name).write_bytes(path.read_bytes()[:500])
    run = convnets("run", "lenet-relu", "--data", str(data), "--root", str(tmp_path / "runs"))
    assert run.returncode == 1
    result = summary(tmp_path / "runs")
    assert "16 of 16 images cannot be used" in result["error"]
    assert "cat/00.jpg: cannot be decoded" in result["error"]
    assert "cat/00.jpg" in run.stdout + run.stderr


def test_a_killed_training_goes_on_from_its_last_epoch(photos, tmp_path):
    epochs = 40
    arguments = ["run", "lenet-relu", "--data", str(photos), "--root", str(tmp_path), *SHORT]
    arguments += ["--set", f"epochs={epochs}"]
    first = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    checkpoints = tmp_path / "pipelines" / "photographs" / "checkpoints"
    deadline = time.monotonic() + 300
    while not list(checkpoints.glob("*/epoch-*")):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    saved = max(int(path.name[6:]) for path in checkpoints.glob("*/epoch-*"))
    assert saved < epochs

    again = convnets(*arguments)
    assert again.returncode == 0, again.stdout + again.stderr
    run = summary(tmp_path)
    before_training = {*STAGES[: STAGES.index("Trainer")]} - RESOLVERS
    assert {states(run)[stage] for stage in before_training} == {"cached"}
    assert states(run)["Trainer"] == "done"
    (history,) = (tmp_path / "pipelines").glob("photographs/Trainer/model_run/*/history.json")
    assert [entry["epoch"] for entry in json.loads(history.read_text())] == [*range(1, epochs + 1)]
    log = max((tmp_path / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    assert f"Epoch {saved + 1}/{epochs}" in log.read_text()
    assert f"Epoch {saved}/{epochs}" not in log.read_text()
