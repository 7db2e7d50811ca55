"""Objects that a recipe names, checked by their source: nothing here imports Keras."""

from dataclasses import replace

import pytest

from components import tasks, trusted
from pipelines import optimizers, recipe_objects, recipes, source_code
from pipelines.recipe import RecipeError

LENET = recipes.find("lenet")


def check(recipe):
    recipe_objects.check(
        recipe.model,
        recipe.model_args,
        recipe.loss,
        recipe.optimizer,
        is_transfer=recipe.transfer is not None,
        has_classes=tasks.find(recipe.task).has_classes,
    )


@pytest.mark.parametrize("size", ["small", "paper"])
def test_every_recipe_passes(size):
    for sizes in recipes.all_recipes().values():
        check(sizes[size])


def test_every_optimizer_by_name_passes():
    for name in optimizers.known():
        LENET.override([f"optimizer={name}"])


def test_every_optimizer_of_keras_has_a_name_and_takes_a_step():
    import keras
    import numpy as np

    from components.train.objects import build

    every = {each for each in vars(keras.optimizers).values() if isinstance(each, type)}
    wrappers = {
        getattr(keras.optimizers, name, None)
        for name in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap")
    }
    for optimizer in every - wrappers:
        recipe = LENET.override([f"optimizer={optimizer.__name__}"])
        assert recipe == LENET.override([f"optimizer={optimizer.__name__.lower()}"])
        made = build(recipe.optimizer, "optimizer")
        assert isinstance(made, optimizer)
        weights = keras.Variable(np.ones((3, 2), "float32"))
        made.build([weights])
        if optimizer is keras.optimizers.Muon and keras.__version__.startswith("3.12."):
            continue  # There it asks TensorFlow's variable for a path, which it has not.
        made.apply([keras.ops.ones((3, 2))])
        assert np.all(np.asarray(weights.value) < 1), optimizer


def test_a_part_of_an_optimizer_by_name_may_be_set():
    changed = LENET.override(["optimizer=adam", "optimizer.learning_rate=0.5"])
    assert changed.optimizer == {"class": "keras.optimizers:Adam", "learning_rate": 0.5}


COSINE = '{"class": "keras.optimizers.schedules:CosineDecay", %s}'
PLATEAU = 'optimizer={"class": "keras.optimizers:SGD", "divide_on_plateau": %s}'


