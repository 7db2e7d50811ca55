"""The diagonal of one backward pass against explicit second derivatives, where it is exact."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_models.classification import LeNet1, LeNet5, LeNet5ReLU
from keras_models.layers import scaled_tanh
from keras_models.losses import MAPCriterion
from keras_models.optimizers import DiagonalHessian, Objective, curvature

DOUBLE = {"dtype": "float64"}


def mean_squares(y, z):
    return keras.losses.mean_squared_error(y, z)


def diagonal_of(model, losses, x, y, **arguments):
    weights = curvature.values_of(model.trainable_variables)
    return DiagonalHessian(model, losses, **arguments)(weights, tf.constant(x), tf.constant(y))


def flat(tensors):
    return np.concatenate([np.asarray(tensor).reshape(-1) for tensor in tensors])


@pytest.mark.parametrize("activation", ["tanh", "relu", scaled_tanh])
def test_one_hidden_layer_is_exact(activation):
    # With squared errors no output acts on another, and a hidden weight on one unit only.
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((3,), **DOUBLE),
            keras.layers.Dense(4, activation=activation, **DOUBLE),
            keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.3), **DOUBLE),
        ]
    )
    x, y = random.standard_normal((5, 3)), random.standard_normal((5, 2))
    objective = Objective(model, keras.losses.MeanSquaredError())
    theta = objective.vector
    loss, outputs, gradient, full = diagonal_of(model, mean_squares, x, y, gauss_newton=False)
    expected_loss, expected = objective.loss_and_gradient(theta, x, y)
    assert float(loss) == pytest.approx(expected_loss)
    np.testing.assert_allclose(outputs, model(x))
    np.testing.assert_allclose(flat(gradient), expected, rtol=1e-9)
    exact = np.diag(objective.hessian(theta, x, y))
    np.testing.assert_allclose(flat(full), exact, rtol=1e-7, atol=1e-12)
    *_, newton = diagonal_of(model, mean_squares, x, y)
    exact = [objective.gauss_newton_product(theta, x, y, e)[n] for n, e in enumerate(np.eye(26))]
    np.testing.assert_allclose(flat(newton), exact, rtol=1e-7, atol=1e-12)


def test_two_hidden_layers_follow_the_recursion():
    # Becker and LeCun 1989: h(a) = f'^2 sum_k w_k^2 h_k + f'' dE/dx, and h(w) = x^2 h(a).
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    layers = [keras.layers.Dense(n, activation="tanh", **DOUBLE) for n in (4, 3)]
    layers.append(keras.layers.Dense(2, **DOUBLE))
    model = keras.Sequential([keras.Input((3,), **DOUBLE), *layers])
    x, y = random.standard_normal((5, 3)), random.standard_normal((5, 2))
    weights = [np.asarray(layer.kernel) for layer in layers]
    inputs = [x]
    for weight in weights[:2]:
        inputs.append(np.tanh(inputs[-1] @ weight))
    # The mean over 5 examples of the mean over 2 outputs.
    error = 2 * (inputs[-1] @ weights[-1] - y) / 10
    for gauss_newton in (True, False):
        slope, curved, expected = error, np.full((5, 2), 2 / 10), []
        for values, weight in zip(inputs[::-1], weights[::-1], strict=True):
            expected = [values.T**2 @ curved, curved.sum(0), *expected]
            slope, curved = slope @ weight.T, curved @ weight.T**2
            first = 1 - values**2
            second = 0.0 if gauss_newton else -2 * values * first
            slope, curved = first * slope, first**2 * curved + second * slope
        *_, found = diagonal_of(model, mean_squares, x, y, gauss_newton=gauss_newton)
        np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-9, atol=1e-12)


def test_the_losss_own_curvature_is_that_of_a_softmax():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,), **DOUBLE), keras.layers.Dense(4, **DOUBLE)])
    x, y = np.random.default_rng(0).standard_normal((5, 3)), np.arange(5) % 4
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    objective = Objective(model, loss)
    *_, diagonal = diagonal_of(model, loss.call, x, y)
    exact = np.diag(objective.hessian(objective.vector, x, y))
    np.testing.assert_allclose(flat(diagonal), exact, rtol=1e-7)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_shared_weights_sum_over_their_connections(pooling):
    # Each place gets a kernel of its own; a connection's weight then acts on one unit alone.
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    pool = {"average": keras.layers.AveragePooling2D, "max": keras.layers.MaxPooling2D}[pooling]
    model = keras.Sequential(
        [
            keras.Input((5, 5, 2), **DOUBLE),
            keras.layers.Conv2D(3, 2, activation="tanh", **DOUBLE),
            pool(2, **DOUBLE),
            keras.layers.Flatten(**DOUBLE),
            keras.layers.Dense(3, **DOUBLE),
        ]
    )
    x, y = random.standard_normal((4, 5, 5, 2)), random.standard_normal((4, 3))
    *_, diagonal = diagonal_of(model, mean_squares, x, y)
    conv, pooled, flattened, dense = model.layers
    patches = tf.image.extract_patches(x, [1, 2, 2, 1], [1, 1, 1, 1], [1, 1, 1, 1], "VALID")
    kernel = tf.reshape(conv.kernel.value, (8, 3))
    untied = tf.tile(kernel[None, None], (4, 4, 1, 1))
    with tf.GradientTape() as tape:
        tape.watch(untied)
        a = tf.einsum("nijk,ijko->nijo", patches, untied) + conv.bias.value
        outputs = dense(flattened(pooled(tf.tanh(a))))
    jacobian = tape.jacobian(outputs, untied)
    # The curvature of the mean squared error is 2 / 3 an output, and the loss a mean of 4.
    expected = tf.reduce_sum(tf.square(jacobian), (0, 1, 2, 3)) * (2 / 3) / 4
    np.testing.assert_allclose(
        np.asarray(diagonal[0]).reshape(8, 3), expected, rtol=1e-9, atol=1e-12
    )


def test_part_of_the_batch_gives_the_diagonal_of_that_part():
    model = LeNet5ReLU()
    random = np.random.default_rng(0)
    x, y = random.uniform(size=(6, 32, 32, 1)).astype("float32"), np.arange(6)
    losses = keras.losses.SparseCategoricalCrossentropy(from_logits=True).call
    _, _, gradient, part = diagonal_of(model, losses, x, y, examples=2)
    *_, expected = diagonal_of(model, losses, x[:2], y[:2])
    _, _, whole, _ = diagonal_of(model, losses, x, y)
    np.testing.assert_allclose(flat(part), flat(expected), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(flat(gradient), flat(whole), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("gauss_newton", [True, False])
@pytest.mark.parametrize(("net", "side"), [(LeNet1, 16), (LeNet5, 32)])
def test_the_lenets_are_covered(net, side, gauss_newton):
    keras.utils.set_random_seed(0)
    model = net()
    random = np.random.default_rng(0)
    x, y = random.uniform(size=(4, side, side, 1)).astype("float32"), np.arange(4)
    *_, diagonal = diagonal_of(model, MAPCriterion().call, x, y, gauss_newton=gauss_newton)
    values = flat(diagonal)
    assert values.size == model.count_params() - sum(
        int(np.prod(v.shape)) for v in model.non_trainable_variables
    )
    assert np.isfinite(values).all() and np.abs(values).max() > 0
    assert (values >= 0).all() or not gauss_newton


def test_rbf_units_are_exact():
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    from keras_models.layers import EuclideanRBF

    model = keras.Sequential(
        [
            keras.Input((3,), **DOUBLE),
            keras.layers.Dense(84, **DOUBLE),
            EuclideanRBF(1, **DOUBLE),
            keras.layers.Rescaling(-0.5, **DOUBLE),
        ]
    )
    x, y = random.standard_normal((4, 3)), random.standard_normal((4, 1))
    objective = Objective(model, keras.losses.MeanSquaredError())
    *_, diagonal = diagonal_of(model, mean_squares, x, y, gauss_newton=False)
    exact = np.diag(objective.hessian(objective.vector, x, y))
    np.testing.assert_allclose(flat(diagonal), exact, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([keras.layers.BatchNormalization()], "does not cover batch_norm.*BatchNormalization"),
        ([keras.layers.Dropout(0.5)], "does not cover drop.*Dropout"),
        ([keras.layers.Dense(2, activation="softmax")], "give logits"),
        ([keras.layers.Reshape((3, 1))], r"One output \[N, classes\] is needed"),
        ([keras.layers.Dense(2, dtype="mixed_float16")], "mixed_precision=false"),
    ],
)
def test_says_what_it_does_not_cover(layers, words):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), *layers])
    with pytest.raises(ValueError, match=words):
        DiagonalHessian(model, mean_squares)


@pytest.mark.parametrize("gauss_newton", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8"])
def test_takes_arrays_of_any_type_as_well_as_tensors(gauss_newton, dtype):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Dense(3, activation="tanh")]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])
    x = np.random.default_rng(0).integers(0, 256, (5, 4)).astype(dtype)
    y, weight = np.arange(5) % 2, np.linspace(0.5, 1.5, 5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True).call
    computed = DiagonalHessian(model, loss, gauss_newton)
    weights = curvature.values_of(model.trainable_variables)
    *_, found = computed([np.asarray(w) for w in weights], x, y, weight)
    tensors = tf.constant(x, "float32"), tf.constant(y), tf.constant(weight, "float32")
    *_, expected = computed(weights, *tensors)
    np.testing.assert_array_equal(flat(found), flat(expected))


def test_whole_numbers_are_squared_as_the_network_takes_them():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    x, y = np.full((3, 4), 200, "uint8"), np.zeros((3, 2), "float32")
    *_, (kernel, _) = DiagonalHessian(model, mean_squares)(
        curvature.values_of(model.trainable_variables), x, y
    )
    # The mean of two squares curves by 1 along each output, and so by x^2 along a weight.
    np.testing.assert_allclose(kernel, np.full((4, 2), 200.0**2), rtol=1e-6)


def test_arrays_are_taken_as_tensors_are():
    def cubes(tensors):
        return keras.ops.sum(tensors[0] ** 3)

    at, along = [np.float32([1, 2])], [np.float32([1, 1])]
    np.testing.assert_allclose(curvature.value_and_gradient(cubes, at)[1][0], [3, 12])
    np.testing.assert_allclose(curvature.hessian_vector(cubes, at, along)[0], [6, 12])
    outputs, slope = curvature.jvp(lambda tensors: tensors[0] ** 2, at, along)
    np.testing.assert_allclose([*outputs, *slope], [1, 4, 2, 4])
    _, pull = curvature.vjp(lambda tensors: tensors[0] ** 2, at)
    np.testing.assert_allclose(pull(along[0])[0], [2, 4])
