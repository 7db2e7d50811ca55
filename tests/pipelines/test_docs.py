"""Every command and every Python block of README.md and docs/ is run, or its reason is here.

`convnets run` is run as far as the start of the pipeline's process, which a stand-in takes the
place of: recipe, settings, network and data are the real ones. All else is asked of one real run.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import convnets
from pipelines import cli, process

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TESTS = ROOT / "tests"
# Python blocks that the test of a document runs.
TESTED = {
    "docs/python.md": "pipelines/conftest.py",
    "docs/own-networks.md": "pipelines/test_own_networks.py",
    "docs/exports.md": "pipelines/test_export.py",
}
SIGNATURES = {"docs/adding-a-paper.md", "docs/adding-a-task.md"}
# Beginnings of commands that are not run here, each with the reason. The longest one decides.
NOT_RUN = {
    "make": "makes the environment, or runs all tests",
    ".": "the shell's own",
    ".venv/bin/python -m pytest": "runs tests, of which this is one",
    "grep": "reads the checkout",
    "docker": "builds an image: tests/pipelines/test_kubeflow_image.py reads its file",
    "kubectl": "needs a cluster: tests/serving/test_deploy.py reads what is applied",
    "sed": "needs a cluster: tests/serving/test_deploy.py reads what is applied",
    "curl": "needs a server on port 8501: tests/serving/test_rest.py sends the same",
    "python -m serving": "serves until it is stopped: tests/serving/test_flags.py",
    "export TF_CONFIG": "needs two machines: tests/components/test_workers.py has two processes",
    "convnets run lenet-relu --set strategy=multi_worker": "as export TF_CONFIG",
    "convnets serve": "serves until it is stopped: tests/pipelines/test_cli_serving.py",
    "convnets tensorboard": "serves until it is stopped: tests/pipelines/test_cli.py",
    "convnets export": "each format: tests/pipelines/test_export.py runs those of docs/exports.md",
    "convnets compile --allow-package mynets": "is a part of a command",
    "convnets compile my_recipe.toml": "is a part of a command",
    "convnets schedule list": "of a root with schedules: test_schedule_commands.py",
    "convnets submit": "needs a cluster: tests/pipelines/test_kubeflow_submit.py has its server",
    "convnets claims": "trains for minutes: tests/pipelines/test_claims_commands.py",
    "convnets schedule start": "works until it is stopped: tests/pipelines/test_schedule.py",
    "convnets schedule run-now": "needs the scheduler: tests/pipelines/test_schedule_commands.py",
    "convnets schedule pause|resume|remove": "three in one: test_schedule_commands.py",
    "convnets rollback": "needs two versions: tests/pipelines/history/test_rollback.py",
    "convnets data get": "downloads: tests/pipelines/test_data_commands.py",
    "convnets run lenet-relu --data tfds:fashion_mnist": "downloads",
    "convnets run alexnet --data gs://bucket/photos": "needs a cloud: tests/pipelines/test_beam.py",
    "convnets data inspect VOCdevkit/VOC2012": "needs VOC: tests/components/test_ingest_tasks.py",
    "convnets data inspect rooms": "renders thousands: tests/pipelines/test_data_commands.py",
    "convnets run transfer-": "needs the run before: tests/pipelines/test_transfer.py",
    "convnets run eigen2014-fine": "needs the run before: tests/pipelines/test_transfer.py",
    "convnets run eigen-depth-scale3": "needs the run before: tests/pipelines/test_transfer.py",
    "convnets run faster-r-cnn-step": "as r-cnn-",
    "convnets run faster-r-cnn --data VOC_FOLDER": "needs VOC: test_ingest_tasks.py",
    "convnets run r-cnn-": "needs the run before: tests/keras_models/test_rcnn.py",
    "convnets run deepface": "needs people: tests/components/test_ingest_people.py",
    "convnets run face-pixels": "needs people: tests/components/test_ingest_people.py",
    "convnets run eigen-normals --data kinect/": "tests/components/test_ingest_normals.py",
    "convnets data inspect faces/": "needs people: tests/components/test_tasks_verification.py",
    "convnets predict A B C D": "of pairs: tests/components/test_tasks_verification.py",
    "convnets predict a.png b.png c.png d.png": "as convnets predict A B C D",
    "convnets run zfnet --set model=keras_models.classification.zfnet:ZFNett": "is to be wrong",
}
# What stands for something else.
_PLACEHOLDER = re.compile(r"(?<![\w{$-])(?!REGISTRY)(?:[A-Z][A-Z]+|N)(?![\w}=])|\.\.\.")
# The one real run stands for runs of recipes that take longer, on the data that it has.
INSTEAD = {
    "convnets evaluate lenet --data mnist": "convnets evaluate lenet-relu-photos --data own/",
    "convnets evaluate lenet --data own/": "convnets evaluate lenet-relu-photos --data own/",
    "convnets evaluate runs/serving/lenet --data mnist": (
        "convnets evaluate runs/serving/lenet-relu-photos --data photos --protocol centre-crop"
    ),
    "convnets evaluate alexnet --data cifar10 --protocol 10-crop": (
        "convnets evaluate runs/serving/lenet-relu-photos --data photos --protocol centre-crop"
    ),
    "convnets judge zfnet": "convnets judge lenet-relu",
}
# What is asked in this process where no server is named, which takes seconds; of those one is.
IN_PROCESS = "convnets predict digit.png photos/"


def blocks(path: Path) -> list[tuple[str, str]]:
    """The language and the text of each block of code."""
    return re.findall(r"^```(\w*)\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[str]:
    """What is to be typed: the lines of blocks, long ones joined, and `convnets` in texts."""
    found = []
    for language, text in blocks(path):
        if language:
            continue
        text = re.sub(r"\s+#.*", "", text)
        text = re.sub(r"\\\n\s*", "", text)
        # Quotes may hold ends of lines.
        for line in re.findall(r"(?:'[^']*'|[^'\n])+", text):
            found += line.removeprefix("$ ").strip().split(" && ")
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    found += [" ".join(each.split()) for each in re.findall(r"`(convnets\s[^`]*)`", text)]
    return [each for each in found if each and _is_command(each)]


def _is_command(line: str) -> bool:
    beginnings = "|".join(map(re.escape, ("convnets", *NOT_RUN)))
    return re.match(rf"(?:{beginnings})(?=[ =]|$)", line) is not None


COMMANDS = sorted({each for path in FILES for each in commands(path)})


def reason(command: str) -> str | None:
    """Why a command is not run here."""
    found = [each for each in NOT_RUN if command.startswith(each)]
    return NOT_RUN[max(found, key=len)] if found else None


OURS = [each for each in COMMANDS if each.startswith("convnets ")]
RUN = [
    each
    for each in OURS
    if reason(each) is None and not _PLACEHOLDER.search(each) and len(each.split()) > 2
]
PYTHON = [
    (str(path.relative_to(ROOT)), text)
    for path in FILES
    for language, text in blocks(path)
    if language == "python"
]
_COLOURS = {"cat": (90, 60, 30), "coffee": (200, 190, 180)}


def test_each_reason_is_of_a_command():
    for beginning in NOT_RUN:
        assert any(reason(each) == NOT_RUN[beginning] for each in COMMANDS), beginning
    assert {*INSTEAD} <= {*RUN}
    named = {word for each in NOT_RUN.values() for word in re.findall(r"tests/[\w/]+\.py", each)}
    assert all((ROOT / each).is_file() for each in named)


@pytest.mark.parametrize("command", OURS)
def test_a_documented_command_has_its_options(command):
    group, words = cli.main, shlex.split(command.partition(" > ")[0])[1:]
    while words and hasattr(group, "commands") and words[0] in group.commands:
        group = group.commands[words.pop(0)]
    if hasattr(group, "commands") and "add" in group.commands and words:
        group = group.commands["add"]  # Of `convnets schedule RECIPE ...`.
    known = {option for each in group.params for option in each.opts} | {"--help"}
    assert {each.partition("=")[0] for each in words if each.startswith("--")} <= known


def photos(folder: Path) -> None:
    """A folder a class of noise in two colours."""
    random = np.random.default_rng(0)
    for name, colour in _COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(10):
            pixels = random.normal(colour, 10, (32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")


@pytest.fixture(scope="module")
def desk(trained, tmp_path_factory) -> Path:
    """A folder with the files that the documents name, and the runs of the real run's root."""
    desk = tmp_path_factory.mktemp("desk")
    for name in ("photos", "own", "arabic", "scans/of", "more"):
        photos(desk / name)
    for place in ("spans/photos/span-1", "days/photos/2026/11/29/v1"):
        photos(desk / place)
    rows = [f"of/{name}/{n}.jpg,{name}" for name in _COLOURS for n in range(10)]
    (desk / "scans" / "labels.csv").write_text("\n".join(["path,label", *rows]))
    for name in ("digit.png", "a.png", "b.jpg", "room.png", "seven.png", "two.jpg"):
        Image.open(desk / "photos" / "cat" / "1.jpg").save(desk / name)
    for name in ("mine.keras", "net.keras", "cifar-resnet20.keras"):
        shutil.copy(trained.paths["keras"], desk / name)
    text = (ROOT / "docs" / "own-networks.md").read_text(encoding="utf-8")
    (module,) = re.findall(r"```python\n(# mynets\.py\n.*?)```", text, re.DOTALL)
    (desk / "mynets.py").write_text(module)
    shown = CliRunner().invoke(cli.main, ["show", "lenet-relu", "--toml"])
    (desk / "my_recipe.toml").write_text(shown.output)
    (desk / "runs").symlink_to(trained.root)
    yield desk
    sys.modules.pop("mynets", None)


