"""Many restarts of one small net, trained side by side: the loss surface of Choromanska et al.

A. Choromanska, M. Henaff, M. Mathieu, G. Ben Arous, Y. LeCun: The loss surfaces of multilayer
networks. AISTATS 2015, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.claims import images
from components.claims.runs import Outcome
from components.preprocess.transform import normalize

_CLASSES = 10
_EVALUATED = 1000
# Columns of the Hessian found at a time.
_COLUMNS = 32
# An eigenvalue counts as negative below this part of the largest: rounding makes zeros of either
# sign, and rectifiers that never fire make many zeros.
_NEGATIVE = -1e-3


class Restarts:
    """So many nets of one rectified hidden layer, each with weights and a data order of its own.

    The weights of all are stacked: layer one [R, D, n] and [R, 1, n], layer two [R, n, 10] and
    [R, 1, 10]. They start normal with He's deviation, biases at 0.
    """

    def __init__(self, restarts: int, inputs: int, hidden: int, seed: int):
        random = tf.random.Generator.from_seed(seed)
        self.restarts = restarts
        self.weights = [
            tf.Variable(random.normal([restarts, inputs, hidden], stddev=(2 / inputs) ** 0.5)),
            tf.Variable(tf.zeros([restarts, 1, hidden])),
            tf.Variable(random.normal([restarts, hidden, _CLASSES], stddev=(2 / hidden) ** 0.5)),
            tf.Variable(tf.zeros([restarts, 1, _CLASSES])),
        ]
        self._random = random

    def train(
        self,
        pixels: tf.Tensor,
        labels: tf.Tensor,
        epochs: int,
        batch: int,
        rate: float,
        check: Callable[[float], None],
    ) -> None:
        """Stochastic gradient descent whose rate falls linearly to zero.

        Args:
          pixels, labels: float32 [N, D] and int64 [N].
          epochs, batch: passes over the images, and how many a step sees.
          rate: the first learning rate.
          check: called after each pass with the part of them that lies behind.
        """
        count = len(labels)
        steps = count // batch
        for epoch in range(epochs):
            noise = self._random.uniform([self.restarts, count])
            order = tf.argsort(noise, axis=1)[:, : steps * batch]
            order = tf.transpose(tf.reshape(order, [self.restarts, steps, batch]), [1, 0, 2])
            done = tf.range(steps, dtype=tf.float32) + epoch * steps
            self._pass(pixels, labels, order, rate * (1 - done / (epochs * steps)))
            check((epoch + 1) / epochs)

    @tf.function(reduce_retracing=True)
    def _pass(self, pixels, labels, order, rates):
        for step in tf.range(tf.shape(order)[0]):
            places = order[step]
            with tf.GradientTape() as tape:
                logits = forward(self.weights, tf.gather(pixels, places))
                # The sum over the restarts: none has a part in another's gradient.
                loss = tf.reduce_sum(cross_entropy(logits, tf.gather(labels, places)))
            gradients = tape.gradient(loss, self.weights)
            for weight, gradient in zip(self.weights, gradients, strict=True):
                weight.assign_sub(rates[step] * gradient)

    def losses(self, pixels: tf.Tensor, labels: tf.Tensor) -> np.ndarray:
        """Each restart's mean cross-entropy in nats, [R]."""
        sums = np.zeros(self.restarts)
        for start in range(0, len(labels), _EVALUATED):
            part = slice(start, start + _EVALUATED)
            logits = self._logits(pixels[None, part])
            sums += cross_entropy(logits, labels[None, part]).numpy() * len(labels[part])
        return sums / len(labels)

    @tf.function(reduce_retracing=True)
    def _logits(self, pixels):
        return forward(self.weights, pixels)


