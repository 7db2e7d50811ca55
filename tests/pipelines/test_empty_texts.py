"""An empty text, as of a variable that is not set, is never the current folder."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from components.ingest import sources
from convnets import models as python_models
from pipelines import cli, exports, models
from pipelines.exports import places
from pipelines.predictions import pictures


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "lenet-relu", "--data", ""],
        ["run", "lenet-relu", "--root", ""],
        ["compile", "lenet-relu", "--image", "x", "--output", ""],
        ["predict", "", "--model", "x"],
        ["predict", "a.png", "--model", ""],
        ["predict", "a.png", "--csv", ""],
        ["predict", "a.png", "--draw", ""],
        ["evaluate", "", "--data", "mnist"],
        ["data", "inspect", ""],
        ["data", "inspect", "mnist", "--sheet", ""],
        ["tensorboard", "--root", ""],
        ["history", "--root", ""],
    ],
)
def test_a_command_takes_no_empty_text(arguments, tmp_path, monkeypatch):
    (tmp_path / "a.png").touch()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code != 0
    assert "empty text" in result.output or "does not exist" in result.output, result.output
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


def test_data_and_models_and_places_are_not_empty():
    with pytest.raises(sources.SourceError, match="not an empty text"):
        sources.resolve("")
    with pytest.raises(ValueError, match="not an empty text"):
        models.find("", Path("runs"))
    with pytest.raises(ValueError, match="not an empty text"):
        places.chosen(exports.find("keras"), "lenet", None, "")


def test_an_empty_text_among_images_is_a_picture_with_an_error(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    (found,) = python_models._pictures([""])
    assert found == pictures.of("") and found.name == "image 0"
