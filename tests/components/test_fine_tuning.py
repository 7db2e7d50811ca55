"""What a pretrained network is trained with, on scikit-learn's digits and parts of photographs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components import tasks
from components.settings import RecipeError
from components.train import balance, data, fitting
from components.train.fine_tuning import Freezing, slow_down
from components.train.network import for_outputs
from keras_models.optimizers import DiagonalNewton

SHAPE = (8, 8, 1)


def nested() -> keras.Model:
    """A backbone that is a model itself, with a normalisation, below a pooling and a head."""
    keras.utils.set_random_seed(4)
    backbone = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(6, 3, name="conv1"),
            keras.layers.BatchNormalization(name="bn1"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(8, 3, name="conv2"),
        ],
        name="below",
    )
    image = keras.Input(SHAPE)
    x = keras.layers.GlobalAveragePooling2D()(backbone(image))
    logits = keras.layers.Dense(10, name="logits")(keras.layers.Dropout(0.1)(x))
    return keras.Model(image, keras.layers.Activation("linear")(logits))


def compiled(recipe, optimizer=None, **arguments) -> keras.Model:
    model = nested()
    optimizer = optimizer or keras.optimizers.SGD(0.1)
    slow_down(model, optimizer, recipe)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **arguments)
    model.optimizer.build(model.trainable_variables)
    return model


class Values(keras.callbacks.Callback):
    """The variables' values after each epoch, by path."""

    def __init__(self):
        super().__init__()
        self.by_epoch = []

    def on_epoch_end(self, epoch, logs=None):
        self.by_epoch.append({each.path: np.array(each) for each in self.model.variables})


def values_by_epoch(digits, recipe, epochs=3, **arguments) -> list[dict[str, np.ndarray]]:
    images, labels = digits
    pixels = images[:64, ..., None].astype("float32") / 255
    batches = tf.data.Dataset.from_tensor_slices((pixels, labels[:64])).batch(16)
    model = compiled(recipe, **arguments)
    values = Values()
    callbacks = [Freezing(model, recipe, 4), values]
    values.by_epoch.append({each.path: np.array(each) for each in model.variables})
    fitting.fit(model, batches, 4, range(epochs), callbacks=callbacks, verbose=0)
    assert all(layer.trainable for layer in model.layers)
    return values.by_epoch


def changed(before, after) -> set[str]:
    """The layers whose variables have changed; the seeds of dropout apart."""
    found = (path for path, value in before.items() if not np.array_equal(value, after[path]))
    return {path.split("/")[-2] for path in found if "seed" not in path}


@pytest.mark.parametrize("steps_per_execution", [1, 3])
@pytest.mark.parametrize("layers", [["backbone"], ["conv?", "bn*"]])
def test_frozen_layers_learn_after_their_epochs(layers, steps_per_execution, digits):
    recipe = {"freeze": {"layers": layers, "epochs": 2}}
    values = values_by_epoch(digits, recipe, steps_per_execution=steps_per_execution)
    # The statistics of the normalisation do not move, either.
    assert changed(values[0], values[2]) == {"logits"}
    assert changed(values[2], values[3]) == {"conv1", "bn1", "conv2", "logits"}


def test_layers_are_frozen_for_ever(digits):
    values = values_by_epoch(digits, {"freeze": {"layers": ["conv1", "bn1"], "epochs": None}})
    assert changed(values[0], values[3]) == {"conv2", "logits"}


def test_without_the_keys_a_training_is_what_it_was(digits):
    """Recipes of before have none of them."""
    explicit = {"freeze": {"layers": [], "epochs": None}, "backbone_rate": 1.0}
    one, other = (values_by_epoch(digits, recipe, epochs=1)[-1] for recipe in ({}, explicit))
    for value, same in zip(one.values(), other.values(), strict=True):
        np.testing.assert_array_equal(value, same)


def test_a_smaller_rate_is_the_backbones_alone(digits):
    images, labels = digits
    batch = images[:16, ..., None].astype("float32") / 255, labels[:16]
    moved = []
    for recipe in ({}, {"backbone_rate": 0.1}):
        model = compiled(recipe)
        before = {each.path: np.array(each) for each in model.trainable_variables}
        keras.utils.set_random_seed(1)
        model.train_on_batch(*batch)
        moved.append({v.path: np.array(v) - before[v.path] for v in model.trainable_variables})
    for path, whole in moved[0].items():
        part = whole if path.startswith("logits") else 0.1 * whole
        np.testing.assert_allclose(moved[1][path], part, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["conv_1"], "no layer with weights is called 'conv_1': did you mean conv1"),
        (["backbones"], "did you mean backbone"),
        (["*"], "leaves no layer that learns"),
    ],
)
def test_layers_that_cannot_be_frozen_are_told(layers, message):
    model = compiled({})
    with pytest.raises(ValueError, match=message):
        Freezing(model, {"freeze": {"layers": layers, "epochs": 1}}, 4)


