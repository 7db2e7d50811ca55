"""The Pusher's executor, onto a disk that is really full."""

import os
import subprocess
from pathlib import Path

import pytest
from google.protobuf import json_format
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.push.executor import Executor, PushError


def push(
    model: str, folder: Path, output: Path, blessed: int = 1
) -> standard_artifacts.PushedModel:
    artifacts = {
        "model": standard_artifacts.Model(),
        "model_blessing": standard_artifacts.ModelBlessing(),
    }
    artifacts["model"].uri = model
    artifacts["model_blessing"].set_int_custom_property("blessed", blessed)
    pushed = standard_artifacts.PushedModel()
    pushed.uri = str(output)
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(folder))
    )
    Executor().Do(
        {name: [artifact] for name, artifact in artifacts.items()},
        {"pushed_model": [pushed]},
        {"push_destination": json_format.MessageToJson(destination)},
    )
    return pushed


def test_a_blessed_model_is_pushed_whole(digits_run, tmp_path):
    pushed = push(digits_run.model, tmp_path / "serving", tmp_path / "pushed")
    (version,) = (tmp_path / "serving").iterdir()
    assert pushed.get_string_custom_property("pushed_destination") == str(version)
    source = Path(path_utils.serving_model_dir(digits_run.model))
    for path in source.rglob("*"):
        if path.is_file():
            assert (version / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_another_model_is_not(digits_run, tmp_path):
    pushed = push(digits_run.model, tmp_path / "serving", tmp_path / "pushed", blessed=0)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 16 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: it takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_half_written(digits_run, tiny_disk, tmp_path):
    serving = tiny_disk / "serving"
    (serving / "1").mkdir(parents=True)
    with pytest.raises(PushError, match="the disk is full"):
        push(digits_run.model, serving, tmp_path / "pushed")
    assert [path.name for path in serving.iterdir()] == ["1"]
