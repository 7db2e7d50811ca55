"""The layers of LeNet-5 against a naive NumPy version of the paper's formula."""

import keras
import numpy as np
import pytest

from keras_models.layers import (
    LENET5_C3,
    EuclideanRBF,
    FanInUniform,
    Subsampling2D,
    TableConv2D,
    prototype_codes,
    scaled_tanh,
)

TABLE = ((0, 2), (1,), (0, 1, 2), (2, 0))


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)


def normal(shape):
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def table_conv(**arguments):
    return TableConv2D(
        TABLE, (3, 2), activation=scaled_tanh, bias_initializer="random_normal", **arguments
    )


def naive_table_conv(x, kernel, bias, table, stride):
    """Unit by unit and connection by connection."""
    kh, kw, _ = kernel.shape
    height, width = (x.shape[1] - kh) // stride + 1, (x.shape[2] - kw) // stride + 1
    y = np.zeros((len(x), height, width, len(table)))
    for n, i, j in np.ndindex(len(x), height, width):
        window = x[n, i * stride : i * stride + kh, j * stride : j * stride + kw]
        connection = 0
        for output, inputs in enumerate(table):
            y[n, i, j, output] = bias[output]
            for m in inputs:
                y[n, i, j, output] += np.sum(window[:, :, m] * kernel[:, :, connection])
                connection += 1
    return y


def squash(a):
    return 1.7159 * np.tanh(2 / 3 * a)


@pytest.mark.parametrize("stride", [1, 2])
def test_table_conv_is_the_sum_over_the_connections(stride):
    layer, x = table_conv(strides=stride), normal((2, 7, 6, 3))
    y = layer(x)
    kernel, bias = (np.asarray(w) for w in layer.get_weights())
    assert kernel.shape == (3, 2, 8)
    expected = squash(naive_table_conv(x, kernel, bias, TABLE, stride))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_full_table_is_keras_own_convolution():
    x = normal((2, 8, 8, 3))
    full, dense = TableConv2D([(0, 1, 2)] * 5, 3, padding="same"), keras.layers.Conv2D(5, 3)
    full(x), dense.build(x.shape)
    # Connections run over the inputs of one output map before the next output map.
    kernel = np.asarray(full.kernel).reshape(3, 3, 5, 3).swapaxes(2, 3)
    dense.set_weights([kernel, np.asarray(full.bias)])
    np.testing.assert_allclose(full(x)[:, 1:-1, 1:-1], dense(x), rtol=1e-4, atol=1e-5)


def test_subsampling_is_coefficient_times_sum_plus_bias():
    layer = Subsampling2D(
        activation=scaled_tanh,
        coefficient_initializer="random_normal",
        bias_initializer="random_normal",
    )
    x = normal((2, 7, 6, 3))
    y = layer(x)
    coefficient, bias = layer.get_weights()
    expected = np.zeros((2, 3, 3, 3))
    for n, i, j, m in np.ndindex(expected.shape):
        total = x[n, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, m].sum()
        expected[n, i, j, m] = squash(coefficient[m] * total + bias[m])
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_subsampling_starts_as_the_average():
    x = normal((2, 6, 6, 3))
    average = keras.layers.AveragePooling2D(3)(x)
    np.testing.assert_allclose(Subsampling2D(3)(x), average, rtol=1e-5, atol=1e-6)


def test_rbf_is_the_squared_distance_to_each_code():
    layer, x = EuclideanRBF(10), squash(normal((5, 84)))
    y, codes = layer(x), prototype_codes(10)
    expected = [[np.sum((row - code) ** 2) for code in codes] for row in x]
    np.testing.assert_allclose(y, expected, rtol=1e-4)
    assert layer.trainable_weights == []


def test_rbf_is_never_negative_on_its_own_codes():
    y = np.asarray(EuclideanRBF(10)(prototype_codes(10)))
    assert y.min() == 0 and np.allclose(np.diag(y), 0, atol=1e-4)


