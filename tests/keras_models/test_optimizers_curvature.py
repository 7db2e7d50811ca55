"""Hessian, Gauss-Newton and Lanczos products against explicit matrices, in float64."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

# Run as it stands on the JAX backend, too, in a process of its own.
CHECK = """
import keras, numpy as np
from keras import ops
from keras_models.optimizers import Objective, curvature

keras.utils.set_random_seed(1)
random = np.random.default_rng(0)
double = dict(dtype="float64")
model = keras.Sequential([
    keras.Input((5, 5, 1), **double),
    # Not tanh, which XLA computes to 5e-8 on processors, whatever the type.
    keras.layers.Conv2D(2, 2, activation="softplus", **double),
    keras.layers.MaxPooling2D(2, **double),
    keras.layers.Flatten(**double),
    keras.layers.Dense(4, activation="softplus", kernel_regularizer=keras.regularizers.L2(0.1),
                       **double),
    keras.layers.Dense(3, **double),
])
x, y = random.standard_normal((8, 5, 5, 1)), np.arange(8) % 3
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
objective = Objective(model, loss, chunk=5)
theta = objective.vector
assert theta.dtype == "float64" and theta.size == model.count_params()

def relative(a, b):
    return np.abs(a - b).max() / np.abs(b).max()

# The Hessian by differences of the gradient, which are checked by differences of the loss.
assert objective.gradient_error(x, y) < 1e-6, objective.gradient_error(x, y)
step = 1e-5
differences = []
for one in np.eye(theta.size):
    ahead, behind = (objective.loss_and_gradient(theta + s * step * one, x, y)[1] for s in (1, -1))
    differences.append((ahead - behind) / (2 * step))
explicit = np.stack(differences)
assert relative(objective.hessian(theta, x, y), explicit) < 1e-7
v = random.standard_normal(theta.size)
assert relative(objective.hessian_product(theta, x, y, v), explicit @ v) < 1e-5

# The Gauss-Newton matrix J^T H_L J, from Jacobians by differences and the softmax' p - p p^T.
def outputs(vector):
    objective.assign(vector)
    values = ops.convert_to_numpy(model(x))
    objective.assign(theta)
    return values
jacobian = np.stack([(outputs(theta + step * one) - outputs(theta - step * one)) / (2 * step)
                     for one in np.eye(theta.size)], axis=-1)
p = np.exp(outputs(theta)); p /= p.sum(axis=1, keepdims=True)
matrix = np.zeros_like(explicit)
for one_p, one_j in zip(p, jacobian):
    matrix += one_j.T @ (np.diag(one_p) - np.outer(one_p, one_p)) @ one_j / len(x)
penalty = np.concatenate([np.full(np.prod(w.shape), 0.2 if w.regularizer else 0.0)
                          for w in model.trainable_variables])
matrix += np.diag(penalty)
assert relative(objective.gauss_newton_product(theta, x, y, v), matrix @ v) < 1e-5

# Squares of the gradients of single examples.
alone = [objective.loss_and_gradient(theta, x[i : i + 1], y[i : i + 1])[1] for i in range(len(x))]
assert relative(objective.squared_gradients(theta, x, y), np.mean(np.square(alone), axis=0)) < 1e-9

basis, projected = curvature.lanczos(
    lambda v: objective.hessian_product(theta, x, y, v), v, theta.size
)
assert relative(basis.T @ basis, np.eye(basis.shape[1])) < 1e-10
assert relative(basis.T @ explicit @ basis, projected) < 1e-5
found, expected = np.linalg.eigvalsh(projected), np.linalg.eigvalsh(explicit)
assert relative(found[[0, -1]], expected[[0, -1]]) < 1e-5
print("as explicit")
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_products_are_those_of_the_explicit_matrices(backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    root = str(Path(__file__).parents[2])
    ran = subprocess.run(
        [sys.executable, "-c", CHECK],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_X64": "1",
            "PYTHONPATH": root,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.endswith("as explicit\n"), ran.stderr


def test_lanczos_of_a_small_space_ends_early():
    from keras_models.optimizers import curvature

    matrix = np.diag([1.0, 1.0, 1.0, -2.0])
    basis, projected = curvature.lanczos(lambda v: matrix @ v, np.ones(4), 4)
    assert basis.shape == (4, 2)
    np.testing.assert_allclose(np.linalg.eigvalsh(projected), [-2, 1], atol=1e-12)
    with pytest.raises(ValueError, match="finite vector other than 0"):
        curvature.lanczos(lambda v: v, np.zeros(4), 2)
