"""vSGD and the optimizers with a diagonal Hessian against steps computed by hand, and in fit."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_models.optimizers import VSGD, DiagonalNewton, StochasticDiagonalLM, with_curvature

MAKERS = {
    "vsgd-l": lambda: VSGD("l", initial_steps=3),
    "vsgd-b": lambda: VSGD("b", initial_steps=3),
    "vsgd-g": lambda: VSGD("g", initial_steps=3),
    "newton": lambda: DiagonalNewton(0.3, mu=0.5),
    "lm": lambda: StochasticDiagonalLM(0.05, mu=0.1, curvature_examples=4),
}


def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dense(3),
        ]
    )


def compiled(optimizer, model=None) -> keras.Model:
    model = model or net()
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return with_curvature(model)


@pytest.fixture(scope="module")
def examples():
    x = np.random.default_rng(0).standard_normal((48, 6)).astype("float32")
    return x, np.argmax(x[:, :3], axis=1).astype("int32")


def fitted(model, examples, epochs=1):
    x, y = examples
    return model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history


def steps(optimizer, pairs):
    """The values of one variable of three numbers, from given gradients and curvatures."""
    variable = keras.Variable(np.array([1.0, -2.0, 0.5], "float64"), dtype="float64")
    optimizer.build([variable])
    values = []
    for gradient, diagonal in pairs:
        with optimizer.knowing([keras.ops.convert_to_tensor(diagonal)]):
            optimizer.apply([keras.ops.convert_to_tensor(gradient)])
        values.append(keras.ops.convert_to_numpy(variable))
    return values


PAIRS = [
    (np.random.default_rng(n).standard_normal(3) + 0.5, np.array([1.0, 0.2, -3.0]) * (n + 1))
    for n in range(6)
]


@pytest.mark.parametrize("variant", ["l", "b", "g"])
def test_vsgd_is_algorithm_1(variant):
    # Written out as the paper has it: n_0 = 2 samples, overestimated by C = 3, then the loop.
    w, found = np.array([1.0, -2.0, 0.5]), []
    gradients, curvatures = zip(*PAIRS, strict=True)
    g = np.mean(gradients[:2], axis=0)
    h = 3 * np.mean(np.abs(curvatures[:2]), axis=0)
    local = variant == "l"
    squares = [gradient**2 if local else np.sum(gradient**2) for gradient in gradients]
    v = 3 * np.mean(squares[:2], axis=0)
    tau = 2.0
    for gradient, curvature, square in zip(gradients[2:], curvatures[2:], squares[2:], strict=True):
        g = (1 - 1 / tau) * g + gradient / tau
        v = (1 - 1 / tau) * v + square / tau
        h = (1 - 1 / np.max(tau)) * h + np.abs(curvature) / tau if not local else (
            (1 - 1 / tau) * h + np.abs(curvature) / tau
        )  # fmt: skip
        power = g**2 if local else np.sum(g**2)
        w = w - power / ((h if local else h.max()) * v) * gradient
        tau = (1 - power / v) * tau + 1
        found.append(w)
    optimizer = VSGD(variant, slow_start=3, initial_steps=2, epsilon=1e-12)
    values = steps(optimizer, PAIRS)
    np.testing.assert_array_equal(values[1], [1.0, -2.0, 0.5])
    np.testing.assert_allclose(values[2:], found, rtol=1e-6)


def test_diagonal_newton_is_equation_6():
    w, found = np.array([1.0, -2.0, 0.5]), []
    for gradient, curvature in PAIRS:
        w = w - 0.1 * gradient / (np.abs(curvature) + 0.5)
        found.append(w)
    np.testing.assert_allclose(steps(DiagonalNewton(0.1, mu=0.5), PAIRS), found, rtol=1e-6)


def test_diagonal_levenberg_marquardt_divides_by_the_running_average():
    w, h, found = np.array([1.0, -2.0, 0.5]), 0.0, []
    for number, (gradient, curvature) in enumerate(PAIRS, 1):
        h = 0.9 * h + 0.1 * np.abs(curvature)
        w = w - 0.01 * gradient / (h / (1 - 0.9**number) + 0.02)
        found.append(w)
    optimizer = StochasticDiagonalLM(0.01, mu=0.02, gamma=0.1)
    pairs = [(gradient, np.abs(curvature)) for gradient, curvature in PAIRS]
    np.testing.assert_allclose(steps(optimizer, pairs), found, rtol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_fit_learns_and_goes_on_as_if_it_had_not_stopped(name, examples, tmp_path):
    whole = compiled(MAKERS[name]())
    history = fitted(whole, examples, epochs=4)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert history["accuracy"][-1] > history["accuracy"][0]
    first = compiled(MAKERS[name]())
    fitted(first, examples, epochs=2)
    first.save_weights(tmp_path / "state.weights.h5")
    second = compiled(MAKERS[name]())
    second.load_weights(tmp_path / "state.weights.h5")
    fitted(second, examples, epochs=2)
    for one, other in zip(second.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    first.save(tmp_path / "model.keras")
    loaded = with_curvature(keras.models.load_model(tmp_path / "model.keras"))
    assert loaded.optimizer.get_config() == first.optimizer.get_config()
    fitted(loaded, examples, epochs=2)
    for one, other in zip(loaded.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_says_what_is_missing(examples):
    model = net()
    model.compile(VSGD(), "sparse_categorical_crossentropy")
    with pytest.raises(RuntimeError, match=r"call .*with_curvature\(model\)"):
        fitted(model, examples)
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="SGD takes no curvature"):
        with_curvature(model)
    for make in (
        lambda: VSGD("x"),
        lambda: VSGD(slow_start=0.5),
        lambda: DiagonalNewton(mu=0.0),
        lambda: StochasticDiagonalLM(gamma=2.0),
        lambda: VSGD(curvature_examples=0),
    ):
        with pytest.raises(ValueError, match="must be"):
            make()


@pytest.mark.parametrize(
    ("compiled", "words"),
    [
        ({"loss_weights": [2.0]}, "loss_weights"),
        ({"loss": keras.losses.MeanSquaredError(reduction="sum")}, "reduction='sum'"),
    ],
)
def test_refuses_another_loss_than_the_mean(compiled, words):
    model = net()
    model.compile(VSGD(), **{"loss": "mse", **compiled})
    with pytest.raises(ValueError, match=words):
        with_curvature(model)


def test_refuses_penalties_of_activations():
    dense = keras.layers.Dense(2, activity_regularizer="l2", name="penalized")
    model = keras.Sequential([keras.Input((3,)), dense])
    model.compile(VSGD(), "mse")
    with pytest.raises(ValueError, match="penalized has an activity_regularizer"):
        with_curvature(model)


def test_refuses_mixed_precision(examples):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = net()
        model.compile(VSGD(), "mse")
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(TypeError, match="need float32"):
        with_curvature(model)


ON_JAX = """
import json, sys
import keras, numpy as np
sys.path.insert(0, sys.argv[1])
import test_optimizers_first_order as same
x = np.random.default_rng(0).standard_normal((48, 6)).astype("float32")
examples = x, np.argmax(x[:, :3], axis=1).astype("int32")
start = np.load(sys.argv[2])
answers = {}
for name, make in same.MAKERS.items():
    model = same.net()
    model.set_weights([start[f"arr_{n}"] for n in range(4)])
    answers[name] = same.fitted(same.compiled(make(), model), examples, epochs=3)["loss"]
print(json.dumps(answers))
"""


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_the_same_losses_on_jax(examples, tmp_path):
    np.savez(tmp_path / "start.npz", *net().get_weights())
    here = Path(__file__)
    ran = subprocess.run(
        [sys.executable, "-c", ON_JAX, str(here.parent), str(tmp_path / "start.npz")],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(here.parents[2]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answers = json.loads(ran.stdout.splitlines()[-1])
    for name, make in MAKERS.items():
        losses = fitted(compiled(make()), examples, epochs=3)["loss"]
        np.testing.assert_allclose(answers[name], losses, rtol=1e-3)
