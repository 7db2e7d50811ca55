import ast
import csv
import importlib.util
import itertools
import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from components import tasks
from pipelines import recipe_bounds, recipes
from pipelines.optimizers import OPTIMIZERS, named
from pipelines.recipe import SIZES, STAGES, Recipe, RecipeError

TREE = Path(__file__).parents[2]
LENET = recipes.find("lenet")
EVERY = [recipe for sizes in recipes.all_recipes().values() for recipe in sizes.values()]
BENCHMARKS = {
    row["id"]
    for table in (TREE / "components/judge/benchmarks").glob("*.csv")
    for row in csv.DictReader(table.open(encoding="utf-8"))
}


def names(recipe):
    return f"{recipe.name}-{recipe.size}"


def import_paths(value):
    """Every `module:name` inside a recipe's values."""
    if isinstance(value, dict):
        yield from itertools.chain.from_iterable(map(import_paths, value.values()))
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(map(import_paths, value))
    elif isinstance(value, str) and ":" in value and not value.startswith("tfds:"):
        module, _, name = value.partition(":")
        if "." in module and " " not in value:
            yield module, name


def source_of(module):
    """The file of a module, found without importing it or its parents."""
    root, *rest = module.split(".")
    base = Path(importlib.util.find_spec(root).submodule_search_locations[0]).joinpath(*rest)
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def top_level_names(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.ImportFrom, ast.Import)):
            yield from (alias.asname or alias.name for alias in node.names)


@pytest.mark.parametrize("recipe", EVERY, ids=names)
class TestEveryRecipe:
    def test_json_both_ways(self, recipe):
        assert Recipe.from_json(recipe.to_json()) == recipe
        assert Recipe.from_json(recipe.to_json()).to_json() == recipe.to_json()

    def test_names_objects_that_exist(self, recipe):
        found = list(import_paths(json.loads(recipe.to_json())))
        assert ("keras_models" in recipe.model) and found
        for module, name in found:
            path = source_of(module)
            assert path.is_file(), f"{module}: no such module"
            assert name in set(top_level_names(path)), f"{path} has no {name}"

    def test_names_published_figures_that_exist(self, recipe):
        assert set(recipe.benchmarks) <= BENCHMARKS
        # The errors of those nets are drawn in the paper, not printed; no paper has that transfer.
        unpublished = ("cifar-plain", "transfer-cifar")
        assert recipe.benchmarks or recipe.name.startswith(unpublished), "no published figure"

    def test_says_what_to_do_with_the_pixels(self, recipe):
        assert recipe.preprocess.keys() == {"size", "resize", "channels", "fit", "range", "mean"}
        height, width = recipe.preprocess["size"]
        low, high = recipe.preprocess["range"]
        assert height > 0 < width
        assert low < high
        assert recipe.preprocess["channels"] in (1, 3)
        assert recipe.preprocess["fit"] in ("pad", "stretch", "crop")
        assert recipe.preprocess["mean"] in ("none", "per_pixel", "per_channel")

    def test_has_thresholds_and_a_summary_of_one_line(self, recipe):
        first = tasks.find(recipe.task).blessing[0].name
        assert recipe.thresholds.keys() == {first, "change", "chance"}
        assert recipe.thresholds["chance"] is None
        assert recipe.summary and "\n" not in recipe.summary


def test_lenets_are_trained_by_the_diagonal_of_the_hessian_in_the_paper_size():
    (one, batch) = (recipes.find(name, "paper") for name in ("lenet1", "lenet"))
    for recipe in (one, batch):
        assert recipe.optimizer["class"] == "keras_models.optimizers:StochasticDiagonalLM"
    assert (one.batch_size, one.epochs) == (1, 23)
    rates = [recipe.optimizer["learning_rate"]["values"] for recipe in (one, batch)]
    assert rates[0] == [0.0005, 0.0002, 0.0001, 0.00005, 0.00001]
    assert rates[1] == [0.002, 0.0008, 0.0004, 0.0002, 0.00004]