@pytest.fixture(scope="module")
def server(trained):
    """Serves the real run's model, under the name that the documents have, too."""
    pushed = trained.paths["pushed"].parent
    with convnets.Server({"lenet": str(pushed), pushed.name: str(pushed)}) as server:
        yield server


def invoked(command: str, *more: str) -> str:
    arguments = shlex.split(command)[1:]
    result = CliRunner().invoke(cli.main, [*arguments, *more], catch_exceptions=False)
    assert result.exit_code == 0, f"{command}\n{result.output}"
    return result.output


def is_a_run(command: str) -> bool:
    return command.startswith(("convnets run", "convnets schedule"))


@pytest.mark.parametrize("command", [each for each in RUN if is_a_run(each)])
def test_a_documented_run_starts(command, desk, stand_in, monkeypatch, tmp_path):
    place = "spans" if "{SPAN}" in command else "days" if "{YYYY}" in command else "."
    monkeypatch.chdir(desk / place)
    started = "summary(blessed=False, why=['a stand-in'])"
    monkeypatch.setattr(process, "RUNNER", stand_in(started))
    once = ["--once"] if command.startswith("convnets schedule") else []
    text = invoked(command, "--root", str(tmp_path / "root"), *once)
    assert once or "Not blessed" in text


@pytest.mark.parametrize(
    "command", dict.fromkeys(INSTEAD.get(each, each) for each in RUN if not is_a_run(each))
)
def test_a_documented_command_runs(command, desk, server, monkeypatch):
    monkeypatch.chdir(desk)
    if command.startswith("convnets compile"):
        pytest.importorskip("kfp")
    command, _, file = command.partition(" > ")
    more = ["--seconds", "1"] if "load-test" in command else []
    if command.startswith(("convnets load-test", "convnets predict")) and command != IN_PROCESS:
        more += ["--server", server.grpc]
    text = invoked(command, *more)
    if file:
        assert text.count("\n") > 5


