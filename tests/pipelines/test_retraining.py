"""A retrained model replaces the served one only if it is as good, on new and on fixed data."""

import html
import json
from pathlib import Path

import pytest

from components.ingest.sources import prepare, resolve
from components.judge import results
from pipelines import judging, recipes
from pipelines.history import lineage, rollback
from tests.odd_names import NAMES
from tests.pipelines.forge import Forge, new_run, photos


@pytest.fixture(scope="module")
def forge():
    made = Forge()
    yield made
    made.close()


def summary(run) -> dict:
    return json.loads(run.summary.read_text())


@pytest.mark.slow
def test_only_a_model_that_is_as_good_replaces_the_served_one(forge, tmp_path):
    for span in (1, 2):
        photos(tmp_path / f"span-{span}", seed=span)
    root = tmp_path / "root"
    recipe = recipes.find("lenet-relu").on_data(str(tmp_path / "span-{SPAN}"))
    recipe = recipe.override(["batch_size=8", f"fixed={tmp_path / 'span-1'}"])

    def ran(*settings):
        run = new_run(root)
        forge.start(run, recipe.override(settings))
        assert forge.end() == 0, run.log.read_text()[-3000:]
        return summary(run)

    # Of so few test images nearly all would have to be right.
    anyhow = "thresholds.chance=null"
    good = ran("epochs=12", anyhow)
    assert good["blessed"] and len(good["why"]) == 5
    # Twelve epochs tell a cat from coffee, and none at a rate of next to nothing do.
    rate = "optimizer.learning_rate"
    useless = (f"{rate}.warmup_target=1e-12", f"{rate}.initial_learning_rate=1e-12")
    worse = ran("epochs=1", *useless, "thresholds.change=0.0")
    assert worse["blessed"] is False
    needed = "not enough: needs 85.7 %: the most frequent class alone gets 57.1 % of 14 test images"
    assert needed in worse["why"][0]
    assert any("on the fixed data: the model before has" in why for why in worse["why"])
    assert worse["version"] is None
    page = html.unescape(Path(worse["report"]).read_text())
    assert results.needed_line(json.loads(Path(worse["judgement"]).read_text())) in page
    assert "The served model stays" in page and "on the fixed data" in page
    (version,) = lineage.versions(root, recipe.model_name)
    assert (version.version, version.state) == (good["version"], "served")
    assert version.code and version.data[0].span == 2

    another = ran("epochs=12", "seed=1", "thresholds.change=1.0", anyhow)
    assert another["blessed"] and another["version"] != good["version"]
    assert "Fit to replace the served model" in Path(another["report"]).read_text()
    rollback.go_to(root, recipe.model_name)
    # The same once more: the model that was taken back is not pushed again.
    again = ran("epochs=12", "seed=1", "thresholds.change=1.0", anyhow)
    assert again["blessed"] is False
    assert "taken back" in again["why"][-1]
    states = {each.version: each.state for each in lineage.versions(root, recipe.model_name)}
    assert states == {another["version"]: "taken back", good["version"]: "served"}


@pytest.mark.slow
def test_a_run_in_a_root_with_an_odd_name(forge, tmp_path, monkeypatch):
    """All stages, and what is asked of the run afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    odd = tmp_path.joinpath(*NAMES)
    root = odd / "root"
    recipe = recipes.find("lenet-relu").on_data(photos(odd / "data"))
    recipe = recipe.override(["batch_size=8", "epochs=1", "thresholds.chance=null"])

    def ran(*settings):
        run = new_run(root)
        forge.start(run, recipe.override(settings), cache=str(tmp_path / "cache"))
        assert forge.end() == 0, run.log.read_text()[-3000:]
        return summary(run)

    first = ran()
    assert {each["state"] for each in first["stages"]} == {"done"}
    assert {each["state"] for each in ran()["stages"]} == {"done", "cached"}
    (version,) = lineage.versions(root, recipe.model_name)
    served = root / "serving" / recipe.model_name
    assert (served / version.version / "saved_model.pb").exists()
    judgement = judging.judge_models([served], "lenet-relu", root)
    assert judgement["needed"]["metric"] == "accuracy"
    assert 0 <= judgement["metrics"]["error"] <= 1


def test_fixed_data_bring_an_evaluator_whose_blessing_is_needed(tmp_path):
    from pipelines.build import create_pipeline
    from pipelines.paths import Paths
    from pipelines.recipe import RecipeError

    data = photos(tmp_path / "all")
    recipe = recipes.find("lenet-relu").on_data(data).override([f"fixed={data}"])
    source = prepare(resolve(data))
    pipeline = create_pipeline(recipe, source, Paths(str(tmp_path / "root")), fixed=source)
    components = {component.id: component for component in pipeline.components}
    assert {"ImageExampleGen-fixed", "Evaluator-fixed"} <= components.keys()
    blessing = components["Pusher"].inputs["model_blessing"]
    producers = {channel.producer_component_id for channel in blessing.channels}
    assert producers == {"Evaluator", "Evaluator-fixed"}
    with pytest.raises(RecipeError, match="fixed"):
        create_pipeline(recipe, source, Paths(str(tmp_path / "root")))


def test_a_schedule_as_a_recurring_run_of_kubeflow():
    pytest.importorskip("kfp")
    from pipelines.scheduling import export
    from pipelines.scheduling.definition import Definition

    made = Definition("nightly", "lenet", cron="30 3 * * 1-5", fixed="gs://bucket/span-1")
    bucket = "gs://bucket/runs"
    body = json.loads(export.export(made, Path("/unused"), "kfp", "registry/convnets:1", bucket))
    assert body["display_name"] == "nightly"
    assert body["trigger"]["cron_schedule"]["cron"] == "0 30 3 * * 1-5"
    executors = body["pipeline_spec"]["deploymentSpec"]["executors"].values()
    assert {each["container"]["image"] for each in executors} == {"registry/convnets:1"}
    assert "Evaluator-fixed" in body["pipeline_spec"]["components"]
