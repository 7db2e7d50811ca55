import json

import pytest
import yaml

from pipelines.recipes import find
from pipelines.run_kubeflow import compile_recipe
from pipelines.run_local import STAGES

ROOT = "gs://bucket/runs"


def test_other_kinds_of_file(tmp_path):
    with pytest.raises(ValueError, match=r"\.yaml or \.json"):
        compile_recipe(find("lenet"), str(tmp_path / "lenet.txt"))


@pytest.fixture(scope="module")
def specification(tmp_path_factory) -> dict:
    pytest.importorskip("kfp", reason="kfp is not installed: it needs Python 3.11 or earlier")
    path = tmp_path_factory.mktemp("kubeflow") / "lenet.yaml"
    recipe = find("lenet").on_data("gs://bucket/photos").override(["epochs=3"])
    compile_recipe(recipe, str(path), root=ROOT, image="registry/convnets:1")
    return yaml.safe_load(path.read_text())


def test_the_specification_is_one_that_kubeflow_reads(specification):
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    parsed = json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    assert parsed.pipeline_info.name == "lenet"


def test_every_stage_is_a_step(specification):
    tasks = specification["root"]["dag"]["tasks"]
    assert set(STAGES) - {"Baseline", "PreviousData"} <= set(tasks)
    assert {name for name in tasks if name.startswith("Baseline")}
    assert set(tasks["Pusher"]["dependentTasks"]) >= {"Canary", "Evaluator", "Trainer"}


def test_steps_run_in_the_image_through_tfx_entry_point(specification):
    containers = [
        executor["container"]
        for executor in specification["deploymentSpec"]["executors"].values()
        if "container" in executor
    ]
    assert len(containers) == len(STAGES) - 2
    for container in containers:
        assert container["image"] == "registry/convnets:1"
        assert container["command"][:2] == ["python", "-m"]
        assert "--executor_class_path" in container["args"]


def test_the_recipe_the_data_and_the_root_travel_along(specification):
    tasks = specification["root"]["dag"]["tasks"]

    def parameter(stage: str, name: str):
        (value,) = tasks[stage]["inputs"]["parameters"][name]["runtimeValue"].values()
        return value["stringValue"] if isinstance(value, dict) else value

    config = json.loads(parameter("Trainer", "custom_config"))
    assert json.loads(config["recipe"])["epochs"] == 3
    assert config["checkpoints"].startswith(ROOT)
    assert parameter("ImageExampleGen", "input_base") == "gs://bucket/photos"
    assert f"{ROOT}/serving/lenet" in parameter("Pusher", "push_destination")