def test_a_network_without_a_backbone_and_optimizers_of_all_variables_are_refused():
    flat = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(10)])
    with pytest.raises(ValueError, match="no backbone"):
        slow_down(keras.Model(flat.inputs, flat.outputs), None, {"backbone_rate": 0.1})
    with pytest.raises(ValueError, match=r"backbone_rate is for .* DiagonalNewton"):
        compiled({"backbone_rate": 0.1}, DiagonalNewton(0.1))


def test_classes_count_alike_where_they_are_balanced(photographs):
    images, names = photographs.images, ["astronaut", "coffee", "chelsea"]
    assert balance.by_class({}, images, names) is None
    assert balance.by_class({"class_weights": "balanced"}, images, names) == [1.0, 1.0, 1.0]
    # As of a class that the training images do not have, and others that are all there is.
    more = balance.by_class({"class_weights": "balanced"}, images, [*names, "rocket"])
    assert more == [1.0, 1.0, 1.0, 1.0]
    some = balance.by_class({"class_weights": {"coffee": 3}}, images, names)
    assert some == [1.0, 3.0, 1.0]
    with pytest.raises(RecipeError, match="no class 'cofee': did you mean coffee"):
        balance.by_class({"class_weights": {"cofee": 3}}, images, names)


def test_a_balanced_class_counts_by_how_rare_it_is():
    targets = tasks.find("classification").part("targets")
    counts = targets.counts({"label": tf.constant([0, 0, 0, 2], tf.int64)}, 3)
    assert counts.numpy().tolist() == [3, 0, 1]

    class Few:
        """What `by_class` reads of `data.Images`."""

        records = tf.data.Dataset.from_tensor_slices(
            [
                tf.train.Example(
                    features=tf.train.Features(
                        feature={
                            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
                        }
                    )
                ).SerializeToString()
                for label in (0, 0, 0, 2)
            ]
        )

    Few.targets = targets
    found = balance.by_class({"class_weights": "balanced"}, Few, ["a", "b", "c"])
    np.testing.assert_allclose(found, [4 / 6, 1.0, 2.0])


def test_the_loss_counts_classes_by_their_weights(digits):
    images, labels = digits
    pixels = images[:40, ..., None].astype("float32") / 255
    batches = tf.data.Dataset.from_tensors((pixels, labels[:40]))
    targets = tasks.find("classification").part("targets")
    by_class = [1.0, 5.0, *[0.5] * 8]
    model = compiled({})
    (batch,) = for_outputs(model, batches, targets, by_class)
    weights = np.take(by_class, labels[:40])
    np.testing.assert_allclose(batch[2], weights)
    losses = keras.losses.sparse_categorical_crossentropy(
        labels[:40], model(pixels), from_logits=True
    )
    found = model.evaluate(*batch[:2], sample_weight=batch[2], verbose=0)
    assert found == pytest.approx(float(np.mean(weights * losses)), rel=1e-5)
    two = keras.Model(model.input, [model.output, model.output])
    (batch,) = for_outputs(two, batches, targets, by_class)
    assert [len(part) for part in batch[1:]] == [2, 2]


@pytest.mark.parametrize(
    ("count", "batch", "taken", "steps"),
    [(60, 128, 8, 7), (60, 31, 8, 7), (60, 30, 30, 2), (60, 16, 16, 3), (3, 32, 1, 3)],
)
def test_an_epoch_of_few_images_is_not_one_step(count, batch, taken, steps):
    class Few:
        """What is asked of `data.Images`."""

    Few.count = count
    recipe = {"batch_size": batch}
    assert data.batch_size(Few, recipe) == taken
    assert data.steps_per_epoch(Few, recipe) == steps


def test_batches_of_few_images_have_that_size(photographs):
    recipe = {
        "batch_size": 128,
        "epochs": 2,
        "seed": 0,
        "augment": (),
        "distorted_copies": 0,
        "preprocess": photographs.preprocess,
    }
    batches = list(data.training_batches(photographs.images, recipe))
    assert [len(labels) for _, labels in batches] == [8] * 14
