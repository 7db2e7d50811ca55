"""What the image is built from; no image is built here."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "pipelines" / "deploy"


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")


def test_what_is_copied_is_there_and_not_ignored(dockerfile):
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.M)
    sources = {source for line in copied for source in line.split()} - {"."}
    assert "pyproject.toml" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.partition("/")[0] in kept
    assert {path for path in kept if not (ROOT / path).exists()} == set()


def test_every_package_is_in_the_image():
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    packages = re.search(r"PACKAGES = \[(.+)\]", (ROOT / "setup.py").read_text())[1]
    for package in re.findall(r'"(\w+)"', packages):
        assert f"!{package}" in ignored


def test_the_libraries_are_the_lock_files(dockerfile):
    lock = re.search(r"--constraint (\S+)", dockerfile)[1]
    pins = (ROOT / lock).read_text()
    assert re.search(r"^tfx==1\.16\.", pins, re.M)
    assert re.search(r"^kfp==2\.", pins, re.M)
    # The lock file of this Python, on this system.
    assert "python:3.10-slim-bookworm" in dockerfile


def test_the_volume_is_the_one_that_the_documentation_names():
    claim = yaml.safe_load((DEPLOY / "volume.yaml").read_text())
    assert claim["kind"] == "PersistentVolumeClaim"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert f"--volume {claim['metadata']['name']} " in (ROOT / "docs" / "kubeflow.md").read_text()