@pytest.mark.parametrize(
    "setting",
    [
        "model_args.weights=lenet.h5",
        "model_args.weights=null",
        "model_args.classifier=softmax",
        "optimizer.clipnorm=1",
        'optimizer={"class": "keras.optimizers:Adam", "beta_1": 0.8, "use_ema": true}',
        "optimizer.learning_rate=" + COSINE % '"initial_learning_rate": 1, "decay_steps": "$steps"',
        PLATEAU % '{"patience": 3}',
        'loss={"class": "keras.losses:Hinge", "reduction": "mean"}',
        'tune={"trials": 1, "space": {"model_args.classifier": ["rbf", "softmax"]}}',
    ],
)
def test_what_there_is_may_be_set(setting):
    LENET.override([setting])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model=nomod:Net", "model: there is no module 'nomod'"),
        ("model=keras_models.clasification:LeNet5", "mean keras_models.classification:LeNet5?"),
        ("model=keras_models.lenet:LeNet6", "did you mean keras_models.classification.lenet:LeNet"),
        ("model=keras_models.classification.lenet:LeNet6", "did you mean LeNet1 or LeNet5"),
        ("model=keras.aplications:ResNet50", "did you mean keras.applications:ResNet50?"),
        ("model=LeNet5", "did you mean keras_models.classification:LeNet5?"),
        ("model=keras_models.classification.lenet.LeNet5", "package.module:Name"),
        ("model=", "package.module:Name"),
        (
            "model=shutil:copyfile",
            "recipes may not run the code of shutil; if you trust it, add --a",
        ),
        ("model=keras.saving:load_model", "takes no input_shape and no classes"),
        (
            'loss={"class": "os:system", "command": "ls"}',
            "loss.class: recipes may not run the code",
        ),
        ("loss.class=keras.optimizers:Adam", "keras.optimizers:Adam is no Keras loss"),
        ("loss.class=keras.losses:hinge", "keras.losses:hinge is no Keras loss"),
        ('optimizer={"class": "keras.losses:Hinge"}', "keras.losses:Hinge is no Keras optimizer"),
        ('optimizer={"class": "keras.utils:get_file"}', "get_file is no Keras optimizer"),
        (
            'optimizer.learning_rate={"class": "keras.losses:Hinge"}',
            "learning_rate.class: keras.losses:Hinge is no Keras schedule or optimizer",
        ),
        (
            'optimizer.clipnorm=[{"class": "os:system"}]',
            "optimizer.clipnorm.class: recipes may not",
        ),
        (
            'tune={"trials": 1, "space": {"loss.class": ["os:system"]}}',
            "recipes may not run the code of os",
        ),
        ("model_args.foo=1", "unknown key 'model_args.foo': known: model_args."),
        ("model_args.clasifier=rbf", "did you mean model_args.classifier?"),
        ("model_args.classes=12", "unknown key 'model_args.classes'"),
        ("model_args.classifier=softmx", "'softmx': did you mean softmax?"),
        ("model_args.name=3", "model_args.name takes str, not 3"),
        ("model_args.weights=[1]", "model_args.weights takes str | None, not [1]"),
        ("loss=hinge", 'did you mean {"class": "keras.losses:Hinge"}?'),
        ("loss=map_criterion", '"keras_models.losses:MAPCriterion"}?'),
        ("loss=crossentropy", '"keras.losses:SparseCategoricalCrossentropy", "from_logits": true}'),
        ("loss=keras.losses:Hinge", 'did you mean {"class": "keras.losses:Hinge"}?'),
        ("optimizer=null", 'optimizer must be {"class": "MODULE:NAME", ...}, not null'),
        ('optimizer={"class": "adam"}', "did you mean keras.optimizers:Adam?"),
        ("optimizer.learning_rate.class=CosinDecay", "keras.optimizers.schedules:CosineDecay?"),
        ("optimizer=adm", "did you mean adam or adamw"),
        ("optimizer=adm", "known: adadelta, adafactor, adagrad, adam, "),
        ("loss.class=keras.losses:Hing", "loss.class: there is no 'Hing' in keras.losses: did you"),
        ("loss.margin=2", "unknown key 'loss.margin'"),
        ("optimizer.learningrate=1", "did you mean optimizer.learning_rate"),
        ("optimizer.momentun=0.9", "unknown key 'optimizer.momentun'"),
        ("optimizer.class=keras.optimisers:Adam", "no module 'keras.optimisers': did you mean"),
        ("optimizer.learning_rate=" + COSINE % '"decay_step": 3', "learning_rate.decay_steps"),
        (
            "optimizer.learning_rate=" + COSINE % '"decay_steps": 3',
            "optimizer.learning_rate needs initial_learning_rate",
        ),
        (PLATEAU % '{"patence": 3}', "did you mean optimizer.divide_on_plateau.patience"),
        (PLATEAU % '{"patience": 1.5}', "optimizer.divide_on_plateau.patience takes int, not 1.5"),
        ('tune={"trials": 1, "space": {"model_args.clasifier": ["rbf"]}}', "model_args.classifier"),
        (
            'tune={"trials": 1, "space": {"loss.class": ["keras.losses:Hing"]}}',
            "did you mean Hinge",
        ),
    ],
)
def test_what_there_is_not_is_told(setting, words):
    with pytest.raises(RecipeError) as error:
        LENET.override([setting])
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        ([8, 16, 32], True),
        ([8, 16], False),
        ([8, 16, "a"], False),
        (8, False),
        ([8, 1.5, 2], False),
    ],
)
def test_a_tuple_has_so_many_numbers(value, is_right):
    recipe = replace(recipes.find("cifar-resnet20"), model_args={"filters": value})
    if is_right:
        check(recipe)
    else:
        with pytest.raises(RecipeError, match=r"filters takes tuple\[int, int, int\]"):
            check(recipe)


