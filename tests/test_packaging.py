"""The wheel holds all that is needed and runs outside the checkout; the lock files are plain."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import resources
from importlib.metadata import metadata, version
from pathlib import Path

import pytest

from components import extras

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("components", "convnets", "keras_models", "pipelines", "serving")
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
UNPACKAGED = shutil.ignore_patterns("__pycache__", "*.pyc")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree to build from: a build writes beside its sources."""
    source = tmp_path_factory.mktemp("source")
    for folder in (*PACKAGES, "data"):
        shutil.copytree(ROOT / folder, source / folder, ignore=UNPACKAGED)
    for file in ("LICENSE", "README.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / file, source)
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (built,) = target.glob("convnets-*.whl")
    return built


def test_every_file_of_the_rooms_is_in_the_wheel(source: Path, wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = {
        str(file.relative_to(source))
        for package in PACKAGES
        for file in (source / package).rglob("*")
        if file.is_file()
    }
    assert files - packed == set()
    assert {name.partition("/")[0] for name in packed} == {
        *PACKAGES,
        "convnets_data",
        next(name.partition("/")[0] for name in packed if ".dist-info/" in name),
    }


def test_mnist_is_in_the_wheel_with_its_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for line in archive.read("convnets_data/mnist/SHA256SUMS").decode().splitlines():
            digest, name = line.split()
            packed = archive.read(f"convnets_data/mnist/{name.removesuffix('.gz')}.gz")
            content = packed if name.endswith(".gz") else gzip.decompress(packed)
            assert hashlib.sha256(content).hexdigest() == digest, name
        assert b"Attribution-Share Alike 3.0" in archive.read("convnets_data/mnist/README.md")


def test_mnist_is_found_in_the_checkout() -> None:
    assert resources.files("convnets_data").joinpath("mnist", "SHA256SUMS").is_file()


def test_the_wheel_names_the_console_script_and_the_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(n for n in archive.namelist() if n.endswith("/METADATA")).rpartition("/")[0]
        metadata = archive.read(f"{info}/METADATA").decode()
        assert "convnets = pipelines.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
    assert set(re.findall(r"^Provides-Extra: (\w+)$", metadata, re.M)) >= {
        "gpu",
        "kubeflow",
        "test",
    }
    assert "Requires-Python: <3.14,>=3.10" in metadata


def test_there_is_a_lock_file_for_each_stack() -> None:
    assert [lock.name for lock in LOCKS] == ["glibc-2.36.txt", "glibc-2.39.txt"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_file_is_pins_without_addresses(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    assert all(re.match(r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==[^ ]+( |$)", line) for line in lines)
    assert "://" not in lock.read_text()


def test_the_lock_file_of_this_system_is_what_is_installed() -> None:
    script = [ROOT / "requirements" / "venv.sh", "--lock"]
    lock = subprocess.run(script, check=True, capture_output=True, text=True).stdout.strip()
    wanted = Path(lock).read_text()
    for name in ("tfx", "tensorflow", "keras", "apache-beam", "numpy", "protobuf"):
        (pin,) = re.findall(rf"^{name}==(\S+)", wanted, re.M)
        assert version(name) == pin


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; the libraries are this environment's, by a .pth file.

    Python reads no .pth file of a folder that a .pth file names: the editable installation of the
    checkout stays out.
    """
    folder = tmp_path_factory.mktemp("installation")
    venv.create(folder, with_pip=False)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site_packages = Path(sysconfig.get_path("purelib", vars=scheme))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    (site_packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def convnets(installation: Path, cwd: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    result = subprocess.run(
        [installation / "bin" / "convnets", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_installed_wheel_lists_the_recipes(installation: Path, tmp_path: Path) -> None:
    assert "lenet" in convnets(installation, tmp_path, "list")


@pytest.mark.slow
def test_the_installed_wheel_runs_lenet(installation: Path, tmp_path: Path) -> None:
    one_epoch = ("--set", "epochs=1", "--set", "thresholds.accuracy=0.9")
    convnets(installation, tmp_path, "run", "lenet", *one_epoch, "--root", "runs")
    assert list(tmp_path.glob("runs/serving/lenet/*/saved_model.pb"))


class TestExtras:
    """The registries' `convnets` is another project: nothing may send anybody there."""

    TEXTS = [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted(
            file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file()
        ),
    ]
    TEXTS = [file for file in TEXTS if file.suffix in (".md", ".py", ".html", ".yaml", "")]

    def test_nothing_is_installed_from_a_registry_by_the_projects_name(self) -> None:
        of_registry = re.compile(
            r"convnets\[|(pip|uv) (install|add) [^`\n]*(?<![-\w/.])convnets(?![-\w/.])"
        )
        for file in self.TEXTS:
            text = file.read_text(encoding="utf-8")
            assert not of_registry.findall(text), file

    def test_the_extras_that_the_texts_name_are_there(self) -> None:
        there = set(metadata("convnets").get_all("Provides-Extra"))
        named = {
            extra
            for file in self.TEXTS
            for extra in re.findall(
                r"(?:\.|\.whl)\[(\w+)\]'|extras\.command\(['\"](\w+)", file.read_text("utf-8")
            )
            for extra in extra
            if extra
        }
        assert {"gpu", "kubeflow", "video", "dask"} <= named <= there

    def test_the_command_names_the_checkout_or_the_wheel(self, tmp_path, monkeypatch) -> None:
        assert extras.command("gpu") == f"pip install -e '{ROOT}[gpu]'"
        monkeypatch.setattr(extras, "__file__", str(tmp_path / "components" / "extras.py"))
        wheel = f"convnets-{version('convnets')}-py3-none-any.whl"
        assert extras.command("gpu") == f"pip install '{wheel}[gpu]'"