def test_1202_layers_are_those_of_the_paper_in_the_paper_size():
    recipe = recipes.find("cifar-resnet1202", "paper")
    assert recipe.model_args == {"depth": 1202}
    assert recipe.benchmarks == ("he2015b-cifar-resnet1202", "he2015b-cifar-resnet1202-parameters")
    warmed_up = recipes.find("cifar-resnet110", "paper")
    assert recipe.optimizer == warmed_up.optimizer
    assert recipe.optimizer["learning_rate"]["values"][0] == 0.01
    small = recipes.find("cifar-resnet1202").model_args
    assert 110 < small["depth"] < 1202 and small["depth"] % 6 == 2


def test_chinese_characters_are_the_papers_net_on_a_folder():
    paper, small = (recipes.find("ciresan-chinese", size) for size in ("paper", "small"))
    assert paper.model_args == {"architecture": "chinese-characters"}
    assert paper.dataset == "hwdb1.1" and paper.preprocess["size"] == [48, 48]
    assert (paper.batch_size, paper.epochs) == (1, 800)
    assert small.dataset == "mnist" and small.preprocess == paper.preprocess
    assert paper.on_data("characters").benchmarks == ("ciresan2012-hwdb-offline",)


def test_every_recipe_has_every_size():
    for name, sizes in recipes.all_recipes().items():
        assert set(sizes) == set(SIZES), name
        assert all(recipe.name == name for recipe in sizes.values())


def test_the_table_is_written_once_per_name_and_size():
    pairs = [names(recipe) for module in recipe_modules() for recipe in module.RECIPES]
    assert len(pairs) == len(set(pairs))


def recipe_modules():
    for path in sorted((TREE / "pipelines/recipes").glob("*.py")):
        if not path.stem.startswith("_"):
            yield importlib.import_module(f"pipelines.recipes.{path.stem}")


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("lennet", "small", ["'lennet'", "lenet"]),
        ("lenet_relu", "small", ["lenet-relu"]),
        ("qqqqqqqq", "small", ["known:", "lenet"]),
        ("lenet", "smal", ["'smal'", "small"]),
        ("lenet", "huge", ["'huge'", "paper", "small"]),
    ],
)
def test_unknown_recipe_or_size_names_the_near_ones(name, size, words):
    with pytest.raises(RecipeError) as error:
        recipes.find(name, size)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("epochs=3", "epochs", 3),
        (" epochs = 3 ", "epochs", 3),
        ("mixed_precision=true", "mixed_precision", True),
        ("jit_compile=True", "jit_compile", True),
        ("fixed=a.b:C=d", "fixed", "a.b:C=d"),
        ("model_args={}", "model_args", {}),
        ("features=[]", "features", ()),
        ('augment=[{"step": "flip"}]', "augment", ({"step": "flip"},)),
    ],
)
def test_set_takes_values_of_the_right_type(assignment, key, value):
    changed = LENET.override([assignment])
    assert getattr(changed, key) == value
    assert type(getattr(changed, key)) is type(value)
    assert changed == Recipe.from_json(changed.to_json())


def test_set_reaches_inside_and_changes_nothing_else():
    before = LENET.to_json()
    changed = LENET.override(
        [
            "optimizer.learning_rate.initial_learning_rate=0.01",
            "model_args.classifier=softmax",
            "model_args.name=ours",
            "thresholds.accuracy=1",
            "preprocess.size=[28, 28]",
        ]
    )
    assert changed.optimizer["learning_rate"]["initial_learning_rate"] == 0.01
    assert changed.model_args == {**LENET.model_args, "classifier": "softmax", "name": "ours"}
    assert changed.thresholds == {**LENET.thresholds, "accuracy": 1}
    assert changed.preprocess["size"] == [28, 28]
    assert LENET.to_json() == before


def test_a_schedule_may_become_a_number():
    changed = LENET.override(["optimizer.learning_rate=0.5"])
    assert changed.optimizer["learning_rate"] == 0.5


