"""`convnets claims`: what it takes, prints and leaves."""

import dataclasses

import pytest
from click.testing import CliRunner

from pipelines import claims, cli
from pipelines.claims._parts import of_net
from pipelines.recipe import RecipeError


def convnets(*arguments, code=0):
    result = CliRunner().invoke(cli.main, ["claims", *arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def tiny(monkeypatch):
    """The claim about dropout alone, in seconds."""
    whole = claims.find("regularization")
    dense = {"train_images": 60, "test_images": 60, "epochs": 2, "batch_size": 20}
    claim = dataclasses.replace(
        whole,
        variants={
            name: of_net("Dense", "mnist", 8, {"units": [20], "drop": drop}, **dense)
            for name, drop in (("large", "none"), ("dropout", "out"))
        },
        comparisons=whole.comparisons[:1],
        seeds=(0, 1, 2),
    )
    monkeypatch.setattr(claims, "all_claims", lambda: {claim.name: claim})
    return claim


def test_a_claim_is_found_with_and_without_its_prefix():
    assert claims.find("depth") is claims.find("claim-depth")
    with pytest.raises(RecipeError, match="did you mean claim-depth"):
        claims.find("dept")


def test_an_unknown_claim_and_a_time_without_unit_are_refused():
    assert "claim-depth" in convnets("dept", code=1)
    assert "no time such as 90s, 10m or 2h" in convnets("depth", "--budget", "10", code=2)
    assert "no time" in convnets("depth", "--budget", "0m", code=2)


def test_the_help_names_every_claim():
    text = convnets("--help")
    assert all(name in text for name in claims.all_claims())


@pytest.mark.parametrize("command", ["run", "show"])
def test_a_claim_that_is_taken_for_a_recipe_is_pointed_at_its_command(command):
    result = CliRunner().invoke(cli.main, [command, "claim-regularization"])
    assert result.exit_code == 1
    assert "no recipe but a claim: convnets claims claim-regularization" in result.output


def test_a_claim_is_tried_and_gone_on_with_and_reported(tiny, tmp_path):
    root = ["--root", str(tmp_path)]
    first = convnets("regularization", *root, "--budget", "0.000001s")
    assert "not tried  (0 of 6 trainings, 0 min)" in first
    assert "Not tried: large, dropout with seeds 0, 1, 2." in first
    second = " ".join(convnets(*root, "--budget", "5m").split())
    assert "claim-regularization dropout, seed 2" in second
    assert "(6 of 6 trainings" in second
    assert "Dropout narrows the gap" in second
    page = (tmp_path / "claims" / "index.html").read_text()
    assert page.count("<svg") == 3
    third = convnets(*root)
    assert "seed 2:" not in third