def forward(weights: Sequence[tf.Tensor], pixels: tf.Tensor) -> tf.Tensor:
    """Logits [R, N, 10] of pixels [R or 1, N, D]."""
    first, first_bias, second, second_bias = weights
    hidden = tf.nn.relu(tf.matmul(pixels, first) + first_bias)
    return tf.matmul(hidden, second) + second_bias


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean over the images, [R]."""
    labels = tf.broadcast_to(labels, tf.shape(logits)[:-1])
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_mean(each, axis=-1)


def hessian(
    weights: Sequence[np.ndarray],
    pixels: tf.Tensor,
    labels: tf.Tensor,
    check: Callable[[], None],
) -> np.ndarray:
    """The Hessian [P, P] of one net's loss in all its P weights, in 64 bits.

    Args:
      weights: of one restart, [1, ...] each.
      pixels, labels: [N, D] and [N].
      check: called after each 32 columns.
    """
    shapes = [weight.shape for weight in weights]
    sizes = [int(np.prod(shape)) for shape in shapes]
    flat = tf.constant(np.concatenate([np.ravel(weight) for weight in weights]), tf.float64)
    pixels = tf.cast(pixels, tf.float64)[None]

    @tf.function
    def columns(directions):
        def product(direction):
            with tf.autodiff.ForwardAccumulator(flat, direction) as forwards:
                with tf.GradientTape() as tape:
                    tape.watch(flat)
                    parts = tf.split(flat, sizes)
                    nets = [tf.reshape(*pair) for pair in zip(parts, shapes, strict=True)]
                    loss = tf.reduce_sum(cross_entropy(forward(nets, pixels), labels[None]))
                gradient = tape.gradient(loss, flat)
            return forwards.jvp(gradient)

        return tf.vectorized_map(product, directions)

    identity = np.eye(len(flat))
    found = []
    for start in range(0, len(flat), _COLUMNS):
        found.append(columns(identity[start : start + _COLUMNS]).numpy())
        check()
    return np.concatenate(found)


def index(matrix: np.ndarray) -> float:
    """The part of the eigenvalues that are negative, in percent."""
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    return 100.0 * float(np.mean(values < _NEGATIVE * values[-1]))


def restarts(settings: Mapping[str, Any], seed: int, check: Callable[..., None]) -> Outcome:
    """Trains restarts of one size, and sets their training and test losses beside each other.

    Args:
      settings: `dataset`, `side` in pixels, `train_images`, `test_images`, `hidden`, `restarts`,
        `epochs`, `batch`, `rate`; `hessian_images`, of how many the Hessian of the first restart
        is the mean (0: it is not found).
      seed: of the weights and the orders.
      check: called after each pass over the images and each block of the Hessian.

    Returns:
      `spread`, the standard deviation of the test losses, `test_loss` and `train_loss`, their
      means, `correlation` between them, and `index`, the Hessian's negative eigenvalues in percent;
      the curve `losses`, test by training loss.
    """
    preprocess = {
        "size": [settings["side"]] * 2,
        "channels": 1,
        "fit": "stretch",
        "range": [0.0, 1.0],
        "mean": "per_pixel",
    }
    both = images.train_and_test(
        settings["dataset"], preprocess, settings["train_images"], settings["test_images"]
    )
    (train, train_labels), (test, test_labels) = (_flat(part, preprocess) for part in both)
    nets = Restarts(settings["restarts"], train.shape[1], settings["hidden"], seed)
    passes = {key: settings[key] for key in ("epochs", "batch", "rate")}
    nets.train(train, train_labels, **passes, check=check)
    on_train, on_test = nets.losses(train, train_labels), nets.losses(test, test_labels)
    figures = {
        "spread": float(on_test.std(ddof=1)),
        "test_loss": float(on_test.mean()),
        "train_loss": float(on_train.mean()),
        "correlation": float(np.corrcoef(on_train, on_test)[0, 1]),
    }
    if seen := settings["hessian_images"]:
        first = [weight[:1].numpy() for weight in nets.weights]
        figures["index"] = index(hessian(first, train[:seen], train_labels[:seen], check))
    return Outcome(figures, {"losses": (on_train.tolist(), on_test.tolist())})


def _flat(part: images.Pixels, preprocess: Mapping[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
    pixels, labels = part.arrays
    values = normalize(pixels, part.mean, preprocess)
    return tf.reshape(values, [part.count, -1]), labels