def test_the_last_assignment_holds():
    assert LENET.override(["epochs=3", "epochs=4"]).epochs == 4


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("epoch=3", ["'epoch'", "epochs"]),
        ("epochs", ["key=value", "'epochs'"]),
        ("epochs=three", ["epochs", "'three'"]),
        ("epochs=2.5", ["epochs", "2.5"]),
        ("epochs=true", ["epochs", "True"]),
        ("epochs=0", ["epochs", "1 or more"]),
        ("batch_size=-8", ["batch_size", "-8"]),
        ("mixed_precision=yes", ["mixed_precision", "'yes'"]),
        ("model=true", ["model", "True"]),
        ("size=paper", ["size", "--size"]),
        ("dataset=photos", ["dataset", "--data"]),
        ("full_data=true", ["full_data", "cannot be set"]),
        ("augment=flip", ["augment", "'flip'"]),
        ("ingest.format=gif", ["ingest.format", "keep or png or jpeg", '"gif"']),
        ("ingest.shorter_side=0", ["ingest.shorter_side", "0"]),
        ("ingest.shorter_side=big", ["ingest.shorter_side", '"big"']),
        ("ingest.quality=100", ["ingest.quality", "1 to 95", "100"]),
        ("ingest.align=true", ["ingest.align takes a value such as null, not True"]),
        ('ingest.align={"size": [9, 9]}', ["ingest.align", "anchors"]),
        ('ingest.align={"size": [9, 9], "anchors": [[0.5, 2], [0, 0]]}', ["ingest.align"]),
        ('ingest.align={"size": [9, 9], "model": [[0.5, 0.5]]}', ["ingest.align", "model"]),
        ("ingest.side=256", ["'ingest.side'", "ingest.shorter_side"]),
        ("preprocess.fit=zoom", ["preprocess.fit", "pad or stretch or crop", '"zoom"']),
        ("preprocess.resize=16", ["preprocess.resize", "[32, 32]", "16"]),
        ("distorted_copies=-1", ["distorted_copies", "0 or more", "-1"]),
        ("seed=-1", ["seed must be a whole number from 0 to 4294967295, not -1"]),
        ("weight_decay=NaN", ["weight_decay takes a value such as 0.0, not 'NaN'"]),
        ("features=conv1", ["features takes a value such as [", "not 'conv1'"]),
        ("preprocess.channels=2", ["preprocess.channels", "1 or 3"]),
        ("preprocess.siz=[28,28]", ["'preprocess.siz'", "preprocess.size"]),
        ("preprocess.channels=red", ["preprocess.channels", "'red'"]),
        ("thresholds.acuracy=0.5", ["'thresholds.acuracy'", "thresholds.accuracy?"]),
        ("thresholds.accuracy=high", ["thresholds.accuracy", "'high'"]),
        ("epochs.more=1", ["epochs", "no parts"]),
        ("strategy=mirored", ["'mirored'", "mirrored"]),
        ("protocol=1-crap", ["'1-crap'", "1-crop"]),
        ('benchmarks=["lecun1998-lenet-5"]', ["'lecun1998-lenet-5'", "lecun1998-lenet5"]),
        ('benchmarks=["zzz"]', ["'zzz'", "none of the"]),
        ("=3", ["''"]),
        ('transfer={"layers": ["pool5"]}', ["transfer", "transfer needs from"]),
    ],
)
def test_set_refuses_what_does_not_fit(assignment, words):
    with pytest.raises(RecipeError) as error:
        LENET.override([assignment])
    for word in words:
        assert word in str(error.value)


