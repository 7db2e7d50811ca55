"""`convnets papers`: hundreds of figures, those with a run of ours first."""

import dataclasses
import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from components.judge import benchmarks, results
from pipelines import cli
from pipelines.console import screens

CIFAR = {"recipe": "vgg", "size": "small", "dataset": "cifar10", "full_data": True}
NAMES = ("krizhevsky2012-1cnn-top5", "he2015b-cifar-resnet20")


@pytest.fixture
def root(tmp_path):
    rows = [
        results.compare(row, {"error": 0.0812, "top5_error": 0.0034}, CIFAR, "1-crop")
        for row in benchmarks.find(NAMES)
    ]
    judgement = {**CIFAR, "examples": 10_000, "rows": rows}
    (tmp_path / "judgement.json").write_text(json.dumps(judgement))
    (tmp_path / "runs").mkdir()
    run = {**CIFAR, "started": "2026-11-23T12:00", "judgement": str(tmp_path / "judgement.json")}
    (tmp_path / "runs" / "1.json").write_text(json.dumps(run))
    return tmp_path


@pytest.fixture
def papers(root, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words, code=0):
        result = CliRunner().invoke(cli.main, ["papers", *words, "--root", str(root)])
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_what_was_run_comes_first(papers):
    text = papers()
    assert text.index("8.12 %") < text.index("Without a run of ours") < text.index("LeNet-5")
    assert "-0.63" in text


def test_data_on_which_we_did_not_run_has_no_difference(papers):
    text = papers("krizhevsky", "imagenet2012").partition("Without a run of ours")[0]
    # The run on CIFAR-10 was set beside AlexNet's figure; that says nothing, and it says so.
    assert "not comparable: other data" in " ".join(text.replace("\n", " ").split())
    assert "-17" not in text and "+" not in text
    assert "10-crop" in text and "imagenet2012" in text


def test_words_choose(papers):
    text = papers("norb")
    assert "norb" in text and "LeNet" not in text
    assert "GoogLeNet" in papers("szegedy")
    assert "LeNet-5" not in papers("szegedy")
    text = papers("zzz", code=1)
    assert "no published figure is about zzz" in text
    assert "cifar10, cifar100" in text


def test_words_narrow_each_other():
    both = screens.figures_about(["ciresan", "mnist"])
    assert {figure.data for figure in both} == {"mnist"}
    assert all("Ciresan" in figure.paper for figure in both)
    assert screens.figures_about([]) == list(benchmarks.all_benchmarks().values())


@pytest.mark.parametrize("verified", benchmarks.VERIFIED)
def test_a_figure_that_nobody_has_seen_in_the_paper_says_so(verified):
    (figure,) = benchmarks.find(["lecun1998-linear"])
    figure = dataclasses.replace(figure, verified=verified)
    row = results.compare(figure, {"error": 0.1}, CIFAR, "1-crop")
    unverified = verified == "no"
    assert ("not verified" in _printed(screens.papers_screen([figure], []))) == unverified
    judgement = {**CIFAR, "examples": 10_000, "rows": [row]}
    assert ("not verified" in _printed(screens.judged([judgement]))) == unverified
    # A judgement that an earlier version has written.
    del row["verified"]
    assert "not verified" not in _printed(screens.judged([judgement]))


def _printed(screen):
    console = Console(width=120, file=io.StringIO())
    console.print(screen)
    return " ".join(console.file.getvalue().split())
