import pytest
from tfx.types import standard_artifacts

from components.baseline import PreviousBlessedModel


def model(number: int) -> standard_artifacts.Model:
    artifact = standard_artifacts.Model()
    artifact.id = number
    return artifact


def blessing(of: int, blessed: int) -> standard_artifacts.ModelBlessing:
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property("current_model_id", of)
    artifact.set_int_custom_property("blessed", blessed)
    return artifact


@pytest.mark.parametrize(
    ("blessed", "candidate", "expected"),
    [
        ({}, 1, []),
        ({1: 1}, 1, []),
        ({1: 1}, 2, [1]),
        ({1: 1, 2: 1}, 2, [1]),
        ({1: 1, 2: 1, 3: 0}, 3, [2]),
        ({1: 1, 2: 1, 3: 1}, 1, [3]),
        ({1: 0}, 2, []),
    ],
)
def test_the_newest_blessed_model_but_the_candidate(blessed, candidate, expected):
    inputs = {
        "model": [model(number) for number in sorted({*blessed, candidate}, reverse=True)],
        "model_blessing": [blessing(*pair) for pair in blessed.items()],
        "candidate": [model(candidate)],
    }
    found = PreviousBlessedModel().resolve_artifacts(None, inputs)
    assert [artifact.id for artifact in found["model"]] == expected
    assert [
        artifact.get_int_custom_property("current_model_id") for artifact in found["model_blessing"]
    ] == expected
