"""What `convnets compile` writes."""

import json

import pytest
import yaml

from components import trusted
from pipelines.kubeflow import compiling, resources
from pipelines.kubeflow.compiling import compile_recipe
from pipelines.recipe import RecipeError
from pipelines.recipes import find
from pipelines.stages import STAGES

ROOT = "gs://bucket/runs"
# Kubeflow's driver has no resolvers: the baseline is a container, the data before the validator's.
STEPS = set(STAGES) - {"PreviousData"}


def unloadable(*_):
    raise AssertionError("TFX is loaded for what can be refused without it")


def test_a_step_that_there_is_not_is_refused_before_tfx_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(compiling, "tfx_specification", unloadable)
    for option, asked in (("gpus", "Trainr=1"), ("cpu", "Trainr=2"), ("memory", "Trainr=2Gi")):
        assert "did you mean Trainer" in refused(tmp_path, **{option: [asked]})
    assert "no step 'Tuner'" in refused(tmp_path, gpus=["Tuner=1"])
    assert "no step 'PreviousData'" in refused(tmp_path, cpu=["PreviousData=1"])


TUNED = 'tune={"trials": 2, "space": {"batch_size": [10, 20]}}'


@pytest.mark.parametrize("overrides", [[], ["window=3", "fixed=gs://bucket/span-1"], [TUNED]])
def test_the_steps_are_known_before_they_are_compiled(compiled, overrides):
    (found,) = compiled(overrides=overrides)
    recipe = find("lenet").on_data("gs://bucket/photos").override(overrides)
    assert compiling.steps(recipe) == sorted({*tasks(found), "finish"})


def refused(folder, *assignments, name="lenet.yaml", **options) -> str:
    recipe = find("lenet").override(assignments)
    with pytest.raises(ValueError) as caught:
        compile_recipe(recipe, str(folder / name), **options)
    return str(caught.value)


