"""Roots that libraries would take for patterns."""

from pathlib import Path

import pytest

from pipelines import paths
from tests.odd_names import NAMES


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", NAMES)
def test_a_root_has_a_name_that_is_no_pattern(name, tmp_path):
    root = tmp_path / name
    root.mkdir()
    plain = paths.plain(str(root))
    assert not set("[]*?\\") & set(plain)
    assert paths.plain(str(root)) == plain
    Path(plain, "file").touch()
    assert (root / "file").exists()
    assert paths.shown(f"{plain}/file") == root / "file"


def test_two_roots_have_two_names(tmp_path):
    assert paths.plain(f"{tmp_path}/a[1]") != paths.plain(f"{tmp_path}/a[2]")


def test_a_root_of_a_cluster_is_no_pattern():
    assert paths.of_cluster("gs://bucket/runs/").root == "gs://bucket/runs"
    with pytest.raises(ValueError, match="in a root for a pattern"):
        paths.of_cluster("gs://bucket/runs[1]")
