"""The pipeline up to the verdict on the data, on spans of real photographs, with TFX's metadata."""

import contextlib
import json
from pathlib import Path

import pytest
from tfx.dsl.compiler.compiler import Compiler

from components.ingest.sources import prepare, resolve, window
from components.validate.verdict import UnfitData
from pipelines import recipes
from pipelines.build import create_pipeline
from pipelines.local_runner import LocalRunner
from pipelines.paths import Paths
from tests.photos import write_crops


def make(folder: Path, seed: int, share: float = 1.0) -> None:
    """Thirty pieces of each of two photographs, darker by a share of the brightness."""
    write_crops(folder, 30, seed=seed, light=share)


class _FarEnough(Exception):
    """Ends a run before anything is computed with the images."""


class FirstStages:
    """Runs the first stages as `convnets run` does."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.dataset = str(folder / "photos" / "span-{SPAN}" / "v{VERSION}")
        self.states: dict[str, str] = {}
        self.verdict: dict = {}

    def run(self, *settings: str) -> None:
        recipe = recipes.find("lenet-relu").on_data(self.dataset).override(settings)
        source, *earlier = map(prepare, window(recipe.dataset, recipe.window))
        paths = Paths(str(self.folder / "root"))
        Path(paths.root).mkdir(exist_ok=True)
        pipeline = create_pipeline(recipe, source, paths, earlier=earlier)
        self.states = {}
        with contextlib.suppress(_FarEnough):
            LocalRunner(self._record).run(pipeline)

    def _record(self, stage, state, seconds=0.0, artifacts=None, error=None) -> None:
        if stage == "Transform":
            raise _FarEnough
        self.states[stage] = state
        if artifacts and "components.DataVerdict" in artifacts and stage == "ExampleValidator":
            uri = artifacts["components.DataVerdict"].uri
            self.verdict = json.loads(Path(uri, "verdict.json").read_text())


@pytest.mark.slow
def test_spans_follow_each_other(tmp_path):
    stages = FirstStages(tmp_path)
    make(tmp_path / "photos" / "span-1" / "v1", 1)
    stages.run()
    assert stages.verdict["spans"] == ["1 (version 1)"]
    assert stages.verdict["before"] is None
    first = stages.verdict["newest"]

    stages.run()
    assert stages.states["ImageExampleGen"] == stages.states["ExampleValidator"] == "cached"

    make(tmp_path / "photos" / "span-2" / "v1", 2, share=0.2)
    with pytest.raises(UnfitData, match=r"brightness of the images has drifted(.|\n)*image_drift="):
        stages.run()
    assert stages.states["ExampleValidator"] == "failed"

    make(tmp_path / "photos" / "span-2" / "v2", 3)
    stages.run()
    assert stages.verdict["spans"] == ["2 (version 2)"]
    assert stages.verdict["before"] == first

    stages.run("window=2")
    assert stages.verdict["spans"] == ["2 (version 2)", "1 (version 1)"]
    assert stages.states["ImageExampleGen"] == "cached"
    alone = stages.verdict["newest"]["images"]
    assert stages.verdict["splits"]["train"]["images"] == alone + first["images"]


def test_exchanged_classes_are_read_anew(tmp_path):
    """And what has not changed comes from TFX's cache."""
    make(tmp_path / "photos", 1)
    states = {}

    def record(stage, state, **_) -> None:
        if stage != "ImageExampleGen":
            raise _FarEnough
        states[stage] = state

    def run() -> str:
        recipe = recipes.find("lenet-relu").on_data(str(tmp_path / "photos"))
        paths = Paths(str(tmp_path / "root"))
        Path(paths.root).mkdir(exist_ok=True)
        pipeline = create_pipeline(recipe, prepare(resolve(recipe.dataset)), paths)
        with contextlib.suppress(_FarEnough):
            LocalRunner(record).run(pipeline)
        return states["ImageExampleGen"]

    assert (run(), run()) == ("done", "cached")
    cat, coffee = (tmp_path / "photos" / name for name in ("cat", "coffee"))
    cat.rename(tmp_path / "between")
    coffee.rename(cat)
    (tmp_path / "between").rename(coffee)
    assert (run(), run()) == ("done", "cached")


@pytest.fixture
def two_spans(tmp_path) -> str:
    for number in (1, 2):
        make(tmp_path / f"span-{number}", number)
    return str(tmp_path / "span-{SPAN}")


def sources_of_examples(pipeline) -> dict[str, set[str]]:
    """From which stages each stage takes examples."""
    found = {}
    for node in Compiler().compile(pipeline).nodes:
        inputs = node.pipeline_node.inputs.inputs
        if "examples" in inputs:
            keys = inputs["examples"].mixed_inputs.input_keys or ["examples"]
            channels = [channel for key in keys for channel in inputs[key].channels]
            stage = node.pipeline_node.node_info.id
            found[stage] = {channel.producer_node_query.id for channel in channels}
    return found


def test_the_trainer_takes_all_spans_and_the_judge_the_newest(two_spans, tmp_path):
    recipe = recipes.find("lenet-relu").on_data(two_spans).override(["tune.trials=2"])
    newest, *earlier = map(prepare, window(two_spans, 2))
    pipeline = create_pipeline(recipe, newest, Paths(str(tmp_path / "root")), earlier=earlier)
    found = sources_of_examples(pipeline)
    both = {stage for stage, producers in found.items() if len(producers) == 2}
    assert both == {"ExampleValidator", "Transform", "Tuner", "Trainer"}
    assert found["Trainer"] == {"ImageExampleGen", "ImageExampleGen-span-1"}
    assert found["Judge"] == found["Evaluator"] == found["Canary"] == {"ImageExampleGen"}


def test_on_kubeflow_the_driver_looks_for_the_newest_span(two_spans):
    (newest,) = map(prepare, window(two_spans, 1))
    recipe = recipes.find("lenet-relu").on_data(two_spans)
    pipeline = create_pipeline(recipe, newest, Paths("gs://bucket/runs"), metadata=False)
    examples = next(each for each in pipeline.components if each.id == "ImageExampleGen")
    assert examples.exec_properties["range_config"] is None
    assert "span-{SPAN}/*/*" in examples.exec_properties["input_config"]