# What null or a value out of its range would have made fail late, or not at all.
OUT_OF_BOUNDS = {
    "data_checks=null": "data_checks must be values by name, {...}, not null",
    "thresholds=null": "thresholds must be values by name, {...}, not null",
    "preprocess=null": "preprocess must be values by name, {...}, not null",
    "ingest=null": "ingest must be values by name, {...}, not null",
    "optimizer=null": 'optimizer must be {"class": "MODULE:NAME", ...}, not null',
    "model_args=null": "model_args must be values by name, {...}, not null",
    "task_args=null": "task_args must be values by name, {...}, not null",
    "loss=7": 'loss must be {"class": "MODULE:NAME", ...}, or null, not 7',
    "tune=7": "tune must be values by name, {...}, or null, not 7",
    "fixed=7": "fixed must be a text, or null, not 7",
    "features=[7]": "features must be a list, each a text, not [7]",
    "augment=[[]]": "augment must be a list, each values by name",
    "preprocess.range=[0, 0]": "preprocess.range must be [lowest, highest], each a number",
    "preprocess.range=[1, 0]": "the lowest below the highest, not [1, 0]",
    "preprocess.range=[0, 1e999]": "preprocess.range must be",
    "preprocess.range=[0]": "preprocess.range must be",
    "preprocess.range=null": "preprocess.range must be [lowest, highest]",
    "preprocess.size=[0, 0]": "preprocess.size must be [height, width] in pixels, not [0, 0]",
    "preprocess.size=[32]": "preprocess.size must be [height, width] in pixels, not [32]",
    "preprocess.size=[32, 32.5]": "preprocess.size must be [height, width] in pixels",
    "preprocess.size=[1000000, 1000000]": "preprocess.size makes pictures of 1000000 x 1000000",
    "preprocess.resize=20000": "preprocess.resize makes pictures of 20000 x 20000",
    "preprocess.channels=true": "preprocess.channels",
    'preprocess={"size": [32, 32]}': "preprocess needs channels and fit and range and mean",
    "ingest.shorter_side=1000000": "ingest.shorter_side makes pictures of 1000000 x 1000000",
    "ingest.quality=null": "ingest.quality",
    "thresholds.accuracy=2": "thresholds.accuracy must be a number from 0 to 1, or null, not 2",
    "thresholds.accuracy=-0.1": "thresholds.accuracy must be a number from 0 to 1",
    "thresholds.chance=0": "thresholds.chance must be above 0 and at most 0.5, or null, not 0",
    "thresholds.chance=1": "thresholds.chance must be above 0 and at most 0.5, or null, not 1",
    "thresholds.change=2": "thresholds.change must be a number from -1 to 1, not 2",
    "data_checks.drift=-1": "data_checks.drift must be a number of 0 or more, not -1",
    'data_checks={"drift": null}': "data_checks.drift must be a number of 0 or more, not null",
    "data_checks.anomalies=-1": "data_checks.anomalies must be a whole number of 0 or more",
    "batch_size=99999999999999999999": "batch_size must be a whole number of 1 or more",
    "epochs=99999999999999999999": "epochs must be a whole number of 1 or more",
    "steps_per_execution=0": "steps_per_execution must be a whole number of 1 or more",
    "window=0": "window must be a whole number of 1 or more",
    "weight_decay=-1": "weight_decay must be a number from 0",
    "weight_decay=1e999": "weight_decay takes a value such as 0.0, not '1e999'",
    "auxiliary_weight=-1": "auxiliary_weight must be a number from 0",
    "validation_split=1": "validation_split must be 0 or more, and below 1, or null, not 1",
    "optimizer.learning_rate=0": "optimizer.learning_rate must be a number above 0, not 0",
    "optimizer.learning_rate=-1": "optimizer.learning_rate must be a number above 0, not -1",
    "optimizer.learning_rate=null": "optimizer.learning_rate must be a number above 0, not null",
    "optimizer.learning_rate=fast": 'optimizer.learning_rate must be a number above 0, not "fast"',
    "optimizer.learning_rate.warmup_target=-1": "learning_rate.warmup_target must be a number of 0",
    "optimizer.beta_1=2": "optimizer.beta_1 must be a number from 0 to 1, not 2",
    "optimizer.clipnorm=0": "optimizer.clipnorm must be a number above 0, or null, not 0",
}


@pytest.mark.parametrize("assignment", OUT_OF_BOUNDS)
def test_values_that_cannot_work_are_refused(assignment):
    with pytest.raises(RecipeError) as error:
        LENET.override([assignment])
    assert OUT_OF_BOUNDS[assignment] in str(error.value)


def test_each_key_has_its_bound():
    keys = {entry.name for entry in fields(Recipe)}
    assert keys == recipe_bounds.KEYS.keys()
    for key, (known, _) in recipe_bounds.PARTS.items():
        value = getattr(TRANSFER, key)
        assert value.keys() == known.keys()
    # Where a key is null by its own default, it may be.
    for entry in fields(Recipe):
        assert entry.default is not None or recipe_bounds.KEYS[entry.name].takes(None), entry.name


def test_errors_in_a_unit_have_no_highest_threshold():
    depth = recipes.find("eigen-depth")
    assert depth.override(["thresholds.abs_rel=2"]).thresholds["abs_rel"] == 2
    with pytest.raises(RecipeError, match=r"abs_rel must be a number from 0 to .*, or null"):
        depth.override(["thresholds.abs_rel=-1"])


def test_parts_that_are_left_out_have_their_defaults():
    changed = LENET.override(['data_checks={"drift": 0.5}', 'ingest={"quality": 80}'])
    assert changed.data_checks == {**LENET.data_checks, "drift": 0.5}
    assert changed.ingest == {**LENET.ingest, "quality": 80}


