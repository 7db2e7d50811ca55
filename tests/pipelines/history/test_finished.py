"""The same run once more is known by what the last one left; anything that changed is seen."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from components import trusted
from pipelines import recipes
from pipelines.beam import Beam
from pipelines.build import _training_config
from pipelines.history import finished, revision
from pipelines.paths import Paths
from tests.pipelines.forge import photos

BEAM = Beam()
MODEL = "lenet-relu-data"
SUMMARY = {"recipe": "lenet-relu", "served_name": MODEL, "run_id": "run-1", "stages": []}


@pytest.fixture
def root(tmp_path) -> Path:
    """A root where a run has ended, and its data beside it."""
    photos(tmp_path / "data")
    root = tmp_path / "root"
    paths = Paths(str(root))
    for folder in (f"{paths.pipeline(MODEL)}/Trainer/model/7", paths.served(MODEL)):
        (Path(folder) / "17").mkdir(parents=True)
        (Path(folder) / "17" / "saved_model.pb").write_bytes(b"model")
    with sqlite3.connect(paths.metadata) as metadata:
        metadata.execute("CREATE TABLE Execution (id INTEGER)")
    recipe = recipe_of(tmp_path)
    sources = finished.sources(recipe)
    folders = [source.base for source in sources]
    made_from = finished.inputs(recipe, BEAM, sources, folders)
    finished.note(paths, SUMMARY, made_from, folders, [f"{paths.pipeline(MODEL)}/Trainer"])
    return root


def recipe_of(folder: Path, *settings: str):
    return recipes.find("lenet-relu").on_data(str(folder / "data")).override(settings)


def found(root: Path, *settings: str, beam: Beam = BEAM):
    return finished.find(Paths(str(root)), recipe_of(root.parent, *settings), beam)


def test_the_same_run_is_found(root):
    assert found(root) == SUMMARY


def test_another_recipe_or_beam_is_another_run(root):
    assert found(root, "epochs=3") is None
    assert found(root, beam=Beam(arguments=("--direct_num_workers=2",))) is None


def write_metadata(root):
    with sqlite3.connect(root / "metadata.sqlite") as metadata:
        metadata.execute("INSERT INTO Execution VALUES (1)")


def exchange_two(root):
    """Two files of the same size exchange their names, and keep their times."""
    one, other = root.parent / "data/cat/0.png", root.parent / "data/coffee/0.png"
    size = max(one.stat().st_size, other.stat().st_size)
    for path in (one, other):
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
        os.utime(path, ns=(1, 1))
    settle(root)
    between = one.with_suffix(".tmp")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def rewrite_at_the_same_time(root):
    path = root.parent / "data/cat/0.png"
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def settle(root):
    """Notes the run anew on the data as they are."""
    recipe, paths = recipe_of(root.parent), Paths(str(root))
    sources = finished.sources(recipe)
    made_from = finished.inputs(recipe, BEAM, sources, [source.base for source in sources])
    folders = [source.base for source in sources]
    finished.note(paths, SUMMARY, made_from, folders, [f"{paths.pipeline(MODEL)}/Trainer"])
    assert found(root) == SUMMARY


CHANGES = {
    "a file moved to another class": lambda root: (root.parent / "data/cat/0.png").rename(
        root.parent / "data/coffee/moved.png"
    ),
    "a class renamed": lambda root: (root.parent / "data/cat").rename(root.parent / "data/dog"),
    "a file added": lambda root: (root.parent / "data/cat/more.png").touch(),
    "an empty class": lambda root: (root.parent / "data/empty").mkdir(),
    "two files exchanged": exchange_two,
    "a file rewritten": rewrite_at_the_same_time,
    "another run on the root": write_metadata,
    "the metadata deleted": lambda root: (root / "metadata.sqlite").unlink(),
    "an artifact deleted": lambda root: shutil.rmtree(root / "pipelines" / MODEL / "Trainer"),
    "a version taken back": lambda root: (root / "serving" / MODEL / "17").rename(
        root / "serving" / MODEL / ".17"
    ),
    "a record cut short": lambda root: (root / "pipelines" / MODEL / "finished.json").write_text(
        "{"
    ),
    "the data gone": lambda root: shutil.rmtree(root.parent / "data"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_has_changed_is_seen(change, root):
    change(root)
    assert found(root) is None


def test_other_code_or_libraries_are_seen(root, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(finished.revision, "version", lambda: "sources 000000000000")
        assert found(root) is None
    with monkeypatch.context() as patched:
        patched.setattr(finished.importlib.metadata, "version", lambda name: "0.0")
        assert found(root) is None
    assert found(root)


def test_links_are_followed_and_may_lead_nowhere_or_back(root):
    folder = root.parent / "data" / "cat"
    elsewhere = root.parent / "elsewhere.png"
    elsewhere.write_bytes((folder / "0.png").read_bytes())
    (folder / "linked.png").symlink_to(elsewhere)
    (folder / "broken.png").symlink_to(root.parent / "nowhere")
    (folder / "up").symlink_to(root.parent / "data")
    settle(root)
    elsewhere.write_bytes((folder / "1.png").read_bytes())
    assert found(root) is None


def test_a_bucket_and_a_cluster_are_never_the_same(root):
    recipe = recipe_of(root.parent)
    assert finished.inputs(recipe, BEAM, [], ["gs://bucket/data"]) is None
    several = recipe_of(root.parent, "strategy=multi_worker")
    assert finished.inputs(several, BEAM, [], []) is None
    finished.note(Paths(str(root)), SUMMARY, None, [], [])
    assert found(root) is None


NETWORK = """
import keras

