"""The experiments behind the claims, tiny, on real digits."""

import numpy as np
import pytest
import tensorflow as tf

from components.claims import images, nets, runs, saddles, surfaces, training
from components.claims.derived import slopes
from components.ingest.idx import read_split
from pipelines.claims import all_claims, find
from pipelines.claims._parts import of_net, small_pixels
from pipelines.recipes._parts import momentum


def never(done=0.0):
    """A budget that does not end."""


@pytest.fixture(scope="module")
def settings():
    return of_net(
        "Stack",
        "mnist",
        14,
        {"maps": [4, 8], "activation": "prelu"},
        train_images=300,
        test_images=200,
        epochs=2,
        every=4,
        optimizer=momentum(0.02),
        measure="components.claims.derived:slopes",
    )


@pytest.fixture(scope="module")
def outcome(settings):
    return training.train(settings, 1, never)


def test_a_training_learns_and_is_measured(outcome):
    assert 0 < outcome.figures["train_error"] < 60
    difference = outcome.figures["test_error"] - outcome.figures["train_error"]
    assert outcome.figures["gap"] == pytest.approx(difference)
    assert outcome.figures["diverged"] == 0
    assert outcome.figures["first_slope"] != 0.25
    assert outcome.curves["train_loss"][0] == [1, 2]
    assert outcome.curves["test_accuracy"][0] == [4, 8, 12]


def test_a_seed_gives_the_same_training(settings, outcome):
    again = training.train(settings, 1, never)
    assert again.figures["test_error"] == outcome.figures["test_error"]
    other = training.train(settings, 2, never)
    assert other.curves["train_loss"] != outcome.curves["train_loss"]


def test_a_training_that_diverges_ends_and_says_so(settings):
    wild = {**settings, "optimizer": momentum(1e30), "epochs": 50, "every": 0}
    outcome = training.train(wild, 0, never)
    assert outcome.figures["diverged"] == 1
    assert "train_loss" not in outcome.curves
    assert outcome.figures["test_error"] > 50


def test_the_budget_ends_a_training_in_the_midst(settings):
    with pytest.raises(runs.BudgetSpent):
        training.train(settings, 0, runs.Check(runs.Budget(0.0)))


def test_a_training_tells_how_far_it_is(settings):
    parts = []
    training.train({**settings, "every": 0}, 0, lambda done=0.0: parts.append(done))
    steps = [part for part in parts if part]
    assert steps == [step / len(steps) for step in range(1, len(steps) + 1)]
    # What comes before the steps, and the measuring after them, can be ended too.
    assert parts[:2] == [0.0, 0.0] and parts[-1] == 0.0


def test_images_are_the_first_of_the_files_brought_to_a_size():
    train, test = images.train_and_test("mnist", small_pixels(28, channels=1), 50, 20)
    pixels, labels = read_split("data/mnist", "train-*-ubyte*")
    np.testing.assert_array_equal(train.arrays[0].numpy()[..., 0], pixels[:50])
    np.testing.assert_array_equal(train.arrays[1], labels[:50])
    assert test.mean.numpy().mean() == pytest.approx(pixels[:50].mean(), abs=1e-3)
    assert images.train_and_test("mnist", small_pixels(10, channels=3), 5, 5)[0].shape == (
        10,
        10,
        3,
    )
    with pytest.raises(ValueError, match="mnist: 10001 test images wanted, it has 10000"):
        images.train_and_test("mnist", small_pixels(28, channels=1), 5, 10_001)


# Loss surfaces.


