"""The task of depths and normals against the two that it is composed of."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from components.tasks import depth_normals, normals
from components.tasks.depth import metrics as of_depth
from components.tasks.depth_normals import answers, metrics, targets
from components.tasks.normals import metrics as of_normals
from keras_models.depth import MultiScaleDepth
from keras_models.losses import LogDepthLoss, NormalsLoss

NO_CROP = {"crop": False}
SIZE = (60, 80)


@pytest.fixture
def maps():
    """Truths of three pictures, with holes of their own in each map, and answers to them."""
    rng = np.random.default_rng(0)
    depths = rng.uniform(1, 9, (3, *SIZE)) * (rng.uniform(size=(3, *SIZE)) > 0.2)
    vectors = rng.normal(size=(3, *SIZE, 3))
    vectors[rng.uniform(size=(3, *SIZE)) < 0.3] = 0
    truths = [
        {"depth": np.float32(d), "normals": np.float32(n)}
        for d, n in zip(depths, vectors, strict=True)
    ]
    given = {
        "depth": rng.uniform(1, 9, (3, *SIZE)),
        "normals": vectors + rng.normal(size=vectors.shape),
    }
    return truths, given


def test_its_figures_are_those_of_the_two_tasks(maps):
    truths, given = maps
    found = metrics.figures(metrics.rows(given, truths, NO_CROP), NO_CROP)
    expected = {
        **of_depth.figures(of_depth.rows(given, [t["depth"] for t in truths], NO_CROP), NO_CROP),
        **of_normals.figures(of_normals.rows(given, [t["normals"] for t in truths], {}), {}),
    }
    assert found == expected and None not in found.values()
    assert set(expected) == {each.name for each in depth_normals.TASK.metrics}


def test_its_constant_answer_is_those_of_the_two_tasks(maps):
    truths, _ = maps
    found = metrics.constant(iter([truths[:2], truths[2:]]), [], NO_CROP)
    for name, part in (("depth", of_depth), ("normals", of_normals)):
        own = part.constant(iter([[t[name] for t in truths]]), [], NO_CROP)
        np.testing.assert_array_equal(found[name], own[name])


def test_a_map_without_a_valid_pixel_leaves_the_other_its_figures(maps):
    truths, given = maps
    blind = [{**truth, "normals": 0 * truth["normals"]} for truth in truths]
    found = metrics.figures(metrics.rows(given, blind, NO_CROP), NO_CROP)
    assert found["angle_mean"] is None and found["abs_rel"] is not None


def test_normals_worse_than_chance_are_not_served():
    (_, second) = depth_normals.TASK.blessing
    assert second.passes(89.0, second.bound) and not second.passes(91.0, second.bound)
    assert normals.TASK.blessing[0].bound is None


def test_one_network_learns_both():
    keras.utils.set_random_seed(3)
    net = MultiScaleDepth(
        (*SIZE, 3), ("depth", "normals"), 2, "vgg", width=0.125, units=16, feature_scale=1.0
    )
    answers.check(net, None)
    net.compile(keras.optimizers.Adam(1e-3), {"depth": LogDepthLoss(), "normals": NormalsLoss()})
    seen = tf.random.stateless_uniform([2, *SIZE, 3], [1, 2], 0, 4)
    fitted = targets.fitted(targets.sample(2, SIZE, None), net)
    assert {name: tuple(each.shape) for name, each in fitted.items()} == {
        name: (2, *output.shape[1:3], each)
        for (name, output), each in zip(net.output.items(), (1, 3), strict=True)
    }
    history = net.fit(seen, fitted, epochs=6, verbose=0).history
    for name in ("depth_loss", "normals_loss", "loss"):
        assert history[name][-1] < history[name][0], name
    served = answers.served(net(seen), tf.constant([]), SIZE)
    assert {name: tuple(each.shape) for name, each in served.items()} == {
        "depth": (2, *SIZE),
        "normals": (2, *SIZE, 3),
    }


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (lambda x: x, "gives outputs without names; wanted is a mapping of depth and normals"),
        (lambda x: {"depth": x}, r"gives \['depth'\]; wanted"),
        (lambda x: {"depth": x, "normals": x}, "a map of log depths"),
        (lambda x: {"depth": x[..., :1], "normals": x[..., :2]}, "a map of normals"),
    ],
)
def test_a_network_of_other_answers_is_refused(outputs, message):
    image = keras.Input((8, 8, 3))
    net = keras.Model(image, outputs(layers.Conv2D(3, 3)(image)))
    with pytest.raises(ValueError, match=message):
        answers.check(net, None)