def test_what_kubeflow_cannot_run_is_refused(tmp_path):
    assert ".yaml or .json" in refused(tmp_path, name="lenet.txt")
    assert "one container" in refused(tmp_path, "strategy=multi_worker")
    assert "mounted at a path" in refused(tmp_path, root=ROOT, claim="convnets")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compiles lenet for a cluster that alone sees the data; the documents of the file."""
    pytest.importorskip("kfp", reason="kfp is not installed: it needs Python 3.11 or earlier")

    def compiled(name="lenet.yaml", overrides=(), **options) -> list[dict]:
        path = tmp_path_factory.mktemp("kubeflow") / name
        recipe = find("lenet").on_data("gs://bucket/photos").override(["epochs=3", *overrides])
        compile_recipe(recipe, str(path), image="registry/convnets:1", **options)
        text = path.read_text()
        assert "&id" not in text, "not every reader of Kubeflow's files knows YAML's references"
        return list(yaml.safe_load_all(text))

    return compiled


@pytest.fixture(scope="module")
def specification(compiled) -> dict:
    (found,) = compiled(
        root=ROOT, cpu=("2", "Trainer=8"), memory=("Trainer=16Gi",), gpus=("1", "Judge=2")
    )
    return found


def tasks(specification: dict) -> dict:
    return specification["components"]["stages"]["dag"]["tasks"]


def containers(specification: dict) -> dict[str, dict]:
    executors = specification["deploymentSpec"]["executors"]
    return {label.removesuffix("_executor"): each["container"] for label, each in executors.items()}


def test_the_specification_is_one_that_kubeflow_reads(specification):
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    parsed = json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    assert parsed.pipeline_info.name == "lenet-photos"
    assert parsed.schema_version == "2.1.0"
    assert parsed.default_pipeline_root == f"{ROOT}/pipelines/lenet-photos"


def test_it_asks_for_nothing_that_kubeflows_driver_does_not_know(specification):
    """As in backend/src/v2 of kubeflow/pipelines: containers alone, without lifecycle hooks."""
    for executor in specification["deploymentSpec"]["executors"].values():
        assert list(executor) == ["container"]
        assert set(executor["container"]) <= {"image", "command", "args", "resources"}
    for task in tasks(specification).values():
        for parameter in task["inputs"].get("parameters", {}).values():
            (kind,) = parameter
            assert kind in ("runtimeValue", "taskOutputParameter", "componentInputParameter")
            assert kind != "runtimeValue" or list(parameter[kind]) == ["constant"]


def test_what_its_recipe_cannot_be_set_to_is_told_before_it_is_submitted(specification):
    from pipelines.kubeflow.submitting import check_settings

    check_settings(specification, ["epochs=2", "model_args.classifier=softmax"])
    with pytest.raises(RecipeError, match=r"did you mean model_args\.classifier"):
        check_settings(specification, ["model_args.clasifier=softmax"])
    check_settings({**specification, "components": {}}, ["of.another=version"])


def test_every_step_may_run_the_code_of_allowed_packages(compiled, tmp_path, monkeypatch):
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    from pipelines.kubeflow.submitting import check_settings

    (tmp_path / "cluster_nets.py").write_text("def Net(input_shape, classes): ...")
    monkeypatch.syspath_prepend(tmp_path)
    own = ["model=cluster_nets:Net", "model_args={}"]
    with trusted.allowing(["cluster_nets"]):
        (found,) = compiled(overrides=own)
    json_format.ParseDict(found, pipeline_spec_pb2.PipelineSpec())
    variable = {"name": "CONVNETS_ALLOW_PACKAGES", "value": "cluster_nets"}
    assert set(containers(found)) == STEPS | {"Plan", "finish"}
    assert all(each["env"] == [variable] for each in containers(found).values())
    check_settings(found, own)
    with pytest.raises(RecipeError, match="the code of shutil"):
        check_settings(found, ["model=shutil:copyfile"])


def test_every_stage_is_a_step_after_the_plan(specification):
    assert set(tasks(specification)) == STEPS | {"Plan"}
    for step in STEPS:
        assert "Plan" in tasks(specification)[step]["dependentTasks"]
    assert set(tasks(specification)["Pusher"]["dependentTasks"]) >= {"Canary", "Evaluator"}
    assert "ExampleValidator" in tasks(specification)["Transform"]["dependentTasks"]


def test_a_window_and_fixed_data_are_steps_of_their_own(compiled):
    (specification,) = compiled(overrides=["window=3", "fixed=gs://bucket/span-1"])
    found = tasks(specification)
    more = {"ImageExampleGen-earlier-1", "ImageExampleGen-earlier-2", "ImageExampleGen-fixed"}
    assert set(found) == STEPS | {"Plan"} | more | {"Evaluator-fixed"}

    def producers(step: str, name: str) -> list[str]:
        inputs = found[step]["inputs"]["artifacts"]
        kept = [each for each in sorted(inputs) if each.partition("-")[0] == name]
        return [inputs[each]["taskOutputArtifact"]["producerTask"] for each in kept]

    window = ["ImageExampleGen", "ImageExampleGen-earlier-1", "ImageExampleGen-earlier-2"]
    for step in ("ExampleValidator", "Transform", "Trainer"):
        assert producers(step, "examples") == window
    assert producers("StatisticsGen", "examples") == ["ImageExampleGen"]
    assert producers("Evaluator-fixed", "examples") == ["ImageExampleGen-fixed"]
    blessings = ["Evaluator", "Evaluator-fixed"]
    assert producers("Pusher", "model_blessing") == blessings
    assert producers("Report", "evaluations") == producers("Report", "blessings") == blessings
    for step in more:
        outputs = specification["components"]["Plan"]["outputDefinitions"]["parameters"]
        assert f"{step}.span" in outputs


def test_every_value_of_a_step_comes_from_the_plan(specification):
    outputs = specification["components"]["Plan"]["outputDefinitions"]["parameters"]
    for step in STEPS:
        described = specification["components"][step].get("inputDefinitions", {})
        for name, parameter in tasks(specification)[step]["inputs"].get("parameters", {}).items():
            made = parameter["taskOutputParameter"]
            assert made["producerTask"] == "Plan"
            assert outputs[made["outputParameterKey"]] == described["parameters"][name]
    assert {"ImageExampleGen.span", "ImageExampleGen.input_fingerprint"} <= set(outputs)


def test_steps_run_in_the_image(specification):
    for name, container in containers(specification).items():
        assert container["image"] == "registry/convnets:1"
        assert container["command"][:2] == ["python", "-m"]
        if name in STEPS:
            assert container["command"][2] == "pipelines.kubeflow.step"
            assert "--executor_class_path" in container["args"]


def test_what_a_run_may_be_given(specification):
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    defaults = {name: each["defaultValue"] for name, each in parameters.items()}
    assert defaults == {
        "overrides": [],
        "data": "gs://bucket/photos",
        "root": ROOT,
        "webhook": "",
    }
    plan = tasks(specification)["Plan"]["inputs"]["parameters"]
    assert json.loads(plan["recipe"]["runtimeValue"]["constant"])["epochs"] == 3
    assert plan["data"] == {"componentInputParameter": "data"}
    group = specification["root"]["dag"]["tasks"]["stages"]["inputs"]["parameters"]
    assert group["data"] == {"componentInputParameter": "data"}


def test_resources_and_gpus_are_a_steps_own(specification):
    asked = {name: each["resources"] for name, each in containers(specification).items()}
    assert asked["Trainer"]["accelerator"] == {"type": "nvidia.com/gpu", "count": "1"}
    assert asked["Judge"]["accelerator"]["count"] == "2"
    assert {name for name, each in asked.items() if "accelerator" in each} == {"Trainer", "Judge"}
    assert asked["Trainer"]["cpuLimit"] == 8
    others = asked.keys() - {"Trainer"}
    assert {"Plan", "finish", "Transform"} < others
    assert all(asked[name]["cpuLimit"] == 2 for name in others)
    assert asked["Trainer"]["memoryLimit"] == pytest.approx(17.18, abs=0.01)
    assert "memoryLimit" not in asked["Transform"]
    assert all(each["memoryRequest"] > 0 for each in asked.values())


def test_everything_is_cached_but_what_looks_outside(specification):
    cached = {
        name: each["cachingOptions"]["enableCache"] for name, each in tasks(specification).items()
    }
    assert {name for name, each in cached.items() if not each} == {"Plan", "Baseline"}


def test_the_exit_handler_runs_whatever_happened(specification):
    finish = specification["root"]["dag"]["tasks"]["finish"]
    assert finish["dependentTasks"] == ["stages"]
    assert finish["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    status = finish["inputs"]["parameters"]["status"]
    assert status == {"taskFinalStatus": {"producerTask": "stages"}}
    container = containers(specification)["finish"]
    assert "--status={{$.inputs.parameters['status']}}" in container["args"]


def test_a_volume_is_mounted_by_every_step(compiled):
    specification, platform = compiled(claim="convnets")
    assert "defaultPipelineRoot" not in specification
    mounted = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(mounted) == set(specification["deploymentSpec"]["executors"])
    for each in mounted.values():
        assert each == {"pvcMount": [{"constant": "convnets", "mountPath": "/runs"}]}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cpu": ["Trianer=2"]}, "did you mean Trainer"),
        ({"cpu": ["many"]}, "cores"),
        ({"cpu": ["0"]}, "cores"),
        ({"memory": ["16"]}, "16Gi"),
        ({"gpus": ["Trainer=half"]}, "whole number"),
    ],
)
def test_resources_that_cannot_be(given, said):
    texts = {"cpu": [], "memory": [], "gpus": [], **given}
    with pytest.raises(resources.ResourcesError, match=said):
        resources.of_steps(["Trainer", "Judge"], **texts)


def test_a_steps_own_resources_go_before_those_of_all():
    found = resources.of_steps(["Trainer", "Judge"], ["Trainer=500m", "4"], [], ["2"])
    assert found["Trainer"].cpu == 0.5
    assert found["Judge"].cpu == 4
    assert (found["Trainer"].gpus, found["Judge"].gpus) == (2, 0)
