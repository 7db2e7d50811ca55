"""What a root's runs were allowed stays allowed to what is done with them, and to nothing else."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components import trusted
from pipelines.history import allowed


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder with a module, whose runs below `runs` have been allowed it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(trusted.VARIABLE, "")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "trustednets.py").touch()
    with trusted.allowing(["trustednets"], [tmp_path / "mine"]):
        allowed.note(tmp_path / "mine" / "runs")
    yield tmp_path / "mine"
    sys.modules.pop("trustednets", None)


def test_a_package_that_a_run_was_allowed_stays_so_for_its_root(mine):
    with allowed.of_run(mine / "runs" / "pipelines" / "lenet" / "model_run"):
        assert trusted.is_allowed("trustednets")
        assert __import__("trustednets").__file__ == str(mine / "trustednets.py")
    assert not trusted.is_allowed("trustednets")


def test_it_is_not_for_the_runs_of_another_root(mine):
    (mine / "theirs" / "runs").mkdir(parents=True)
    with allowed.of_run(mine / "theirs" / "runs" / "model_run"):
        assert not trusted.is_allowed("trustednets")


def test_another_module_of_that_name_is_not(mine, tmp_path):
    (mine / "trustednets.py").unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "trustednets.py").touch()
    elsewhere = trusted.importable([tmp_path / "elsewhere"])
    with elsewhere, allowed.of_run(mine / "runs" / "model_run"):
        assert not trusted.is_allowed("trustednets")


def test_a_run_that_was_allowed_nothing_takes_nothing_back(mine):
    allowed.note(mine / "runs")
    with allowed.of_run(mine / "runs" / "model_run"):
        assert trusted.is_allowed("trustednets")


def test_a_list_that_is_not_whole_allows_nothing(mine, tmp_path):
    (listed,) = (tmp_path / "cache" / "convnets" / "allowed").iterdir()
    listed.write_text('{"trustedn')
    with allowed.of_run(mine / "runs" / "model_run"):
        assert not trusted.is_allowed("trustednets")
