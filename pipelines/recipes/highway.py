"""Highway networks.

R. K. Srivastava, K. Greff, J. Schmidhuber: Training very deep networks. NIPS 2015. Section 3
describes the training: momentum, a learning rate that falls exponentially; the numbers are in the
authors' published code alone, and those here are ours.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    SHIFTED_AND_MIRRORED,
    SOFTMAX_LOSS,
    adam,
    cifar10,
    momentum,
    pixels,
)

_PAPER = "Srivastava, Greff, Schmidhuber 2015, Training very deep networks"


def _falling(rate: float, factor: float) -> dict:
    """Momentum with a rate that is multiplied by `factor` after each epoch."""
    return momentum(
        {
            "class": "keras.optimizers.schedules:ExponentialDecay",
            "initial_learning_rate": rate,
            "decay_steps": "$steps_per_epoch",
            "decay_rate": factor,
        }
    )


_MNIST = Recipe(
    name="highway-mnist",
    paper=_PAPER,
    summary="Nine convolutions with gates, 32 maps each, on MNIST",
    size="paper",
    dataset="mnist",
    model="keras_models.classification.highway:HighwayMNIST",
    model_args={"filters": 32},
    preprocess=pixels(28, channels=1, range=[0.0, 1.0], fit="pad"),
    loss=SOFTMAX_LOSS,
    optimizer=_falling(0.03, factor=0.98),
    batch_size=128,
    steps_per_execution=10,
    epochs=150,
    benchmarks=("srivastava2015-mnist-10-32", "srivastava2015-mnist-10-32-parameters"),
    thresholds={"accuracy": 0.98, "change": 0.002},
)
_CIFAR10 = replace(
    _MNIST,
    name="highway-cifar10",
    summary="Highway B: 19 layers, on CIFAR-10",
    dataset="cifar10",
    model="keras_models.classification.highway:HighwayCIFAR",
    model_args={},
    preprocess=pixels(32, range=[0.0, 1.0]),
    augment=SHIFTED_AND_MIRRORED,
    epochs=400,
    benchmarks=("srivastava2015-cifar10-highway2", "srivastava2015-cifar10-highway2-parameters"),
    thresholds={"accuracy": 0.8, "change": 0.005},
)

RECIPES = (
    _MNIST,
    replace(_MNIST, size="small", optimizer=adam(3e-3), epochs=8),
    _CIFAR10,
    replace(_CIFAR10, **cifar10(optimizer=adam(2e-3), weight_decay=0.0, epochs=2)),
)