def test_scaled_tanh_is_plus_and_minus_one_at_plus_and_minus_one():
    np.testing.assert_allclose(scaled_tanh(np.float32([-1, 0, 1])), [-1, 0, 1], atol=1e-4)


def test_codes_of_the_digits_are_drawings_in_plus_and_minus_one():
    codes = prototype_codes(10)
    assert codes.shape == (10, 84) and set(np.unique(codes)) == {-1, 1}
    # Top right, then bottom left: a seven has a bar above and nothing at its lower left.
    seven = codes[7].reshape(12, 7)
    assert (seven[0] == 1).all() and (seven[6:, 0] == -1).all()
    apart = (84 - codes @ codes.T) / 2 + 84 * np.eye(10)
    assert apart.min() >= 17


@pytest.mark.parametrize("classes", [1, 2, 9, 11, 84, 100, 168])
def test_other_codes_are_orthogonal_or_opposite(classes):
    codes = prototype_codes(classes)
    assert codes.shape == (classes, 84) and set(np.unique(codes)) <= {-1, 1}
    products = codes @ codes.T
    assert set(products[~np.eye(classes, dtype=bool)]) <= {0, -84}
    np.testing.assert_array_equal(codes, prototype_codes(classes))


def test_table_i_of_the_paper():
    # Table I as printed: for each row (S2 map) the columns (C3 maps) with a cross.
    rows = [
        "X...XXX..XXXX.XX",
        "XX...XXX..XXXX.X",
        "XXX...XXX..X.XXX",
        ".XXX..XXXX..X.XX",
        "..XXX..XXXX.XX.X",
        "...XXX..XXXX.XXX",
    ]
    crosses = {(s2, c3) for s2, row in enumerate(rows) for c3, x in enumerate(row) if x == "X"}
    assert {(s2, c3) for c3, inputs in enumerate(LENET5_C3) for s2 in inputs} == crosses
    assert len(crosses) == sum(map(len, LENET5_C3)) == 60


def test_fan_in_uniform_fills_its_interval_map_by_map():
    draw = np.asarray(FanInUniform([4, 24])((5000, 2)))
    np.testing.assert_allclose(np.abs(draw).max(axis=0), [0.6, 0.1], rtol=0.01)
    np.testing.assert_allclose(draw.std(axis=0), np.array([0.6, 0.1]) / 3**0.5, rtol=0.05)


def test_fan_in_uniform_draws_anew_in_every_instance_and_by_its_seed():
    assert not np.allclose(FanInUniform(4)((9,)), FanInUniform(4)((9,)))
    np.testing.assert_array_equal(FanInUniform(4, seed=1)((9,)), FanInUniform(4, seed=1)((9,)))
    clone = FanInUniform.from_config(FanInUniform([4, 5], seed=1).get_config())
    np.testing.assert_array_equal(clone((9, 2)), FanInUniform([4, 5], seed=1)((9, 2)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TableConv2D([], 3), "at least one input map"),
        (lambda: TableConv2D([(0,), ()], 3), "at least one input map"),
        (lambda: TableConv2D([(0, 0)], 3), "each once"),
        (lambda: TableConv2D([(-1,)], 3), "counted from 0"),
        (lambda: TableConv2D([(0, 3)], 3)(np.zeros((1, 8, 8, 3))), "at least 4 maps"),
        (lambda: Subsampling2D(0), "at least 1"),
        (lambda: EuclideanRBF(10)(np.zeros((1, 83))), "84 features"),
        (lambda: EuclideanRBF(169), "1 to 168 classes"),
        (lambda: prototype_codes(0), "1 to 168 classes"),
        (lambda: FanInUniform(0), "positive"),
        (lambda: FanInUniform([[1]]), "one positive number"),
    ],
)
def test_wrong_arguments_are_refused_and_told(build, message):
    with pytest.raises(ValueError, match=message):
        build()