SOURCE = """
import functools, json, os.path
from dataclasses import dataclass
from json import dumps
from keras_models.classification import LeNet5 as Renamed
from keras.optimizers import SGD
import keras
import keras_models.classification.lenet as nets
import tensorflow as tf
from tensorflow.keras import Model as TensorflowsModel

def _base(input_shape, classes, depth=3):
    return depth

def passes_on(input_shape, classes, **others):
    return _base(input_shape, classes, **others)

def takes_out(input_shape, classes, **others):
    others.pop("width", 3)
    if others:
        raise TypeError(f"unknown: {others}")

def keeps(input_shape, classes, **others):
    return dict(others)

def sends_away(input_shape, classes, make=_base, **others):
    return make(input_shape, classes, **others)

@functools.lru_cache
def decorated(input_shape):
    return 1

@dataclass
class Data:
    width: int

class Base:
    def __init__(self, depth, *, width=1):
        pass

class Derived(Base):
    pass

class Own(Derived):
    def __init__(self, height=1, **others):
        super().__init__(**others)

class OfAnother(keras.optimizers.Adam):
    pass

@keras.saving.register_keras_serializable()
class Subclassed(keras.Model):
    def __init__(self, classes, width=1, **kwargs):
        super().__init__(**kwargs)

class OfTensorflow(tf.keras.Model):
    def __init__(self, classes, width=1):
        super().__init__()

class OfTensorflowsKeras(TensorflowsModel):
    def __init__(self, classes, width=1):
        super().__init__()

class Stacked(keras.Sequential):
    def __init__(self, classes, width=1):
        super().__init__([])

class Listed(list):
    pass

class Computed(type(Base)):
    pass

if keras:
    class Twice(Base):
        pass
else:
    def Twice(height):
        pass

alias = nets.LeNet5
partial = functools.partial(_base, depth=3)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def write(text=SOURCE):
        (tmp_path / "own_nets.py").write_text(text)
        return "own_nets"

    yield write


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_base", ["input_shape", "classes", "depth"]),
        ("passes_on", ["input_shape", "classes", "depth"]),
        ("takes_out", ["input_shape", "classes", "width"]),
        ("Renamed", ["input_shape", "classes", "classifier", "weights", "name"]),
        ("alias", ["input_shape", "classes", "classifier", "weights", "name"]),
        ("Base", ["depth", "width"]),
        ("Derived", ["depth", "width"]),
        ("Own", ["height", "depth", "width"]),
        ("Twice", ["depth", "width", "height"]),
        (
            "Subclassed",
            [
                *("classes", "width", "name", "trainable", "dtype", "autocast"),
                "activity_regularizer",
            ],
        ),
        ("OfTensorflow", ["classes", "width"]),
        ("OfTensorflowsKeras", ["classes", "width"]),
        ("Stacked", ["classes", "width"]),
    ],
)
def test_the_arguments_of_ones_own(name, expected, module):
    assert list(source_code.arguments(f"{module()}:{name}").names) == expected


def test_a_class_of_a_model_is_known_by_its_source(module):
    names = ("Subclassed", "OfTensorflow", "OfTensorflowsKeras", "Stacked")
    assert all(source_code.is_model_class(f"{module()}:{name}") for name in names)
    assert not any(source_code.is_model_class(f"own_nets:{name}") for name in ("Own", "OfAnother"))


@pytest.mark.parametrize("name", ["SGD", "OfAnother"])
def test_kerass_own_are_followed(name, module):
    found = source_code.arguments(f"{module()}:{name}").names
    assert {"learning_rate", "clipnorm", "use_ema"} <= set(found)
    assert "depth" not in found


@pytest.mark.parametrize(
    "name",
    ["keeps", "sends_away", "decorated", "Data", "Listed", "Computed", "partial", "json", "dumps"],
)
def test_what_the_source_does_not_say_is_left_to_the_run(name, module):
    with pytest.raises(source_code.Undecided):
        source_code.arguments(f"{module()}:{name}")


@pytest.mark.parametrize(
    "text",
    ["def broken(:", "from json import *", "def __getattr__(name): ...", "globals()['a'] = 1"],
)
def test_of_a_module_that_computes_its_names_nothing_is_known(text, module):
    with pytest.raises(source_code.Undecided):
        source_code.arguments(f"{module(text)}:anything")


@pytest.mark.parametrize("path", ["os.path:join", "tensorflow.keras.losses:Hinge", "math:sqrt"])
def test_modules_that_are_not_files_are_left_to_the_run(path):
    with pytest.raises(source_code.Undecided):
        source_code.arguments(path)


def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    path = tmp_path / "nets_here.py"
    path.write_text("from subprocess import run\ndef Net(input_shape, classes, depth=1): ...")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="if you trust it, add --allow-package nets_here"):
        LENET.override(["model=nets_here:Net"])
    with trusted.allowing(["nets_here"]):
        LENET.override(["model=nets_here:Net", 'model_args={"depth": 2}'])
        with pytest.raises(RecipeError, match=r"did you mean model_args\.depth"):
            LENET.override(["model=nets_here:Net", 'model_args={"dept": 2}'])
        with pytest.raises(RecipeError, match="may not run the code of subprocess"):
            LENET.override(["model=nets_here:run"])
        # A scheduler lives longer than what it has read.
        path.write_text("def Net(input_shape, classes, dept=1): ...")
        LENET.override(["model=nets_here:Net", 'model_args={"dept": 2}'])
