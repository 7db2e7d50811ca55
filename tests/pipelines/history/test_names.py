"""The name under which a model is served, in roots of this and of earlier versions."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.ingest.readers import reader
from components.ingest.sources import resolve
from pipelines import recipes
from pipelines.history import names, runs
from pipelines.history.names import NameTaken

LENET = recipes.find("lenet")
DEPTH = recipes.find("eigen-depth")


def serve(root: Path, name: str, *classes: str, task: str = "classification") -> None:
    """What a push leaves."""
    assets = root / "serving" / name / "7" / "assets"
    assets.mkdir(parents=True)
    (assets.parent / "saved_model.pb").touch()
    (assets / "task.json").write_text(json.dumps({"task": task}))
    if classes:
        (assets / "labels.txt").write_text("".join(f"{each}\n" for each in classes))
    (root / "pipelines" / name).mkdir(parents=True, exist_ok=True)


def remember(root: Path, recipe, pushed: bool = True, **more: str | None) -> None:
    """The summary of a run; without `more` as earlier versions wrote it."""
    folder = root / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    number = len([*folder.iterdir()])
    summary = {
        "run_id": f"run-{number}",
        "recipe": recipe.name,
        "size": recipe.size,
        "dataset": recipe.dataset,
        "started": f"2026-11-23T12:00:{number:02d}",
        "pushed": str(root / "serving" / recipe.name / "7") if pushed else None,
        **more,
    }
    (folder / f"{number}.json").write_text(json.dumps(summary))


def ran(root: Path, recipe, pushed: bool = True) -> None:
    """The summary of a run of today."""
    remember(root, recipe, pushed, served_name=recipe.model_name, data_origin=recipe.data_origin)


def folder_of(path: Path, *classes: str) -> str:
    for each in classes:
        (path / each).mkdir(parents=True)
        (path / each / "1.png").touch()
    return str(path)


def test_in_a_new_root_any_name_is_free(tmp_path):
    for recipe in (LENET, LENET.on_data("photos"), LENET.override(["served_name=x"])):
        assert names.in_root(recipe, tmp_path) == recipe
        names.check(recipe, tmp_path)


@pytest.mark.parametrize("pushed", [True, False])
def test_what_an_earlier_version_has_run_goes_on_under_its_name(pushed, tmp_path):
    recipe = LENET.on_data(str(tmp_path / "photos"))
    remember(tmp_path, replace(recipe, data_origin=None), pushed)
    if pushed:
        serve(tmp_path, "lenet", "cat", "dog")
    found = names.in_root(recipe, tmp_path)
    assert found == replace(recipe, served_name="lenet")
    names.check(found, tmp_path)
    (note,) = names.note(recipe, found)
    assert "served as lenet" in note and "--name lenet-photos" in note
    # And so it does when it has run once more.
    ran(tmp_path, found)
    assert names.in_root(recipe, tmp_path) == found
    assert names.note(found, found) == []
    assert [each["run_id"] for each in runs.of_model(tmp_path, "lenet")] == ["run-0", "run-1"]


def test_a_name_of_their_own_is_kept_by_data_that_have_it(tmp_path):
    recipe = LENET.on_data(str(tmp_path / "photos"))
    remember(tmp_path, recipe)
    serve(tmp_path, "lenet-photos", "cat", "dog")
    assert names.in_root(recipe, tmp_path) == recipe


def test_data_whose_model_was_replaced_get_a_name_of_their_own(tmp_path):
    recipe = LENET.on_data(str(tmp_path / "photos"))
    remember(tmp_path, recipe)
    remember(tmp_path, LENET)
    assert names.in_root(recipe, tmp_path) == recipe
    assert names.in_root(LENET, tmp_path) == LENET


def test_spans_and_links_are_the_same_data(tmp_path):
    (tmp_path / "photos-1" / "span-1").mkdir(parents=True)
    (tmp_path / "photos").symlink_to(tmp_path / "photos-1")
    recipe = LENET.on_data(str(tmp_path / "photos" / "span-{SPAN}"))
    # As earlier versions have noted it: without links.
    remember(tmp_path, LENET.on_data(str(tmp_path / "photos-1" / "span-{SPAN}")))
    assert names.in_root(recipe, tmp_path).model_name == "lenet"
    ran(tmp_path / "root", recipe)
    serve(tmp_path / "root", recipe.model_name, "cat", "dog")
    names.check(recipe, tmp_path / "root")
    # The link goes to newer data: they are called the same.
    (tmp_path / "photos-2").mkdir()
    (tmp_path / "photos").unlink()
    (tmp_path / "photos").symlink_to(tmp_path / "photos-2")
    names.check(recipe, tmp_path / "root")


def test_two_folders_of_one_name_are_not_mixed_up(tmp_path):
    first, second = (LENET.on_data(str(tmp_path / each / "photos")) for each in "ab")
    assert first.model_name == second.model_name == "lenet-photos"
    ran(tmp_path, first)
    serve(tmp_path, "lenet-photos", "cat", "dog")
    names.check(first, tmp_path)
    with pytest.raises(NameTaken) as error:
        names.check(second, tmp_path)
    text = str(error.value)
    assert f"from a training on {tmp_path}/a/photos, and these data are {tmp_path}/b/photos" in text
    assert "To keep both" in text and "--name lenet-photos-2" in text
    assert text.endswith("if these data are to replace it, --name lenet-photos says so")
    said = second.override(["served_name=lenet-photos"])
    names.check(said, tmp_path)
    # From then on these are the data of that name.
    ran(tmp_path, said)
    names.check(second, tmp_path)
    with pytest.raises(NameTaken):
        names.check(first, tmp_path)


def test_a_run_that_pushed_nothing_gives_a_name_to_no_data(tmp_path):
    first, second = (LENET.on_data(str(tmp_path / each / "photos")) for each in "ab")
    ran(tmp_path, first, pushed=False)
    names.check(second, tmp_path)
    serve(tmp_path, "lenet-photos", "cat", "dog")
    ran(tmp_path, second)
    ran(tmp_path, first, pushed=False)
    names.check(second, tmp_path)


def test_a_recipes_own_data_do_not_replace_others_in_silence(tmp_path):
    remember(tmp_path, LENET.on_data(str(tmp_path / "photos")))
    serve(tmp_path, "lenet", *map(str, range(10)))
    with pytest.raises(NameTaken, match=r"photos, and these data are mnist\. .*--name lenet-2"):
        names.check(LENET, tmp_path)


@pytest.mark.parametrize(
    ("recipe", "served"), [(LENET, "depth"), (DEPTH, "classification"), (LENET, "telepathy")]
)
def test_another_task_than_the_served_models_stops_a_run(recipe, served, tmp_path):
    recipe = recipe.override(["served_name=mine"])
    names.check(recipe, tmp_path)
    serve(tmp_path, "mine", task=served)
    with pytest.raises(NameTaken, match=rf"mine is served.*{served}.*--name mine-2"):
        names.check(recipe, tmp_path)


def test_other_classes_stop_a_run_before_a_picture_is_read(tmp_path):
    # The pictures are no pictures: the folders are all that is looked at.
    data = folder_of(tmp_path / "photos", "cat", "owl")
    recipe = LENET.on_data(data)
    serve(tmp_path, "lenet-photos", "cat", "dog")
    folder = str(tmp_path / "serving" / "lenet-photos")
    listed = reader(resolve(data)).labels
    with pytest.raises(NameTaken) as error:
        names.check_classes(recipe, folder, listed)
    text = str(error.value)
    assert "lenet-photos is served with other classes (version 7); apart are dog, owl" in text
    assert "--name lenet-photos-2" in text
    assert text.endswith("--set data_checks.other_classes=2 replaces it")
    names.check_classes(recipe.override(["data_checks.other_classes=2"]), folder, listed)
    names.check_classes(recipe, folder, ["cat", "dog"])
    names.check_classes(recipe, str(tmp_path / "serving" / "nothing"), listed)
