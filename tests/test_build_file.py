"""BUILD and the tree in step. BUILD is also Python: it is run, and its rules are noted down."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("components", "keras_models", "pipelines", "serving")
# The imports that the design allows, as deps.
# Folders that are of one library, since each imports the other.
FOLDERS = {"pipelines": ("pipelines", "convnets")}
DEPENDENCIES = {
    "keras_models": set(),
    "serving": set(),
    "components": {":keras_models", ":serving"},
    "pipelines": {":components", ":data", ":keras_models", ":serving"},
}
Target = dict[str, Any]


def bazel_glob(include: list[str], exclude: list[str] = ()) -> list[str]:
    """Bazel's glob: `**` stands for any number of folders, `*` for part of one name."""

    def matches(file: str, patterns: list[str]) -> bool:
        return any(re.fullmatch(expression(pattern), file) for pattern in patterns)

    def expression(pattern: str) -> str:
        wild = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*"}
        parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
        return "".join(wild.get(part) or re.escape(part) for part in parts)

    folders = {pattern.partition("/")[0] for pattern in include}
    files = [f for folder in folders for f in (ROOT / folder).rglob("*") if f.is_file()]
    paths = [str(file.relative_to(ROOT)) for file in files]
    return sorted(p for p in paths if matches(p, include) and not matches(p, exclude))


@pytest.fixture(scope="module")
def targets() -> dict[str, Target]:
    found: dict[str, Target] = {}

    def rule(kind: str):
        def note(**attributes: Any) -> None:
            assert attributes["name"] not in found, f"two targets are called {attributes['name']}"
            found[attributes["name"]] = {"kind": kind, **attributes}

        return note

    rules = ("py_library", "py_test", "test_suite", "py_runtime", "py_runtime_pair", "toolchain")
    names = {kind: rule(kind) for kind in rules}
    names |= {"glob": bazel_glob, "load": lambda *_: None, "package": lambda **_: None}
    exec(compile((ROOT / "BUILD").read_text(), "BUILD", "exec"), names)
    return found


def python_files(folder: str) -> set[str]:
    return {str(file.relative_to(ROOT)) for file in (ROOT / folder).rglob("*.py")}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_one_library(targets: dict[str, Target], package: str) -> None:
    library = targets[package]
    assert library["kind"] == "py_library"
    assert set(library["srcs"]) == set().union(*map(python_files, FOLDERS.get(package, (package,))))
    assert set(library.get("deps", ())) == DEPENDENCIES[package]


def test_no_source_is_in_two_libraries(targets: dict[str, Target]) -> None:
    sources = Counter(s for t in targets.values() if t["kind"] == "py_library" for s in t["srcs"])
    assert [source for source, count in sources.items() if count > 1] == []


def test_every_test_file_is_a_test_target(targets: dict[str, Target]) -> None:
    run = [t["args"] for t in targets.values() if t["kind"] == "py_test"]
    tests = {file for file in python_files("tests") if Path(file).name.startswith("test_")}
    assert sorted(run) == sorted([file] for file in tests)


def test_every_file_under_tests_belongs_to_a_target(targets: dict[str, Target]) -> None:
    assert python_files("tests") <= {s for t in targets.values() for s in t.get("srcs", ())}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_suite_runs_the_tests_of_its_package(targets: dict[str, Target], package: str) -> None:
    prefix = f"tests/{package}/"
    assert sorted(targets[f"{package}_tests"]["tests"]) == sorted(
        name for name, t in targets.items() if t["kind"] == "py_test" and name.startswith(prefix)
    )


def test_dependencies_and_interpreter_exist(targets: dict[str, Target]) -> None:
    wanted = {d.removeprefix(":") for t in targets.values() for d in t.get("deps", ())}
    assert wanted <= set(targets)
    assert (ROOT / targets["python"]["interpreter"]).stat().st_mode & 0o111


@pytest.mark.skipif(shutil.which("bazel") is None, reason="bazel is not installed")
def test_bazel_builds_everything(tmp_path: Path) -> None:
    # An output base of its own: this test may itself be run by a bazel that holds the usual one.
    bazel = ["bazel", "--batch", f"--output_base={tmp_path}"]
    build = [*bazel, "build", "//..."]
    result = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    # Bazel leaves read-only folders, which pytest could not remove.
    for folder in tmp_path.rglob("*"):
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o755)
    assert result.returncode == 0, result.stderr
