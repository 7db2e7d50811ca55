"""What has to hold before a model is measured."""

import pytest
from tfx.types import standard_artifacts

from components.evaluate import executor
from components.evaluate.executor import Executor, OtherClasses, model_labels


def model(folder, *names) -> standard_artifacts.Model:
    assets = folder / "Format-Serving" / "assets"
    assets.mkdir(parents=True)
    (assets / "labels.txt").write_text("".join(f"{name}\n" for name in names))
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder)
    return artifact


def examples(folder, *names) -> standard_artifacts.Examples:
    folder.mkdir()
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in names))
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    return artifact


@pytest.fixture
def measured(monkeypatch):
    """What would be measured with what."""
    seen = []
    monkeypatch.setattr(
        executor.executor.Executor, "Do", lambda self, inputs, *_: seen.append(inputs)
    )
    return seen


def test_other_classes_are_refused(measured, tmp_path):
    inputs = {
        "model": [model(tmp_path / "model", "cat", "dog")],
        "examples": [examples(tmp_path / "examples", "cat", "owl")],
    }
    with pytest.raises(OtherClasses, match="dog, owl"):
        Executor().Do(inputs, {}, {})
    assert measured == []


def test_the_same_classes_in_another_order_are_refused(measured, tmp_path):
    inputs = {
        "model": [model(tmp_path / "model", "cat", "dog")],
        "examples": [examples(tmp_path / "examples", "dog", "cat")],
    }
    with pytest.raises(OtherClasses, match="order"):
        Executor().Do(inputs, {}, {})


def test_a_served_model_with_other_classes_is_no_measure(measured, tmp_path):
    served = [model(tmp_path / "served", "cat"), model(tmp_path / "other", "cat", "dog")]
    inputs = {
        "model": [model(tmp_path / "model", "cat", "dog")],
        "examples": [examples(tmp_path / "examples", "cat", "dog")],
    }
    for each, expected in zip(served, ([], [served[1]]), strict=True):
        Executor().Do({**inputs, "baseline_model": [each]}, {}, {})
        assert measured.pop()["baseline_model"] == expected


def test_a_model_without_names_has_none(tmp_path):
    artifact = standard_artifacts.Model()
    artifact.uri = str(tmp_path)
    assert model_labels(artifact) is None
