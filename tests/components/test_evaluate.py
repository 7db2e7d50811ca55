"""What has to hold before a model is measured."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow_model_analysis as tfma
from scipy import stats
from tfx.components.evaluator import executor
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components import constant, tasks
from components.evaluate.executor import Executor, OtherClasses, model_labels
from components.evaluate.verdict import evaluation_reasons
from components.tasks.classification import metrics
from pipelines import build, recipes


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
    """What would be measured with what, and how."""
    seen = []
    monkeypatch.setattr(
        executor.Executor,
        "Do",
        lambda self, inputs, _, properties: seen.append((inputs, properties)),
    )
    return seen


def properties(chance=None, *settings) -> dict[str, str]:
    recipe = recipes.find("lenet-relu").on_data("photos").override(settings)
    return {"eval_config": proto_utils.proto_to_json(build._eval_config(recipe, chance))}


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
        Executor().Do({**inputs, "baseline_model": [each]}, {}, properties())
        assert measured.pop()[0]["baseline_model"] == expected


def test_a_model_without_names_has_none(tmp_path):
    artifact = standard_artifacts.Model()
    artifact.uri = str(tmp_path)
    assert model_labels(artifact) is None


def analysed(frame, config, **more):
    """What TFMA says of some answers, taken as features of their examples."""
    return tfma.analyze_raw_data(frame, config, **more)


def config_of(task: str, *metrics, **arguments) -> tfma.EvalConfig:
    ours = tfma.MetricConfig(
        class_name="TaskFigures",
        module="components.evaluate.figures",
        config=json.dumps({"task": task, **arguments}),
    )
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key="label", prediction_key="prediction")],
        slicing_specs=[tfma.SlicingSpec()],
        metrics_specs=[tfma.MetricsSpec(metrics=[ours, *metrics])],
    )


def measure(scores, labels, *metrics) -> dict[str, float]:
    """What TFMA says of some answers, by metric."""
    frame = pd.DataFrame({"prediction": list(scores), "label": labels})
    found = analysed(frame, config_of("classification", *metrics)).get_metrics_for_slice()
    return {name: each["doubleValue"] for name, each in found.items()}


def test_accuracy_is_that_of_keras():
    random = np.random.default_rng(0)
    # Few values, so that scores are equal now and then; more than are kept in pieces.
    scores = random.integers(0, 4, (1500, 5)) / 4
    labels = random.integers(0, 5, 1500)
    theirs = tfma.MetricConfig(
        class_name="SparseCategoricalAccuracy", config='{"name": "of_keras"}'
    )
    found = measure(scores, labels, theirs)
    assert found["accuracy"] == pytest.approx(found["of_keras"], abs=1e-7)
    right = scores.argmax(axis=1) == labels
    assert found["accuracy"] == pytest.approx(right.mean(), abs=1e-12)


def test_an_answer_that_is_not_finite_is_a_wrong_one():
    scores = np.array([[0.9, 0.1], [np.nan, np.nan], [np.inf, 0.0], [0.2, 0.8]])
    assert measure(scores, [0, 0, 0, 1])["accuracy"] == 0.5


# Of three cats and two dogs: what is answered, whether that is good enough, and what is said of it.
CAT, DOG = 0, 1
GAIN = "accuracy above that of the commonest class"


@pytest.mark.parametrize(
    ("answers", "wanted", "blessed", "reasons"),
    [
        ([CAT, CAT, CAT, DOG, DOG], 0.0, True, ["accuracy 1.0000", f"{GAIN} 0.4000, at least"]),
        ([CAT] * 5, 0.0, True, ["accuracy 0.6000", f"{GAIN} 0.0000, at least"]),
        ([DOG] * 5, 0.0, False, ["accuracy 0.4000", f"{GAIN} -0.2000, less than"]),
        ([CAT, CAT, CAT, CAT, DOG], 0.9, False, ["accuracy 0.8000, less than the wanted 0.9000"]),
    ],
)
def test_below_the_commonest_class_nothing_is_blessed(answers, wanted, blessed, reasons, tmp_path):
    recipe = recipes.find("lenet-relu").override([f"thresholds.accuracy={wanted}"])
    config = tfma.utils.update_eval_config_with_defaults(
        build._eval_config(recipe), has_baseline=False, rubber_stamp=True
    )
    config.model_specs[0].label_key = "label"
    config.model_specs[0].prediction_key = "prediction"
    frame = pd.DataFrame(
        {"prediction": list(np.eye(2)[answers]), "label": [CAT, CAT, CAT, DOG, DOG]}
    )
    tfma.analyze_raw_data(frame, config, output_path=str(tmp_path))
    assert tfma.load_validation_result(str(tmp_path)).validation_ok == blessed
    found = evaluation_reasons(str(tmp_path), tasks.find(recipe.task), recipe.thresholds)
    assert len(found) == len(reasons)
    assert all(map(str.startswith, found, reasons))


def measured_with(digits_run, measured, tmp_path, *given) -> tuple[float, dict | None]:
    """The accuracy that TFMA is told to ask for on digits, and what is kept of why."""
    stored, evaluation = standard_artifacts.Examples(), standard_artifacts.ModelEvaluation()
    stored.uri, evaluation.uri = digits_run.examples, str(tmp_path)
    inputs = {"model": [model(tmp_path / "model", *digits_run.names)], "examples": [stored]}
    Executor().Do(inputs, {"evaluation": [evaluation]}, properties(*given))
    config = tfma.EvalConfig()
    proto_utils.json_to_proto(measured.pop()[1]["eval_config"], config)
    threshold = config.metrics_specs[0].thresholds["accuracy"].value_threshold
    return threshold.lower_bound.value, constant.read(evaluation.uri)


def test_on_ones_own_data_more_is_wanted_than_chance_explains(
    digits_run, digits, measured, tmp_path
):
    labels = digits[1][-digits_run.test_images :]
    share = np.bincount(labels).max() / len(labels)
    wanted = (stats.binom.isf(0.05, len(labels), share) + 1) / len(labels)
    value, kept = measured_with(digits_run, measured, tmp_path, 0.05)
    assert value == kept["value"] == wanted
    assert kept["text"].startswith(f"needs {100 * wanted:.1f} %: the most frequent class alone")


def test_what_the_recipe_asks_for_beside_it_stays(digits_run, measured, tmp_path):
    value, kept = measured_with(digits_run, measured, tmp_path, 0.05, "thresholds.accuracy=0.9")
    assert value == 0.9 > kept["value"]


def test_without_it_the_recipe_alone_asks(digits_run, measured, tmp_path):
    assert measured_with(digits_run, measured, tmp_path) == (0.0, None)


@pytest.mark.parametrize(
    ("right", "blessed", "reason"),
    [
        (75, False, "accuracy 0.6250, not enough: needs 63.3 %: the most frequent class alone"),
        (76, True, "accuracy 0.6333, enough: needs 63.3 %: the most frequent class alone"),
    ],
)
def test_at_the_bound_of_chance(right, blessed, reason, tmp_path):
    labels = np.repeat([CAT, DOG], [66, 54])
    answers = np.where(np.arange(120) < right, labels, 1 - labels)
    recipe = recipes.find("lenet-relu").on_data("photos")
    rows = metrics.rows({"scores": np.eye(2, dtype=np.float32)[answers]}, labels, {})
    task = tasks.find(recipe.task)
    least = constant.needed(rows, task, recipe.thresholds["chance"])
    config = tfma.utils.update_eval_config_with_defaults(
        build._eval_config(recipe, recipe.thresholds["chance"]), False, rubber_stamp=True
    )
    config.model_specs[0].label_key = "label"
    config.model_specs[0].prediction_key = "prediction"
    value_threshold = config.metrics_specs[0].thresholds["accuracy"].value_threshold
    value_threshold.lower_bound.value = least["value"]
    frame = pd.DataFrame({"prediction": list(np.eye(2)[answers]), "label": labels})
    tfma.analyze_raw_data(frame, config, output_path=str(tmp_path))
    constant.write(str(tmp_path), least)
    assert tfma.load_validation_result(str(tmp_path)).validation_ok == blessed
    found = evaluation_reasons(str(tmp_path), task, recipe.thresholds)
    assert found[0].startswith(reason)
    assert len(found) == 1


@pytest.mark.parametrize(("wanted", "bound"), [("0.3", 0.3), ("null", sys.float_info.max)])
def test_of_an_error_less_is_better(wanted, bound):
    recipe = recipes.find("eigen-depth").override([f"thresholds.abs_rel={wanted}"])
    (spec,) = build._eval_config(recipe).metrics_specs
    threshold = spec.thresholds["abs_rel"]
    assert threshold.value_threshold.upper_bound.value == bound
    assert not threshold.value_threshold.HasField("lower_bound")
    assert threshold.change_threshold.direction == tfma.MetricDirection.LOWER_IS_BETTER
    assert threshold.change_threshold.absolute.value == recipe.thresholds["change"]