def Net(input_shape, classes, weights=None):
    image = keras.Input(input_shape)
    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.Flatten()(image)))
"""


@pytest.mark.parametrize("place", ["ones_own.py", "ones_own/nets/flat.py"])
def test_a_change_of_ones_own_network_is_seen(place, root, tmp_path, monkeypatch):
    source = tmp_path / "code" / place
    source.parent.mkdir(parents=True)
    for folder in (
        each for each in source.parents if each.is_relative_to(tmp_path / "code/ones_own")
    ):
        (folder / "__init__.py").touch()
    source.write_text(NETWORK)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.setenv(trusted.VARIABLE, "ones_own")
    model = f"{place.removesuffix('.py').replace('/', '.')}:Net"
    own = recipe_of(root.parent, f"model={model}", "model_args={}")
    config = _training_config(own, Paths(str(root)))
    made_from = finished.inputs(own, BEAM, [], [])
    assert (config, made_from) == (
        _training_config(own, Paths(str(root))),
        finished.inputs(own, BEAM, [], []),
    )
    source.write_text(NETWORK.replace("Dense", "Dense  "))
    assert _training_config(own, Paths(str(root))) != config
    assert finished.inputs(own, BEAM, [], []) != made_from
    # What is in the package is known by its version.
    assert "modules" not in _training_config(recipe_of(root.parent), Paths(str(root)))


def test_a_change_of_what_ones_own_network_imports_is_seen(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    sources = {
        "ones_own.py": "import keras, numpy, json\nfrom helper import blocks\n" + NETWORK,
        "helper/__init__.py": "",
        "helper/blocks.py": "def late():\n    import constants.small as small",
        "constants/small.py": "WIDTH = 1",
        "unrelated.py": "",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    recipe = {"model": "ones_own:Net", "dataset": "unrelated:photos"}
    assert revision.own_modules(recipe) == {}  # Such a recipe is not run.
    monkeypatch.setenv(trusted.VARIABLE, "ones_own")
    before = revision.own_modules(recipe)
    assert list(before) == ["constants", "helper", "ones_own"]
    for name in ("helper/blocks.py", "constants/small.py"):
        (tmp_path / name).write_text(sources[name] + "\n")
        after = revision.own_modules(recipe)
        changed = name.partition("/")[0]
        assert {key for key in after if after[key] != before[key]} == {changed}
        before = after