def test_json_with_an_unknown_key_is_refused():
    values = {**json.loads(LENET.to_json()), "epoch": 3}
    with pytest.raises(RecipeError, match=r"'epoch'.*epochs"):
        Recipe.from_json(json.dumps(values))


# By the names that keys had: the names that they have, and a value.
OLD_KEYS = {
    "dense": ("fully_convolutional", True),
    "validation": ("data_checks", {"skew": 0.5}),
}
old_keys = pytest.mark.parametrize(
    ("old", "new", "value"), [(old, *rest) for old, rest in OLD_KEYS.items()], ids=OLD_KEYS
)


@old_keys
def test_old_names_of_keys_are_read(old, new, value):
    expected = replace(LENET, **{new: value})
    values = json.loads(expected.to_json())
    old_json = json.dumps({old if key == new else key: each for key, each in values.items()})
    assert Recipe.from_json(old_json) == expected
    assert Recipe.from_json(old_json).to_json() == expected.to_json()
    assert LENET.override([f"{old}={json.dumps(value)}"]) == expected


@old_keys
def test_a_key_by_both_names_is_refused(old, new, value):
    values = {**json.loads(LENET.to_json()), old: value}
    with pytest.raises(RecipeError, match=f"{old} and {new} are the same key"):
        Recipe.from_json(json.dumps(values))


@pytest.mark.parametrize(
    ("assignment", "meant"),
    [
        ("dens=true", "did you mean dense"),
        ("fully_convolutionl=true", "fully_convolutional"),
        ("validaton=true", "did you mean validation"),
        ("data_check=true", "data_checks"),
    ],
)
def test_misspelt_old_and_new_names_have_near_matches(assignment, meant):
    with pytest.raises(RecipeError, match=meant):
        LENET.override([assignment])
    key = assignment.partition("=")[0]
    with pytest.raises(RecipeError, match=meant):
        Recipe.from_json(json.dumps({**json.loads(LENET.to_json()), key: True}))


def test_parts_of_an_old_key_are_set_and_checked():
    changed = LENET.override(["validation.skew=0.5"])
    assert changed == LENET.override(["data_checks.skew=0.5"]) != LENET
    with pytest.raises(RecipeError, match=r"'data_checks.skw': did you mean data_checks.skew\?"):
        LENET.override(["validation.skw=0.5"])


def test_json_without_a_key_is_refused():
    values = json.loads(LENET.to_json())
    del values["model"]
    with pytest.raises(RecipeError, match="it has no model"):
        Recipe.from_json(json.dumps(values))


def test_on_other_images_chance_and_the_last_blessed_model_are_the_measures():
    changed = LENET.on_data("photos")
    assert changed.dataset == "photos"
    assert changed.thresholds == {**LENET.thresholds, "accuracy": 0.0, "chance": 0.05}
    assert changed.override(["thresholds.accuracy=0.5"]).thresholds["accuracy"] == 0.5
    assert changed.override(["thresholds.chance=null"]).thresholds["chance"] is None
    assert LENET.override(["thresholds.accuracy=null"]).thresholds["accuracy"] is None


@pytest.mark.parametrize("dataset", ["mnist", "tfds:mnist"])
def test_whoever_has_a_recipes_own_data_they_are_its_own(dataset):
    assert LENET.on_data(dataset) == replace(LENET, dataset=dataset)
    back = LENET.on_data("photos").on_data(dataset)
    assert (back.model_name, back.thresholds["chance"]) == ("lenet-mnist", 0.05)


def test_other_rooms_than_a_recipes_own_are_other_data():
    depth = recipes.find("eigen-depth")
    same = f"{depth.dataset},test=500,seed=0"
    assert depth.on_data(same) == replace(depth, dataset=same)
    assert depth.on_data("rooms:train=many").model_name == "eigen-depth-rooms"
    fewer = depth.on_data("rooms:train=20,test=8")
    assert (fewer.model_name, fewer.thresholds["chance"]) == ("eigen-depth-rooms", 0.05)


