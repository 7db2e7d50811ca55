"""Imports between the packages go only the way of the design, and the command line starts light."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("components", "convnets", "keras_models", "pipelines", "serving")
# Which packages a folder may import. The longest folder that holds a file decides.
ALLOWED = {
    "keras_models": {"keras_models"},
    "serving": {"serving"},
    "components": {"components", "keras_models"},
    "components/canary": {"components", "keras_models", "serving"},
    "pipelines": {"pipelines", "components"},
    # The command line is written on the public package, and that on the pipelines.
    "convnets": {"convnets", "pipelines", "components"},
    "pipelines/commands": {"convnets", "pipelines", "components"},
}
# The command line serves and asks, but `convnets --help` does not wait for it: inside functions.
INSIDE_FUNCTIONS = {"pipelines": {"serving"}, "convnets": {"serving"}}
# Of components, those that the pipeline runs.
STAGES = {
    *("canary", "evaluate", "ingest", "judge", "probe", "push", "report", "train", "tune"),
    "validate",
}
# The nets run wherever Keras does, on any backend.
KERAS_MODELS_LIBRARIES = {"keras", "numpy"}
# Keras has no gradients of its own: one file asks the backend for them, inside its functions.
BACKENDS_INSIDE = {"keras_models/optimizers/curvature.py": {"jax", "tensorflow"}}
SERVING_NEVER = {"apache_beam", "kfp", "tensorflow_data_validation", "tensorflow_model_analysis"}
SERVING_NEVER |= {"tensorflow_transform", "tfx"}
HEAVY = ("apache_beam", "keras", "matplotlib", "tensorflow", "tensorflow_datasets", "tfx")


@dataclass(frozen=True)
class Import:
    """One imported module: where, its full name, and whether a function holds the statement."""

    file: str
    line: int
    module: str
    inside_function: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports_of(file: Path) -> Iterator[Import]:
    path = file.relative_to(ROOT)
    package = path.parent.parts

    def visit(node: ast.AST, inside: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(str(path), node.lineno, alias.name, inside)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield Import(str(path), node.lineno, module, inside)
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside or function)

    yield from visit(ast.parse(file.read_text(), str(path)), False)


def package_imports(top: str) -> list[Import]:
    files = sorted((ROOT / top).rglob("*.py"))
    assert files, f"the package {top} is empty"
    return [found for file in files for found in imports_of(file)]


def allowed(found: Import) -> set[str]:
    folders = [str(parent) for parent in Path(found.file).parents]
    tops = next(ALLOWED[folder] for folder in folders if folder in ALLOWED)
    return tops | (INSIDE_FUNCTIONS.get(folders[-2], set()) if found.inside_function else set())


@pytest.mark.parametrize("top", PACKAGES)
def test_packages_import_downwards(top: str) -> None:
    wrong = [i for i in package_imports(top) if i.top in PACKAGES and i.top not in allowed(i)]
    assert not wrong, "\n".join(map(str, wrong))


def test_stages_do_not_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {stage: set() for stage in STAGES}
    for found in package_imports("components"):
        stage, others = Path(found.file).parts[1], found.module.split(".")[1:2]
        if stage in STAGES and found.top == "components":
            graph[stage] |= (STAGES & {*others}) - {stage}
    assert all((ROOT / "components" / stage).is_dir() for stage in STAGES)
    order = [*graphlib.TopologicalSorter(graph).static_order()]  # CycleError names a circle.
    assert order.index("train") < order.index("tune")


def test_keras_models_imports_keras_and_numpy_alone() -> None:
    known = KERAS_MODELS_LIBRARIES | {"keras_models"} | set(sys.stdlib_module_names)

    def may(i: Import) -> bool:
        return i.top in known or (i.inside_function and i.top in BACKENDS_INSIDE.get(i.file, ()))

    wrong = [i for i in package_imports("keras_models") if not may(i)]
    assert not wrong, "\n".join(map(str, wrong))


def test_serving_needs_no_pipeline_library() -> None:
    wrong = [i for i in package_imports("serving") if i.top in SERVING_NEVER]
    assert not wrong, "\n".join(map(str, wrong))


def test_the_command_line_and_the_recipes_import_nothing_heavy() -> None:
    recipes = sorted(p.stem for p in (ROOT / "pipelines" / "recipes").glob("[!_]*.py"))
    light = [
        "convnets",
        "pipelines.cli",
        "pipelines.recipe",
        *(f"pipelines.recipes.{r}" for r in recipes),
    ]
    script = f"import sys, {', '.join(light)}; print(*sys.modules)"
    python = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    loaded = set(python.stdout.split())
    assert set(light) <= loaded
    assert loaded.isdisjoint(HEAVY)


# What a network answers is said in `components/tasks`; a stage asks the task for it.
ASKING = ("train", "tune", "evaluate", "judge", "canary", "report", "push")
ANSWER = re.compile(r"(?<![\w-])(label|accuracy|scores)(?!\w)")


@pytest.mark.parametrize("stage", ASKING)
def test_no_stage_says_what_a_network_answers(stage: str) -> None:
    files = sorted((ROOT / "components" / stage).rglob("*.py"))
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno} says {said}"
        for file in files
        for node in ast.walk(_without_docstrings(ast.parse(file.read_text())))
        for said in _names_and_texts(node)
        if ANSWER.search(said)
    ]
    assert not wrong, "\n".join(wrong)


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            body[0] = ast.Pass(lineno=body[0].lineno)
    return tree


def _names_and_texts(node: ast.AST) -> list[str]:
    fields = ("id", "attr", "arg", "name")
    named = [getattr(node, field, None) for field in fields]
    if isinstance(node, ast.Constant):
        named.append(node.value)
    return [each for each in named if isinstance(each, str)]


def test_tfx_comes_without_google_clouds_clients() -> None:
    """`tfx.v1` imports those of its extensions, which is a third of the time that TFX takes."""
    files = [file for top in PACKAGES for file in (ROOT / top).rglob("*.py")]
    assert [file for file in files if re.search(r"\btfx(\.| import )v1\b", file.read_text())] == []


def test_no_file_is_called_utils() -> None:
    assert [p for top in (*PACKAGES, "tests") for p in (ROOT / top).rglob("util*.py")] == []
