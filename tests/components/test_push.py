"""The Pusher's executor, onto a disk that is really full."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from google.protobuf import json_format
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import json_utils, path_utils

from components.artifacts import ABSENT
from components.push import executor, previous
from components.push.executor import Executor, PushError


def push(
    model: str, folder: Path, output: Path, blessed: int = 1, **config: int
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
        {
            "push_destination": json_format.MessageToJson(destination),
            "custom_config": json_utils.dumps(config or None),
        },
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


def withdrawn(folder: Path) -> Path:
    """Takes the only version back, as convnets rollback does."""
    (version,) = folder.iterdir()
    return version.rename(version.with_name(f".{version.name}"))


def test_a_model_that_was_taken_back_is_not_pushed_again(digits_run, tmp_path):
    folder = tmp_path / "serving"
    push(digits_run.model, folder, tmp_path / "first")
    hidden = withdrawn(folder)
    again = push(digits_run.model, folder, tmp_path / "second")
    assert again.get_int_custom_property("pushed") == 0
    assert hidden.name[1:] in again.get_string_custom_property("why")
    assert list(folder.iterdir()) == [hidden]
    index = next((hidden / "variables").glob("*.index"))
    index.write_bytes(index.read_bytes() + b"x")
    third = push(digits_run.model, folder, tmp_path / "third")
    assert third.get_int_custom_property("pushed") == 1


def named(folder: Path, *names: str) -> str:
    """The folder of a Model artifact that is but a graph and the names of its classes."""
    model = Path(path_utils.serving_model_dir(str(folder)))
    (model / "assets").mkdir(parents=True)
    (model / "saved_model.pb").write_bytes("-".join(names).encode())
    (model / "assets" / "labels.txt").write_text("".join(f"{name}\n" for name in names))
    return str(folder)


@pytest.mark.parametrize(
    ("names", "differ"),
    [
        (("cat", "dog"), 0),
        (("cat", "owl"), 2),
        (("dog", "cat"), 2),
        (("cat", "dog", "owl"), 1),
        (("cat",), 1),
    ],
)
def test_other_classes_replace_a_served_model_only_where_that_is_asked_for(names, differ, tmp_path):
    folder = tmp_path / "serving" / "pets"
    push(named(tmp_path / "first", "cat", "dog"), folder, tmp_path / "1")
    (version,) = folder.iterdir()
    other = named(tmp_path / "other", *names)
    pushed = push(other, folder, tmp_path / "2")
    assert pushed.get_int_custom_property("pushed") == (not differ)
    if differ:
        why = pushed.get_string_custom_property("why")
        assert why.startswith(f"pets is served with other classes (version {version.name}); apart")
        assert "To keep both, give this one another name: --name pets-2" in why
        assert why.endswith(f"--set data_checks.other_classes={differ} replaces it")
        assert list(folder.iterdir()) == [version]
        assert push(
            other, folder, tmp_path / "3", other_classes=differ - 1
        ).get_string_custom_property("why")
        asked = push(other, folder, tmp_path / "4", other_classes=differ)
        assert asked.get_int_custom_property("pushed") == 1
    assert len(list(folder.iterdir())) == 2


def test_versions_count_up_within_a_second_and_after_a_rollback(digits_run, tmp_path):
    folder = tmp_path / "serving"
    (folder / ".99999999999").mkdir(parents=True)
    (folder / ".5.partial").mkdir()
    for number in (1, 2):
        push(digits_run.model, folder, tmp_path / str(number))
    names = sorted(path.name for path in folder.iterdir())
    assert names == [".99999999999", "100000000000", "100000000001"]


def test_every_blessing_is_needed(digits_run, tmp_path):
    def blessing(blessed: int) -> standard_artifacts.ModelBlessing:
        artifact = standard_artifacts.ModelBlessing()
        artifact.set_int_custom_property("blessed", blessed)
        return artifact

    def check(*blessed: int) -> bool:
        return Executor().CheckBlessing({"model_blessing": [blessing(each) for each in blessed]})

    assert check(1, 1)
    assert not check(1, 0)
    assert not check(0, 1)


def _killed_ahead_of(write: int, model: str, folder: str) -> bool:
    """Pushes in another process, which is killed ahead of one of its writes, if it has so many."""
    child = os.fork()
    if not child:
        written = []

        def counted(real):
            def call(*arguments, **named):
                written.append(real)
                if len(written) == write:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return call

        for place, names in ((fileio, ("copy", "makedirs", "mkdir", "open")), (os, ("rename",))):
            for name in names:
                setattr(place, name, counted(getattr(place, name)))
        try:
            executor._copy(model, folder, str(write))
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_a_push_that_is_killed_at_any_write_leaves_no_version(digits_run, tmp_path):
    model, folder = path_utils.serving_model_dir(digits_run.model), tmp_path / "serving"
    write = 1
    while _killed_ahead_of(write, model, str(folder)):
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
        assert names in ([], [f".{write}.partial"])
        write += 1
    assert write > len(contents(Path(model)))
    (version,) = folder.iterdir()
    assert version.name == str(write)
    assert contents(version) == contents(Path(model))


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


def newest_pushed(served: Path, output: Path) -> standard_artifacts.Model:
    model = standard_artifacts.Model()
    model.uri = str(output)
    previous.Executor().Do({}, {"model": [model]}, {"served": str(served)})
    return model


def test_the_baseline_is_the_newest_whole_version_that_was_pushed(digits_run, tmp_path):
    served = tmp_path / "serving"
    assert newest_pushed(served, tmp_path / "none").get_int_custom_property(ABSENT) == 1
    push(digits_run.model, served, tmp_path / "pushed")
    (version,) = served.iterdir()
    (served / str(int(version.name) + 1)).mkdir()  # half a version
    (served / "notes").mkdir()
    model = newest_pushed(served, tmp_path / "found")
    assert not model.has_custom_property(ABSENT)
    assert model.get_string_custom_property("version") == version.name
    copied = Path(path_utils.serving_model_path(model.uri))
    assert (copied / "saved_model.pb").read_bytes() == (version / "saved_model.pb").read_bytes()
