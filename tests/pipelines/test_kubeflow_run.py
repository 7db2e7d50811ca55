"""A recipe's pipeline on Kubeflow, without a cluster: every container's command is a process."""

import importlib.resources
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.ingest.idx import read_split, write_idx

pytest.importorskip("kfp", reason="kfp is not installed: it needs Python 3.11 or earlier")

from tests.pipelines.kubeflow_driver import Driver, StepFailed
from tests.pipelines.test_kubeflow_specification import STEPS

pytestmark = pytest.mark.slow
MNIST = Path(str(importlib.resources.files("convnets_data"))) / "mnist"


# A window of three spans, of which there are two.
WINDOW = ("--set", "window=3")
READERS = {f"ImageExampleGen-{each}" for each in ("earlier-1", "earlier-2", "fixed")}


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """The first images of MNIST in two spans of 3,000 to train on and 1,000 to test on."""
    folder = tmp_path_factory.mktemp("digits")
    for split, count in (("train", 3_000), ("t10k", 1_000)):
        images, labels = read_split(MNIST, f"{split}-*")
        for span in (1, 2):
            place = folder / f"span-{span}"
            place.mkdir(exist_ok=True)
            part = slice((span - 1) * count, span * count)
            write_idx(place / f"{split}-images-idx3-ubyte", images[part])
            write_idx(place / f"{split}-labels-idx1-ubyte", labels[part])
    return folder


@pytest.fixture(scope="module")
def specification(tmp_path_factory) -> Path:
    """Compiled by the command line, for MNIST whole and the recipe's epochs."""
    path = tmp_path_factory.mktemp("compiled") / "lenet.yaml"
    command = [sys.executable, "-m", "pipelines", "compile", "lenet", "--output", str(path)]
    command += [*WINDOW, "--set", "fixed=mnist"]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    return path


@pytest.fixture(scope="module")
def root(digits, tmp_path_factory) -> Path:
    """Where the local runner has pushed a model."""
    root = tmp_path_factory.mktemp("root")
    command = [sys.executable, "-m", "pipelines", "run", "lenet", "--set", "epochs=1", *WINDOW]
    command += ["--set", f"fixed={digits}/span-1", "--data", f"{digits}/span-{{SPAN}}"]
    run = subprocess.run([*command, "--root", str(root)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return root


@pytest.fixture(scope="module")
def cluster(digits, specification, root, tmp_path_factory) -> tuple[Driver, Path]:
    """The same on Kubeflow: what the specification has, and what the run was given."""
    folder = tmp_path_factory.mktemp("cluster")
    driver = Driver(specification, folder)
    overrides = ["epochs=1", f"fixed={digits}/span-1"]
    driver.run(data=f"{digits}/span-{{SPAN}}", overrides=overrides, root=str(root))
    return driver, folder


def versions(root: Path) -> list[Path]:
    (model,) = (root / "serving").iterdir()
    return sorted(model.iterdir())


def test_every_step_ran_after_those_that_it_needs(cluster):
    driver, _ = cluster
    assert set(driver.executed) == STEPS | READERS | {"Evaluator-fixed", "Plan", "finish"}
    assert driver.executed[-1] == "finish"
    order = [name for name in driver.executed if name in ("ImageExampleGen", "Transform")]
    assert [driver.executed[0], *order] == ["Plan", "ImageExampleGen", "Transform"]
    for step in STEPS:
        assert driver.commands[step][:3] == ["python", "-m", "pipelines.kubeflow.step"]


def test_the_pushed_model_is_the_local_runners(cluster, root):
    import tensorflow as tf

    local, kubeflow = versions(root)
    before, after = (
        tf.train.load_checkpoint(str(each / "variables" / "variables"))
        for each in (local, kubeflow)
    )
    names = before.get_variable_to_shape_map()
    assert names == after.get_variable_to_shape_map()
    weights = [name for name in names if name.endswith("VARIABLE_VALUE")]
    assert len(weights) > 5
    for name in weights:
        np.testing.assert_array_equal(before.get_tensor(name), after.get_tensor(name), name)


def test_it_gives_the_same_answers(cluster, root):
    import tensorflow as tf

    from components.ingest.images import png

    images, labels = read_split(MNIST, "t10k-*")
    encoded = tf.constant([png(image) for image in images[-200:]])
    answers = []
    for version in versions(root):
        signature = tf.saved_model.load(str(version)).signatures["serving_default"]
        (name,) = signature.structured_input_signature[1]
        answers.append(signature(**{name: encoded})["scores"].numpy())
    np.testing.assert_array_equal(*answers)
    # Chance is 0.1; one epoch on a tenth of MNIST is no more than a beginning.
    assert np.mean(answers[0].argmax(axis=1) == labels[-200:]) > 0.4


def test_custom_components_did_their_part(cluster, root):
    _, folder = cluster
    judgement = json.loads((folder / "Judge/judgement/judgement.json").read_text())
    assert judgement["examples"] == 1_000
    assert (folder / "Report/report/index.html").stat().st_size > 10_000
    canary = json.loads((folder / "Canary/blessing/canary.json").read_text())
    assert canary["blessed"] is True
    verdicts = list(root.glob("pipelines/lenet-*/verdicts/*"))
    assert [(each / "about.json").exists() for each in verdicts] == [True]


def test_the_candidate_was_measured_against_the_model_that_is_served(cluster, root):
    _, folder = cluster
    local, _ = versions(root)
    metadata = json.loads((folder / "Baseline/output_metadata.json").read_text())
    assert metadata["artifacts"]["model"]["artifacts"][0]["metadata"]["version"] == local.name
    for evaluator in ("Evaluator", "Evaluator-fixed"):
        metadata = json.loads((folder / evaluator / "output_metadata.json").read_text())
        blessing = metadata["artifacts"]["blessing"]["artifacts"][0]["metadata"]
        assert blessing["blessed"] == 1
        assert blessing["baseline_model"] == str(folder / "Baseline" / "model")


def test_the_exit_handler_noted_the_end(cluster, root):
    ended = json.loads((root / "kubeflow" / "run-1.json").read_text())
    assert (ended["recipe"], ended["succeeded"]) == ("lenet", True)


def test_a_run_that_fails_is_noted_and_pushes_nothing(specification, digits, tmp_path):
    driver = Driver(specification, tmp_path / "cluster")
    with pytest.raises(StepFailed, match="did you mean epochs"):
        driver.run(data=str(digits), overrides=["epochz=1"], root=str(tmp_path))
    assert driver.executed == ["Plan", "finish"]
    assert json.loads((tmp_path / "kubeflow/run-1.json").read_text())["succeeded"] is False
    assert not (tmp_path / "serving").exists()
