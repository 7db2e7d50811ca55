"""What a network costs, kept for the next time."""

import json
from dataclasses import replace

import pytest

from components import trusted
from pipelines import cost_cache, costs, recipes

LENET = recipes.find("lenet")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "convnets" / "costs"


@pytest.fixture
def counted():
    """Counts a recipe; whether Keras had to."""

    def count(recipe=LENET):
        times = []
        cost = cost_cache.count(recipe, lambda: times.append(1))
        return cost, bool(times)

    return count


def plain(cost):
    """As JSON has it."""
    return json.loads(json.dumps({**vars(cost), "layers": [*map(vars, cost.layers)]}, default=vars))


def test_the_second_time_is_the_first(counted, folder):
    first, by_keras = counted()
    second, again = counted()
    assert (by_keras, again) == (True, False)
    assert plain(first) == plain(second) == plain(costs.count(LENET))
    assert second.total.receptive_field == (16, 16)
    assert [file.suffix for file in folder.iterdir()] == [".json"]
    first, second = (costs.published(LENET, each) for each in (first, second))
    assert first == second


@pytest.mark.parametrize(
    "setting",
    ["model_args.classifier=softmax", "preprocess.size=[28, 28]", "preprocess.channels=3"],
)
def test_another_network_is_counted(counted, setting):
    before = counted()[0]
    changed, by_keras = counted(LENET.override([setting]))
    assert by_keras
    assert changed.total != before.total


def test_what_changes_nothing_of_the_network_is_not_counted_again(counted):
    counted()
    assert not counted(LENET.override(["epochs=3", "optimizer=adadelta"]))[1]


def test_classes_follow_the_data(counted):
    counted()
    other, by_keras = counted(replace(LENET, dataset="caltech101"))
    assert by_keras
    assert other.classes == 102


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"layers": [], "total": {}}', "\x00"])
def test_what_cannot_be_read_is_counted_again(counted, folder, content):
    whole = counted()[0]
    (file,) = folder.iterdir()
    file.write_text(content)
    assert counted()[1]
    kept, by_keras = counted()
    assert not by_keras
    assert plain(kept) == plain(whole)


def test_a_cache_that_cannot_be_written_is_done_without(counted, folder):
    folder.parent.parent.write_text("a file")
    assert counted()[1]
    assert counted()[1]


def test_sources_versions_and_settings_of_keras_are_part_of_the_key(tmp_path, monkeypatch):
    source = tmp_path / "other_models" / "__init__.py"
    source.parent.mkdir()
    source.write_text("WIDTH = 1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(cost_cache, "_PACKAGE", source.parent.name)
    network = costs.network_of(LENET)

    def key():
        cost_cache._environment.cache_clear()
        return cost_cache._key(network)

    try:
        keys = [key()]
        source.write_text("WIDTH = 2")
        keys.append(key())
        (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
        keys.append(key())
        monkeypatch.setenv("KERAS_BACKEND", "another")
        keys.append(key())
        monkeypatch.setattr(cost_cache.importlib.metadata, "version", lambda name: "99")
        keys.append(key())
    finally:
        cost_cache._environment.cache_clear()
    assert len(set(keys)) == len(keys)


def test_a_network_of_ones_own_code_is_counted_each_time(counted, folder, tmp_path, monkeypatch):
    (tmp_path / "counted_nets.py").write_text(
        "from keras_models.classification.lenet import LeNet5\n"
        "def Net(input_shape, classes):\n"
        "    return LeNet5(input_shape, classes)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    recipe = replace(LENET, model="counted_nets:Net", model_args={})
    with trusted.allowing(["counted_nets"]):
        assert plain(counted(recipe)[0]) == plain(counted()[0])
        assert counted(recipe)[1]
    assert len([*folder.iterdir()]) == 1  # LeNet's


def test_the_oldest_are_dropped(counted, folder, monkeypatch):
    monkeypatch.setattr(cost_cache, "_MOST_FILES", 1)
    for size in (28, 30, 32):
        counted(LENET.override([f"preprocess.size=[{size}, {size}]"]))
    assert len([*folder.iterdir()]) == 2
    assert not counted()[1]