# What data are called in the name of the model that is trained on them.
CALLED = {
    "photos": "photos",
    "a/Cats & Dogs.v2/": "cats-dogs-v2",
    "photos/span-{SPAN}/": "photos",
    "photos/{YYYY}/{MM}/{DD}/v{VERSION}": "photos",
    "gs://bucket/photos/": "photos",
    "gs://bucket/span-{SPAN}": "bucket",
    "tfds:fashion_mnist:3.0.1": "fashion-mnist",
    "rooms:train=20,test=8": "rooms",
    "Müller": "muller",
    "фото": "data-5cea446a",
}


@pytest.mark.parametrize("dataset", CALLED)
def test_the_model_on_other_data_is_called_by_them(dataset):
    changed = LENET.on_data(dataset)
    assert changed.model_name == f"lenet-{CALLED[dataset]}"
    # Kubeflow's pipelines and TensorFlow Serving's paths take such a name.
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", changed.model_name)
    assert changed.on_data(dataset) == changed
    assert Recipe.from_json(changed.to_json()) == changed
    assert replace(changed, name="vgg16").model_name == f"vgg16-{CALLED[dataset]}"


def test_a_name_that_was_chosen_stays(tmp_path, monkeypatch):
    assert LENET.model_name == "lenet"
    chosen = LENET.override(["served_name=digits-7"])
    assert chosen.model_name == chosen.on_data("photos").model_name == "digits-7"
    assert LENET.on_data("photos").override(["served_name=null"]).model_name == "lenet-photos"
    (tmp_path / "flowers").mkdir()
    monkeypatch.chdir(tmp_path / "flowers")
    assert LENET.on_data(".").model_name == "lenet-flowers"
    for stage in STAGES:
        assert LENET.on_data(".").for_stage(stage).keys() == LENET.for_stage(stage).keys()
        assert "served_name" not in LENET.for_stage(stage)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "..", "-x", "ä"])
def test_names_that_no_folder_and_no_address_takes_are_refused(name):
    with pytest.raises(RecipeError, match="served_name must be a name of letters, digits"):
        LENET.override([f"served_name={json.dumps(name)}"])


TRANSFER = recipes.find("transfer-cifar-resnet20-mnist")


@pytest.mark.parametrize("size", SIZES)
def test_transfer_prepares_images_as_the_base_does(size):
    for name, sizes in recipes.all_recipes().items():
        recipe = sizes[size]
        if recipe.transfer:
            base = recipes.find(recipe.transfer["from"], size)
            keys = recipe.preprocess if base.task == recipe.task else ("channels", "range")
            assert all(recipe.preprocess[key] == base.preprocess[key] for key in keys)
        if name.startswith("transfer-"):
            assert recipe.model_args == {} and recipe.augment == ()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["eigen-depth-scale3", "eigen2014-fine"])
def test_the_last_scale_is_trained_on_the_same_data_and_net(name, size):
    last = recipes.find(name, size)
    first = recipes.find(last.transfer["from"], size)
    assert (last.dataset, last.loss, last.model) == (first.dataset, first.loss, first.model)
    for key in ("backbone", "width", "units", "feature_scale", "pixel_scale"):
        assert last.model_args.get(key) == first.model_args.get(key), key


@pytest.mark.parametrize("size", SIZES)
def test_the_steps_of_alternating_training_are_of_one_net(size):
    steps = [recipes.find(f"faster-r-cnn-step{number}", size) for number in range(1, 5)]
    of_all = recipes.find("faster-r-cnn", size)
    parts = [step.model_args["train"] for step in steps]
    assert parts == ["proposals", "regions", "proposals", "regions"]
    assert [step.model_args.get("shared", True) for step in steps] == [True, False, True, True]
    assert [bool(step.freeze["layers"]) for step in steps] == [False, False, True, True]
    for number, step in enumerate(steps, 1):
        last = f"faster-r-cnn-step{number - 1}"
        assert (step.transfer or {}).get("from") == (last if number > 1 else None)
        assert (step.dataset, step.loss, step.model) == (of_all.dataset, None, of_all.model)
        same = of_all.model_args.keys() - {"weights"}
        assert all(step.model_args[key] == of_all.model_args[key] for key in same)


