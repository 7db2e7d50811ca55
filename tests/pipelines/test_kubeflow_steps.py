"""What runs in the containers, piece by piece; together: test_kubeflow_run.py."""

import copy
import functools
import http.server
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml

from components.ingest.idx import write_idx
from pipelines.beam import Beam
from pipelines.kubeflow import finish, step
from pipelines.recipe import RecipeError
from pipelines.recipes import find

EXAMPLES = {"instanceSchema": "title: tfx.Examples\ntype: object\n"}
MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
DESCRIBED = {
    "artifacts": {"examples": {"artifactType": EXAMPLES}, "model": {"artifactType": MODEL}}
}


@pytest.fixture
def executor_input() -> dict:
    """As Kubeflow's driver makes it: no types of inputs."""

    def artifact(uri: str, **metadata) -> dict:
        found = {"name": "7", "uri": uri, "metadata": {"display_name": "x", **metadata}}
        return {"artifacts": [found]}

    return {
        "inputs": {
            "artifacts": {
                "examples": artifact("minio://mlpipeline/v2/examples", span=3.0),
                "model": artifact("minio://mlpipeline/v2/model", absent=1.0),
            }
        },
        "outputs": {
            "artifacts": {
                "blessing": {"artifacts": [{"uri": "minio://mlpipeline/v2/b", "type": MODEL}]}
            },
            "outputFile": "/tmp/outputs.json",
        },
    }


class TestStep:
    def test_inputs_get_their_types_and_what_stands_for_none_is_left_out(self, executor_input):
        step.complete(executor_input, DESCRIBED)
        inputs = executor_input["inputs"]["artifacts"]
        assert inputs["examples"]["artifacts"][0]["type"] == EXAMPLES
        assert inputs["model"]["artifacts"] == []

    def test_several_artifacts_of_an_input_are_one_input_again(self, executor_input):
        inputs = executor_input["inputs"]["artifacts"]
        numbers = {"examples-10": "10", "examples-2": "2"}
        for name, uri in numbers.items():
            inputs[name] = {"artifacts": [{"name": "8", "uri": uri}]}
        described = {"artifacts": dict.fromkeys(["examples", "model", *numbers])}
        for name in described["artifacts"]:
            described["artifacts"][name] = {"artifactType": MODEL if name == "model" else EXAMPLES}
        step.complete(executor_input, described)
        assert sorted(inputs) == ["examples", "model"]
        uris = [each["uri"] for each in inputs["examples"]["artifacts"]]
        assert uris == ["minio://mlpipeline/v2/examples", "2", "10"]
        assert inputs["examples"]["artifacts"][2]["type"] == EXAMPLES

    def test_the_step_of_a_span_that_there_is_not_leaves_none(self, executor_input, tmp_path):
        file = tmp_path / "outputs.json"
        executor_input["outputs"]["outputFile"] = str(file)
        executor_input["inputs"]["parameterValues"] = {"span": -1.0}
        step.main(
            [
                "--executor_class_path=components.ingest.executor.Executor",
                f"--json_serialized_invocation_args={json.dumps(executor_input)}",
                "--json_serialized_inputs_spec_args={}",
            ]
        )
        (blessing,) = json.loads(file.read_text())["artifacts"]["blessing"]["artifacts"]
        assert blessing == {
            "uri": "minio://mlpipeline/v2/b",
            "type": MODEL,
            "metadata": {"absent": 1},
        }

    def test_a_step_without_inputs(self):
        step.complete({"outputs": {}}, {})

    def test_tfx_reads_what_was_completed(self, executor_input):
        kubeflow = pytest.importorskip(
            "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils"
        )
        from google.protobuf import json_format
        from kfp.pipeline_spec import pipeline_spec_pb2

        step.complete(executor_input, DESCRIBED)
        parsed = json_format.ParseDict(executor_input, pipeline_spec_pb2.ExecutorInput())
        found = kubeflow.parse_raw_artifact_dict(parsed.inputs.artifacts)
        (examples,) = found["examples"]
        assert type(examples).__name__ == "Examples"
        assert examples.span == 3
        assert found["model"] == []

    def test_the_launchers_folders_stand_for_uris(self, executor_input):
        folders = step.localised(executor_input, here=True)
        examples = executor_input["inputs"]["artifacts"]["examples"]["artifacts"][0]
        assert examples["uri"] == "/minio/mlpipeline/v2/examples"
        assert folders == {"/minio/mlpipeline/v2/b": "minio://mlpipeline/v2/b"}

    def test_workers_elsewhere_see_buckets(self, executor_input):
        before = copy.deepcopy(executor_input)
        step.localised(executor_input, here=False)
        assert executor_input == before
        assert step._computes_here(Beam().stages())
        assert step._computes_here([])
        assert not step._computes_here(Beam("dataflow").stages())

    @pytest.mark.parametrize(
        ("uri", "folder"),
        [
            ("gs://bucket/a", "/gcs/bucket/a"),
            ("minio://bucket/a", "/minio/bucket/a"),
            ("s3://bucket/a", "/s3/bucket/a"),
            ("/runs/a", "/runs/a"),
        ],
    )
    def test_folders(self, uri, folder):
        assert step.folder(uri) == folder

    def test_kubeflow_is_told_uris(self, tmp_path):
        file = tmp_path / "output_metadata.json"
        noted = {"artifacts": {"blessing": {"artifacts": [{"uri": "/minio/b", "metadata": {}}]}}}
        file.write_text(json.dumps(noted))
        step.restore(str(file), {"/minio/b": "minio://b"})
        (artifact,) = json.loads(file.read_text())["artifacts"]["blessing"]["artifacts"]
        assert artifact["uri"] == "minio://b"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Images in the IDX format, in two spans."""
    folder = tmp_path_factory.mktemp("digits")
    random = np.random.default_rng(0)
    for span in (1, 2):
        (folder / f"span-{span}").mkdir()
        for split, count in (("train", 40 * span), ("t10k", 20)):
            place = folder / f"span-{span}" / split
            images = random.integers(0, 256, (count, 28, 28), np.uint8)
            write_idx(f"{place}-images-idx3-ubyte", images)
            write_idx(f"{place}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 10)
    return folder


@pytest.fixture(scope="module")
def planned(digits, tmp_path_factory):
    """The values of all steps, of lenet on these images."""
    pytest.importorskip("kfp", reason="kfp is not installed: it needs Python 3.11 or earlier")
    from pipelines.kubeflow import plan
    from pipelines.kubeflow.compiling import compile_recipe

    root = str(tmp_path_factory.mktemp("root"))

    @functools.cache
    def expected(*compiled_with):
        file = Path(root, f"{len(compiled_with)}.yaml")
        compile_recipe(find("lenet").override(compiled_with), str(file), root=root)
        (specification,) = yaml.safe_load_all(file.read_text())
        return specification["components"]["Plan"]["outputDefinitions"]["parameters"]

    def given(*overrides, data=None, **parameters):
        return {
            "recipe": find("lenet").to_json(),
            "beam": "{}",
            "data": data or str(digits / "span-1"),
            "root": root,
            "overrides": list(overrides),
            **parameters,
        }

    def planned(*overrides, compiled_with=(), **parameters):
        return plan.plan(given(*overrides, **parameters), expected(*compiled_with))

    planned.given, planned.expected = given, expected()
    return planned


def changed(before: dict, after: dict) -> set[str]:
    """The steps whose values differ: the others come from Kubeflow's cache."""
    return {name.partition(".")[0] for name in before if before[name] != after[name]}