def test_restarts_side_by_side_train_as_each_would_alone():
    """Against one net after the other with the same weights and order."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6)).astype("float32")
    y = rng.integers(0, 10, 40)
    both = surfaces.Restarts(2, 6, 5, seed=0)
    start = [weight.numpy() for weight in both.weights]
    both.train(tf.constant(x), tf.constant(y), epochs=1, batch=40, rate=0.5, check=never)
    for restart in range(2):
        alone = [tf.Variable(weight[restart]) for weight in start]
        with tf.GradientTape() as tape:
            hidden = tf.nn.relu(x @ alone[0] + alone[1])
            logits = hidden @ alone[2] + alone[3]
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
        for weight, gradient, trained in zip(
            alone, tape.gradient(loss, alone), both.weights, strict=True
        ):
            np.testing.assert_allclose(trained[restart], weight - 0.5 * gradient, atol=1e-6)


def test_the_hessian_may_be_stopped_between_its_columns():
    def stop():
        raise TimeoutError

    weights = [weight.numpy() for weight in surfaces.Restarts(1, 6, 5, seed=0).weights]
    with pytest.raises(TimeoutError):
        surfaces.hessian(weights, tf.zeros((4, 6)), tf.zeros((4,), tf.int64), stop)


def test_the_hessian_is_that_of_central_differences():
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(30, 3)), tf.float64)
    y = tf.constant(rng.integers(0, 10, 30))
    weights = [rng.normal(size=shape) for shape in ((1, 3, 2), (1, 1, 2), (1, 2, 10), (1, 1, 10))]
    matrix = surfaces.hessian(weights, x, y, never)
    sizes = [weight.size for weight in weights]
    flat = np.concatenate([np.ravel(weight) for weight in weights])

    def gradient(vector):
        parts = np.split(vector, np.cumsum(sizes)[:-1])
        nets = [
            tf.Variable(part.reshape(weight.shape))
            for part, weight in zip(parts, weights, strict=True)
        ]
        with tf.GradientTape() as tape:
            loss = surfaces.cross_entropy(surfaces.forward(nets, x[None]), y[None])[0]
        return np.concatenate([np.ravel(one) for one in tape.gradient(loss, nets)])

    step = 1e-6
    columns = [
        (gradient(flat + step * one) - gradient(flat - step * one)) / (2 * step)
        for one in np.eye(len(flat))
    ]
    np.testing.assert_allclose(matrix, np.stack(columns), atol=1e-7)


def test_the_index_is_the_part_of_negative_eigenvalues():
    assert surfaces.index(np.diag([2.0, 1.0, -1.0, -1e-9])) == 25.0


def test_restarts_of_digits_have_a_spread_and_a_correlation():
    tiny = {**find("loss-surfaces").variants["n25"], "train_images": 300, "test_images": 200}
    tiny |= {"hidden": 4, "restarts": 5, "epochs": 3, "hessian_images": 50}
    outcome = surfaces.restarts(tiny, 0, never)
    assert outcome.figures["spread"] > 0
    assert -1 <= outcome.figures["correlation"] <= 1
    assert 0 <= outcome.figures["index"] < 50
    assert outcome.figures["train_loss"] < np.log(10)
    assert len(outcome.curves["losses"][0]) == 5


# Saddle points.


@pytest.mark.parametrize("method", ["sgd", "damped-newton", "saddle-free-newton"])
def test_small_nets_descend_by_each_method(method):
    settings = find("saddle-points").variants[f"mnist-4-{method}"]
    tiny = {**settings, "train_images": 60, "side": 4, "hidden": 2}
    tiny |= {"updates": 3} if method != "sgd" else {"epochs": 3, "rates": [0.03, 1e30]}
    outcome = saddles.descend(tiny, 0, never)
    losses = outcome.curves["train_loss"][1]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert outcome.figures["negative"] >= 0


# The nets and the recipes.


def test_the_stack_has_what_it_is_asked_for():
    net = nets.Stack((8, 8, 1), 3, [4], 1, "batch", "prelu", units=[5], dropout=0.5, noise=0.1)
    kinds = [type(layer).__name__ for layer in net.layers]
    expected = ["GaussianNoise", "Conv2D", "BatchNormalization", "PReLU", "Dropout", "Dense"]
    assert set(expected) <= set(kinds)
    # A slope a map, and a slope a unit.
    assert [layer.alpha.shape for layer in net.layers if "PReLU" in str(layer)] == [(1, 1, 4), (5,)]
    assert slopes(net) == {"first_slope": 0.25, "later_slope": 0.25}
    local = nets.Stack((8, 8, 1), 3, [4], 2, "local")
    assert sum("LocalResponse" in type(layer).__name__ for layer in local.layers) == 1
    with pytest.raises(ValueError, match="none, batch, local"):
        nets.Stack((8, 8, 1), 3, normalization="layer")


def test_the_colours_are_a_second_task_of_a_net_that_sees_grey():
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(5, 8, 8, 3)).astype("float32")
    grey = np.repeat(pictures.mean(axis=-1, keepdims=True), 3, axis=-1)
    net = nets.Stack((8, 8, 3), 3, [4], 1, units=[6], colour_task=0.5)
    np.testing.assert_allclose(net(pictures), net(grey), atol=1e-5)
    # Of grey pictures nothing is to be guessed, and these features guess nothing.
    task = net.get_layer("colours")
    task.guess.kernel.assign(np.zeros((6, 48)))
    net(grey)
    assert float(net.losses[0]) == pytest.approx(0, abs=1e-10)
    net(pictures)
    colours = (pictures - grey).reshape(5, 4, 2, 4, 2, 3).mean(axis=(2, 4)) / 0.26
    assert float(net.losses[0]) == pytest.approx(0.5 * np.mean(colours**2), rel=1e-5)
    alone = nets.Stack((8, 8, 3), 3, [4], 1, units=[6], colour_task=0.0)
    alone(pictures)
    assert not alone.losses


def test_every_claim_says_what_is_smaller_and_compares_over_seeds():
    claims = all_claims()
    for claim in claims.values():
        assert claim.name.startswith("claim-")
        assert len(claim.seeds) >= 3
        assert claim.comparisons and claim.plots and claim.here


@pytest.mark.parametrize(
    ("claim", "variant"),
    [
        (claim.name, variant)
        for claim in all_claims().values()
        if claim.experiment.endswith("training:train")
        for variant in list(claim.variants)[-1:]
    ],
)
def test_the_variants_can_be_trained(claim, variant):
    """The last of each claim for a step or two; the others differ from it in values alone."""
    whole = find(claim).variants[variant]
    tiny = {**whole, "train_images": 4, "test_images": 4, "batch_size": 2, "epochs": 1, "every": 0}
    if tiny["dataset"] == "cifar10":
        tiny |= {"dataset": "mnist"}
    if "depth" in tiny["model_args"]:
        tiny |= {"model_args": {**tiny["model_args"], "depth": 8}}
    assert "test_error" in training.train(tiny, 0, never).figures