def test_transfer_can_be_set_part_by_part():
    changed = TRANSFER.override(["transfer.from=cifar-resnet32", "transfer.model_run=/m"])
    assert changed.transfer == {
        **TRANSFER.transfer,
        "from": "cifar-resnet32",
        "model_run": "/m",
    }
    assert Recipe.from_json(changed.to_json()) == changed


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("transfer.layer=[]", ["'transfer.layer'", "transfer.layers?"]),
        ("transfer.layers=[]", ["transfer needs layers"]),
        ("transfer.layers=pool5", ["transfer.layers", "'pool5'"]),
        ("transfer.examples_per_class=[5, 1]", ["ascending", "[5, 1]"]),
        ("transfer.examples_per_class=[0, 1]", ["each a whole number of 1 or more", "[0, 1]"]),
        ("transfer.examples_per_class=[]", ["examples_per_class"]),
        ("transfer.from=null", ["transfer.from", "not null"]),
        ('transfer.benchmarks={"a": "b"}', ["transfer.benchmarks must be values by name"]),
    ],
)
def test_transfer_refuses_what_does_not_fit(assignment, words):
    with pytest.raises(RecipeError) as error:
        TRANSFER.override([assignment])
    for word in words:
        assert word in str(error.value)


def test_transfer_in_json_has_known_keys_alone():
    values = json.loads(TRANSFER.to_json())
    values["transfer"]["layer"] = "pool5"
    with pytest.raises(RecipeError, match=r"'transfer.layer'.*transfer.layers"):
        Recipe.from_json(json.dumps(values))


def test_optimizers_go_by_name():
    recipe = LENET.override(["optimizer=adadelta"])
    assert recipe.optimizer["class"] == "keras.optimizers:Adadelta"
    assert recipe.optimizer["learning_rate"] == 1.0
    assert Recipe.from_json(recipe.to_json()) == recipe
    with pytest.raises(RecipeError, match=r"did you mean.*adagrad"):
        LENET.override(["optimizer=adagrat"])

    for known in map(named, OPTIMIZERS):
        ((module, name),) = import_paths(known)
        assert name in top_level_names(source_of(module)) or module.startswith("keras.")


@pytest.mark.parametrize(
    ("name", "assignments", "expected"),
    [
        ("lenet", [], []),
        ("vgg16", ["model_args.configuration=D"], []),
        ("vgg16", ["model_args.configuration=A"], ["configuration=A instead of D"]),
        ("resnet50", ['model_args={"shortcut": "A"}'], ["shortcut=A instead of the default"]),
        ("lenet", ["model=keras_models.classification.lenet:LeNet5ReLU", "model_args={}"],
         ["keras_models.classification.lenet:LeNet5ReLU instead of "
          "keras_models.classification.lenet:LeNet5"]),
        ("lenet", ["preprocess.size=[28, 28]"],
         ["preprocess.size=[28, 28] instead of [32, 32]"]),
        ("resnet50", ["preprocess.resize=384"], ["preprocess.resize=384 instead of 256"]),
        ("cifar-resnet20", ["preprocess.channels=1"], ["preprocess.channels=1 instead of 3"]),
        ("lenet", ["preprocess.range=[0, 1]", "preprocess.fit=stretch"], []),
    ],
)  # fmt: skip
def test_another_network_or_size_than_the_papers_is_told(name, assignments, expected):
    recipe = recipes.find(name, "paper").override(assignments)
    assert recipes.deviations(recipe) == expected


def test_pictures_of_other_data_have_sizes_of_their_own():
    recipe = recipes.find("lenet", "paper").override(["preprocess.size=[28, 28]"])
    assert recipes.deviations(recipe.on_data("photos")) == []


def test_arguments_that_a_search_chooses_are_a_deviation():
    space = {"model_args.classifier": ["rbf", "softmax"], "batch_size": [64]}
    waiting = LENET.override([f"tune={json.dumps({'space': space})}"])
    assert recipes.deviations(waiting) == recipes.deviations(LENET)
    searched = [*recipes.deviations(LENET), "model_args.classifier as a search has it"]
    assert recipes.deviations(waiting.override(["tune.trials=2"])) == searched


def test_small_pictures_are_told_where_the_data_are_the_papers():
    said = {
        name: [each for each in recipes.deviations(sizes["small"]) if "preprocess." in each]
        for name, sizes in recipes.all_recipes().items()
    }
    sizes = [
        "preprocess.resize=None instead of 256",
        "preprocess.size=[32, 32] instead of [224, 224]",
    ]
    assert {name: each for name, each in said.items() if each} == {
        "transfer-zfnet-caltech101": sizes,
        "transfer-zfnet-caltech256": sizes,
    }