@pytest.fixture
def names(server, trained, desk, monkeypatch) -> dict[str, str]:
    """What stands in the documents' Python for addresses and versions that there are here."""
    monkeypatch.chdir(desk)
    pushed = trained.paths["pushed"]
    return {
        "runs/serving/lenet/1732367000": str(pushed),
        "runs/serving/lenet": str(pushed.parent),
        "127.0.0.1:8500": server.grpc,
        # The cores may have other work.
        "timeout=60)": "timeout=600)",
        "timeout=10)": "timeout=600)",
    }


def ran(file: str, names: dict[str, str], known: dict) -> dict:
    """What the Python blocks of a document leave."""
    for name, text in PYTHON:
        if name == file and not text.startswith(_PAIRS):
            words = "|".join(map(re.escape, names)) or "(?!)"
            exec(re.sub(words, lambda found: names[found[0]], text), known)
    return known


# The pairs of a model of several inputs: tests/components/test_tasks_inputs.py.
_PAIRS = 'client.predict("kin"'


def test_every_python_block_is_run_somewhere():
    here = {"README.md", "docs/predictions.md", "docs/serving.md", "docs/optimizers.md"}
    assert {name for name, _ in PYTHON} == here | {*TESTED} | SIGNATURES
    for document, test in TESTED.items():
        assert f'"{Path(document).name}"' in (TESTS / test).read_text(encoding="utf-8")


def test_the_python_of_the_readme(trained, alone, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with alone():
        run = ran("README.md", {}, {})["run"]
    assert run.figures == trained.figures


def test_the_python_of_predictions(names, capsys):
    ran("docs/predictions.md", names, {})
    assert len(capsys.readouterr().out.splitlines()) == 20


def test_the_python_of_serving(names, capsys):
    ran("docs/serving.md", names, {})
    ports, *answers = capsys.readouterr().out.splitlines()
    assert len(ports.split()) == len(answers) == 2


def test_the_python_of_optimizers(names):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(1000, 4)).astype("float32")
    y = np.arange(1000) % 2
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    known = ran("docs/optimizers.md", names, {"keras": keras, "model": model, "x": x, "y": y})
    assert Path("state.npz").exists() and known["records"][-1]["loss"] < 1
