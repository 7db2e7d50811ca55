"""`convnets history` on a metadata store as runs leave it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto

from pipelines import cli
from pipelines.history import lineage, rollback

INPUT, OUTPUT = proto.Event.INPUT, proto.Event.OUTPUT


class Metadata:
    """ML Metadata with what TFX writes, as far as it is read."""

    def __init__(self, root: Path):
        self.root = root
        config = proto.ConnectionConfig()
        config.sqlite.filename_uri = str(root / "metadata.sqlite")
        config.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = metadata_store.MetadataStore(config)

    def artifact(self, name: str, uri: str = "", **properties) -> int:
        kind = self.store.put_artifact_type(proto.ArtifactType(name=name))
        artifact = proto.Artifact(type_id=kind, uri=uri)
        _set(artifact, properties)
        return self.store.put_artifacts([artifact])[0]

    def execution(self, name: str, inputs, outputs, **properties) -> None:
        kind = self.store.put_execution_type(proto.ExecutionType(name=name))
        execution = proto.Execution(type_id=kind)
        _set(execution, properties)
        (number,) = self.store.put_executions([execution])
        pairs = [(each, INPUT) for each in inputs] + [(each, OUTPUT) for each in outputs]
        self.store.put_events(
            [proto.Event(artifact_id=each, execution_id=number, type=kind) for each, kind in pairs]
        )

    def version(
        self, number: int, epochs: int, spans, code: str | None, error: float, rate: float = 0.0
    ) -> None:
        """What a run leaves that pushes a version; `rate` is one that a search has found."""
        examples = [
            self.artifact(
                "Examples",
                span=span,
                train_examples=48,
                test_examples=12,
                input_fingerprint=f"print-{span}",
            )
            for span in spans
        ]
        recipe = {"name": "lenet", "size": "small", "dataset": "p/{SPAN}", "epochs": epochs}
        # A key by the name that it had once, and by the one that it has.
        recipe["dense" if epochs == 1 else "fully_convolutional"] = False
        model = self.artifact("Model", f"/models/{number}")
        outputs = [model]
        if rate:
            recipe["optimizer"] = {"learning_rate": 0.5}
            noted = self.root / f"model-run-{number}"
            noted.mkdir()
            trained = recipe | {"optimizer": {"learning_rate": rate}}
            (noted / "recipe.json").write_text(json.dumps(trained))
            outputs.append(self.artifact("ModelRun", str(noted)))
        properties = {"custom_config": json.dumps({"recipe": json.dumps(recipe)})}
        if code:
            properties["code"] = code
        self.execution("tfx.components.trainer.component.Trainer", examples, outputs, **properties)
        folder = self.root / f"judgement-{number}"
        folder.mkdir()
        metrics = {"error": error, "top5_error": None}
        (folder / "judgement.json").write_text(json.dumps({"metrics": metrics}))
        judgement = self.artifact("components.Judgement", str(folder))
        self.execution("components.judge.component.Judge", [model, examples[0]], [judgement])
        served = self.root / "serving" / "lenet" / str(number)
        served.mkdir(parents=True)
        push = self.artifact(
            "PushedModel", pushed=1, pushed_destination=str(served), pushed_version=str(number)
        )
        pusher = "tfx.components.pusher.component.Pusher"
        self.execution(pusher, [model], [push])
        # A later run, which takes it from the cache.
        self.execution(pusher, [model], [push])


def _set(node, properties) -> None:
    for key, value in properties.items():
        if isinstance(value, int):
            node.custom_properties[key].int_value = value
        else:
            node.custom_properties[key].string_value = value


@pytest.fixture
def root(tmp_path):
    metadata = Metadata(tmp_path)
    metadata.version(11, 1, [1], None, 0.5)
    metadata.version(12, 3, [2, 1], "0.1.0, commit abc", 0.25)
    metadata.artifact("PushedModel", pushed=0)
    return tmp_path


def test_each_version_with_what_made_it(root):
    newer, older = lineage.versions(root, "lenet")
    assert (newer.version, newer.state, newer.code) == ("12", "served", "0.1.0, commit abc")
    assert [(each.span, each.images) for each in newer.data] == [(2, 60), (1, 60)]
    assert newer.data[0].fingerprint == "print-2"
    assert newer.figures == {"error": 0.25}
    assert newer.model == "/models/12"
    assert (older.version, older.state, older.code) == ("11", "older", None)
    assert lineage.changes(newer.recipe, older.recipe) == ["epochs: 1 -> 3"]


def test_the_recipe_has_the_values_that_a_search_has_found(root):
    Metadata(root).version(13, 3, [2], None, 0.2, rate=0.125)
    newest, before, _ = lineage.versions(root, "lenet")
    assert newest.recipe["optimizer"] == {"learning_rate": 0.125}
    assert "optimizer.learning_rate: null -> 0.125" in lineage.changes(newest.recipe, before.recipe)
    result = CliRunner().invoke(cli.main, ["history", "lenet", "--json", "--root", str(root)])
    assert json.loads(result.output)[0]["recipe"]["optimizer"] == {"learning_rate": 0.125}
    (root / "model-run-13" / "recipe.json").unlink()
    assert lineage.versions(root, "lenet")[0].recipe["optimizer"] == {"learning_rate": 0.5}


def test_the_states_follow_the_disk(root):
    rollback.go_to(root, "lenet")
    assert [each.state for each in lineage.versions(root, "lenet")] == ["taken back", "served"]
    (root / "serving" / "lenet" / ".12").rmdir()
    assert [each.state for each in lineage.versions(root, "lenet")] == ["gone", "served"]


def test_the_command_prints_it_and_gives_it_to_programs(root, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    printed = CliRunner().invoke(cli.main, ["history", "--root", str(root)])
    assert printed.exit_code == 0, printed.output
    for words in ("epochs: 1 -> 3", "span 2, 60 images", "25.00 %", "commit abc", "not noted"):
        assert words in printed.output
    assert "test error" in printed.output
    result = CliRunner().invoke(cli.main, ["history", "lenet", "--json", "--root", str(root)])
    assert [each["version"] for each in json.loads(result.output)] == ["12", "11"]


def test_a_model_that_is_not_there(root, tmp_path):
    with pytest.raises(ValueError, match="known: lenet"):
        lineage.versions(root, "vgg16")
    with pytest.raises(ValueError, match="did you mean lenet"):
        lineage.versions(root, "lennet")
    with pytest.raises(ValueError, match="convnets run RECIPE"):
        lineage.versions(tmp_path / "empty", "vgg16")
