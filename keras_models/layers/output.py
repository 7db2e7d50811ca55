"""Output layers with fixed codes for the classes."""

import keras
import numpy as np
from keras import ops

from keras_models.layers.precision import widened

# The digits drawn 7 wide and 12 high, as in Figure 3 of LeCun, Bottou, Bengio, Haffner 1998;
# two rows of digits, '#' = +1 (ink), '.' = -1.
DIGITS = (
    """
    ..###.. ...##.. .#####. .#####. ....##.
    .##.##. ..###.. ##...## ##...## ...###.
    ##...## .####.. ##...## .....## ...###.
    ##...## ...##.. .....## .....## ..####.
    ##...## ...##.. .....## .....## ..#.##.
    ##...## ...##.. ....##. ..####. .##.##.
    ##...## ...##.. ...##.. ..####. .#..##.
    ##...## ...##.. ..##... .....## ##..##.
    ##...## ...##.. .##.... .....## #######
    ##...## ...##.. ##..... .....## #######
    .##.##. ...##.. ##..... ##...## ....##.
    ..###.. .###### ####### .#####. ....##.
    """,
    """
    ####### ...###. ####### .#####. .#####.
    ##..... ..##... ####### ##...## ##...##
    ##..... .##.... .....## ##...## ##...##
    ##..... ##..... .....## ##...## ##...##
    ######. ##..... ....##. .##.##. ##...##
    ##...## ######. ....##. ..###.. .######
    .....## ##...## ...##.. .##.##. .....##
    .....## ##...## ...##.. ##...## .....##
    .....## ##...## ..##... ##...## .....##
    .....## ##...## ..##... ##...## ....##.
    ##...## ##...## .##.... ##...## ..###..
    .#####. .#####. .##.... .#####. .##....
    """,
)
CODE_BITS = 7 * 12
# Paley's matrix of order 84 and its negative.
MOST_CLASSES = 2 * CODE_BITS


def prototype_codes(classes: int) -> np.ndarray:
    """Codes of 84 components, +1 or -1, one row a class: float32 [classes, 84].

    Ten classes get the stylised digits of Figure 3, 7 x 12 pixels, row by row from the top.
    Any other number gets rows of Paley's Hadamard matrix of order 84 and then of its negative:
    two codes differ in 42 components or in all.

    Raises:
        ValueError: fewer than 1 or more than 168 classes.

    Source: LeCun, Bottou, Bengio, Haffner 1998, section II.B; Paley 1933, construction I.
    """
    if not 1 <= classes <= MOST_CLASSES:
        raise ValueError(
            f"There are codes for 1 to {MOST_CLASSES} classes, not for {classes!r}; "
            'take a softmax output (classifier="softmax") for more.'
        )
    return _digit_bitmaps() if classes == 10 else _hadamard_codes()[:classes]


def _digit_bitmaps() -> np.ndarray:
    """[10, 84], the drawings of DIGITS."""
    rows = [np.array([list("".join(line.split())) for line in block.split("\n")[1:-1]])
            for block in DIGITS]  # fmt: skip
    ink = np.concatenate([block.reshape(12, 5, 7).transpose(1, 0, 2) for block in rows])
    return np.where(ink.reshape(10, CODE_BITS) == "#", 1.0, -1.0).astype("float32")


def _hadamard_codes() -> np.ndarray:
    """[168, 84]: H = I + S, S skew from the quadratic residues modulo 83, and -H."""
    q = CODE_BITS - 1
    residue = -np.ones(q)
    residue[np.arange(1, q) ** 2 % q] = 1.0
    residue[0] = 0.0
    skew = np.zeros((CODE_BITS, CODE_BITS))
    skew[0, 1:], skew[1:, 0] = 1.0, -1.0
    skew[1:, 1:] = residue[np.subtract.outer(np.arange(q), np.arange(q)) % q]
    matrix = np.eye(CODE_BITS) + skew
    return np.concatenate([matrix, -matrix]).astype("float32")


@keras.saving.register_keras_serializable(package="keras_models")
class EuclideanRBF(keras.layers.Layer):
    """Euclidean radial basis function units: y_i = sum_j (x_j - w_ij)^2 (Eqn 7).

    The output is a penalty: small where the input is near the code of class i. The codes w are
    those of `prototype_codes`; they are saved with the model and not trained.

    Args:
        units: number of classes.

    Input [N, 84], output [N, units], not negative. Computed in float32 at least: the penalties are
    differences of sums of 84 squares.

    Raises:
        ValueError: an input of other than 84 features, more than 168 units.

    Source: LeCun, Bottou, Bengio, Haffner 1998, section II.B, Eqn 7 and Figure 3.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self._codes = prototype_codes(units)

    def build(self, input_shape):
        if input_shape[-1] != CODE_BITS:
            raise ValueError(
                f"The codes have {CODE_BITS} components, so the input needs {CODE_BITS} features. "
                f"Received input shape: {tuple(input_shape)}"
            )
        self.prototypes = self.add_weight(
            name="prototypes",
            shape=self._codes.shape,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(self._codes, dtype),
            trainable=False,
        )

    def call(self, inputs):
        # |x - w|^2 = |x|^2 - 2 x.w + |w|^2: one matrix product, no [N, units, 84] in between.
        # Rounding may leave a penalty just under 0.
        x, codes = widened(inputs), widened(self.prototypes)
        norms = ops.sum(ops.square(x), axis=-1, keepdims=True)
        code_norms = ops.sum(ops.square(codes), axis=-1)
        products = ops.matmul(x, ops.transpose(codes))
        return ops.cast(ops.relu(norms - 2.0 * products + code_norms), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {"units": self.units}
