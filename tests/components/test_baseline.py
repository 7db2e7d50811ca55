"""Which model a candidate is measured against, asked of a real metadata store."""

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto
from tfx.types import standard_artifacts

from components.baseline import ServedModel


def blessing(of: int, blessed: int) -> standard_artifacts.ModelBlessing:
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property("current_model_id", of)
    artifact.set_int_custom_property("blessed", blessed)
    return artifact


class Metadata:
    """A store in memory, and what was written to it."""

    def __init__(self):
        config = proto.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = metadata_store.MetadataStore(config)
        self._type = self.store.put_artifact_type(proto.ArtifactType(name="Any"))
        self._execution = self.store.put_execution_type(proto.ExecutionType(name="Push"))

    def artifact(self) -> int:
        return self.store.put_artifacts([proto.Artifact(type_id=self._type)])[0]

    def pushed(self, model: int, version: int, folder) -> standard_artifacts.PushedModel:
        number = self.artifact()
        execution = proto.Execution(type_id=self._execution)
        (execution_id,) = self.store.put_executions([execution])
        pairs = ((model, proto.Event.INPUT), (number, proto.Event.OUTPUT))
        self.store.put_events(
            [proto.Event(artifact_id=each, execution_id=execution_id, type=k) for each, k in pairs]
        )
        push = standard_artifacts.PushedModel()
        push.id = number
        push.set_int_custom_property("pushed", 1)
        push.set_string_custom_property("pushed_version", str(version))
        push.set_string_custom_property("pushed_destination", str(folder / str(version)))
        return push


def models(numbers) -> list[standard_artifacts.Model]:
    found = []
    for number in numbers:
        artifact = standard_artifacts.Model()
        artifact.id = number
        found.append(artifact)
    return found


def resolved(metadata, blessed, candidate, pushes=()) -> int | None:
    inputs = {
        "model": models(sorted({*blessed, candidate}, reverse=True)),
        "model_blessing": [blessing(*pair) for pair in blessed.items()],
        "candidate": models([candidate]),
        "pushed": list(pushes),
    }
    found = ServedModel().resolve_artifacts(metadata.store, inputs)
    chosen = [artifact.id for artifact in found["model"]]
    assert [
        artifact.get_int_custom_property("current_model_id") for artifact in found["model_blessing"]
    ] == chosen
    return chosen[0] if chosen else None


@pytest.mark.parametrize(
    ("blessed", "candidate", "expected"),
    [
        ({}, 1, None),
        ({1: 1}, 1, None),
        ({1: 1}, 2, 1),
        ({1: 1, 2: 1}, 2, 1),
        ({1: 1, 2: 1, 3: 0}, 3, 2),
        ({1: 1, 2: 1, 3: 1}, 1, 3),
        ({1: 0}, 2, None),
    ],
)
def test_while_nothing_is_served_the_newest_blessed_model_but_the_candidate(
    blessed, candidate, expected
):
    assert resolved(Metadata(), blessed, candidate) == expected


def test_a_model_that_one_of_two_evaluators_refuses_is_no_measure():
    metadata = Metadata()
    verdicts = [(1, "Evaluator", 1), (1, "Evaluator-fixed", 1)]
    verdicts += [(2, "Evaluator", 0), (2, "Evaluator-fixed", 1)]
    # Refused at first, and blessed when less was asked for.
    verdicts += [(3, "Evaluator", 0), (3, "Evaluator-fixed", 1), (3, "Evaluator", 1)]

    def chosen(candidate: int) -> int:
        blessings = []
        for number, (model, evaluator, blessed) in enumerate(verdicts):
            made = blessing(model, blessed)
            made.id, made.uri = number, f"/root/pipelines/net/{evaluator}/blessing/{number}"
            blessings.append(made)
        inputs = {"model": models([1, 2, 3]), "model_blessing": blessings[::-1], "pushed": []}
        inputs["candidate"] = models([candidate])
        (found,) = ServedModel().resolve_artifacts(metadata.store, inputs)["model"]
        return found.id

    assert chosen(4) == 3
    assert chosen(3) == 1


@pytest.fixture
def three(tmp_path):
    """Three models that were blessed and pushed as the versions 11, 12 and 13."""
    metadata = Metadata()
    numbers = [metadata.artifact() for _ in range(3)]
    for version in (11, 12, 13):
        (tmp_path / str(version)).mkdir()
    pushes = [
        metadata.pushed(model, version, tmp_path)
        for model, version in zip(numbers, (11, 12, 13), strict=True)
    ]
    return metadata, numbers, pushes, tmp_path


def test_the_served_model_is_that_of_the_highest_version_on_the_disk(three):
    metadata, numbers, pushes, folder = three
    blessed = dict.fromkeys(numbers, 1)
    candidate = max(numbers) + 100
    assert resolved(metadata, blessed, candidate, pushes) == numbers[2]
    (folder / "13").rename(folder / ".13")
    assert resolved(metadata, blessed, candidate, pushes) == numbers[1]


def test_the_served_model_is_not_measured_against_itself(three):
    metadata, numbers, pushes, _ = three
    blessed = dict.fromkeys(numbers, 1)
    assert resolved(metadata, blessed, numbers[2], pushes) == numbers[1]


def test_a_model_that_was_blessed_and_not_pushed_is_not_served(three):
    metadata, numbers, pushes, _ = three
    refused_by_the_canary = max(numbers) + 50
    blessed = dict.fromkeys((*numbers, refused_by_the_canary), 1)
    assert resolved(metadata, blessed, refused_by_the_canary + 1, pushes) == numbers[2]