class TestPlan:
    def test_the_same_run_plans_the_same(self, planned):
        assert changed(planned(), planned()) == set()

    def test_only_what_an_override_concerns_is_done_again(self, planned):
        before = planned()
        assert changed(before, planned("epochs=3")) == {"Trainer"}
        assert changed(before, planned("thresholds.change=0.5")) == {"Evaluator", "Report"}
        assert changed(before, planned("data_checks.drift=0.5")) == {"ExampleValidator"}
        assert changed(before, planned("ingest.shorter_side=20")) >= {"ImageExampleGen"}

    def test_another_root_is_where_models_go(self, planned, tmp_path):
        values = planned(root=str(tmp_path))
        assert f"{tmp_path}/serving/lenet-span-1" in values["Pusher.push_destination"]
        assert values["Baseline.served"] == f"{tmp_path}/serving/lenet-span-1"
        assert values["ExampleValidator.history"].startswith(str(tmp_path))

    def test_the_files_are_known_by_a_fingerprint(self, planned, digits):
        values = planned()
        assert "num_files:4" in values["ImageExampleGen.input_fingerprint"]
        assert values["ImageExampleGen.version"] == -1
        other = planned(data=str(digits / "span-2"))
        assert "ImageExampleGen" in changed(values, other)

    def test_the_newest_span_is_taken(self, planned, digits):
        values = planned(data=str(digits / "span-{SPAN}"))
        assert values["ImageExampleGen.span"] == 2
        assert "span-2/" in values["ImageExampleGen.input_config"]
        assert values["ImageExampleGen.input_base"] == str(digits)

    def test_a_window_of_spans_and_fixed_data(self, planned, digits):
        compiled_with = ("window=3", "fixed=somewhere")
        recipe = find("lenet").override(compiled_with).to_json()
        values = planned(
            f"fixed={digits / 'span-1'}",
            compiled_with=compiled_with,
            recipe=recipe,
            data=str(digits / "span-{SPAN}"),
        )
        steps = [f"ImageExampleGen{each}" for each in ("", "-earlier-1", "-earlier-2", "-fixed")]
        assert [values[f"{step}.span"] for step in steps] == [2, 1, -1, 0]
        configs = [values[f"{step}.input_config"] for step in steps]
        assert "span-2/" in configs[0]
        assert "span-1/" in configs[1]
        assert values["ImageExampleGen-fixed.input_base"] == str(digits / "span-1")
        files = ["num_files:4" in values[f"{step}.input_fingerprint"] for step in steps]
        assert files == [True, True, False, True]

    def test_another_model_under_the_name_ends_the_run_at_once(self, planned, digits, tmp_path):
        model = tmp_path / "serving" / "mine" / "7"
        (model / "assets").mkdir(parents=True)
        (model / "saved_model.pb").touch()
        (model / "assets" / "task.json").write_text('{"task": "depth"}')
        with pytest.raises(RecipeError, match=r"another task: depth.*served_name=mine-2"):
            planned("served_name=mine", root=str(tmp_path))
        (model / "assets" / "task.json").unlink()
        (model / "assets" / "labels.txt").write_text("cat\ndog\n")
        with pytest.raises(RecipeError, match=r"mine is served with other classes"):
            planned("served_name=mine", root=str(tmp_path))
        planned("served_name=mine", "data_checks.other_classes=12", root=str(tmp_path))

    def test_folders_of_one_name_are_told_apart(self, planned, digits, tmp_path):
        def about(name, data):
            entry = tmp_path / "pipelines" / name / "verdicts" / "1"
            entry.mkdir(parents=True, exist_ok=True)
            dataset = json.dumps({"dataset": str(data), "ingest": {}})
            (entry / "about.json").write_text(json.dumps({"dataset": dataset, "examples": "a"}))

        # So an earlier version has run it.
        about("lenet", digits / "span-1")
        values = planned(root=str(tmp_path))
        assert values["Baseline.served"] == f"{tmp_path}/serving/lenet"
        model = tmp_path / "serving" / "lenet-span-1" / "7"
        (model / "assets").mkdir(parents=True)
        (model / "saved_model.pb").touch()
        about("lenet-span-1", "/elsewhere/span-1")
        with pytest.raises(RecipeError, match=r"from a training on /elsewhere/span-1"):
            planned(root=str(tmp_path))

    def test_overrides_that_cannot_be(self, planned):
        with pytest.raises(RecipeError, match="epochs"):
            planned("epochz=3")
        with pytest.raises(RecipeError, match="may not run the code of shutil"):
            planned("model=shutil:copyfile")
        with pytest.raises(RecipeError, match="compile it anew"):
            planned("tune.trials=2", recipe=find("lenet-relu").to_json())
        with pytest.raises(RecipeError, match="compile it anew"):
            planned("fixed=mnist")

    def test_values_are_written_where_kubeflow_reads_them(self, planned, tmp_path, capsys):
        from pipelines.kubeflow import plan

        def run(*overrides) -> int:
            outputs = {name: {"outputFile": f"{tmp_path}/a/{name}"} for name in planned.expected}
            given = {"parameterValues": planned.given(*overrides)}
            executor_input = {"inputs": given, "outputs": {"parameters": outputs}}
            return plan.main(["--executor-input", json.dumps(executor_input)])

        assert run() == 0
        assert (tmp_path / "a/ImageExampleGen.output_data_format").read_text() == "6"
        config = json.loads((tmp_path / "a/Trainer.custom_config").read_text())
        assert json.loads(config["recipe"])["name"] == "lenet"
        assert run("epochz=3") == 1
        assert "did you mean epochs" in capsys.readouterr().err


class TestFinish:
    def end(self, root, *more, state="COMPLETE"):
        status = json.dumps({"state": state, "error": {"message": "no images"}})
        names = ("--recipe=lenet", "--run=run-1", f"--root={root}", f"--status={status}")
        assert finish.main([*names, *more]) == 0
        return json.loads((root / "kubeflow/run-1.json").read_text())

    def test_how_the_run_ended_is_kept(self, tmp_path):
        assert self.end(tmp_path)["succeeded"] is True
        failed = self.end(tmp_path, state="FAILED")
        assert failed["succeeded"] is False
        assert failed["error"] == "no images"

    def test_the_webhook_is_told(self, tmp_path):
        noted = []

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                noted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Hook) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}/"
            kept = self.end(tmp_path, f"--webhook={url}")
            server.shutdown()
        assert noted == [kept]

    def test_a_webhook_that_is_not_there_changes_nothing(self, tmp_path, capsys):
        assert self.end(tmp_path, "--webhook=http://127.0.0.1:9/")["succeeded"] is True
        assert "webhook" in capsys.readouterr().err
