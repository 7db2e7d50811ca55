"""Stochastic pooling.

M. D. Zeiler, R. Fergus: Stochastic pooling for regularization of deep convolutional neural
networks. ICLR 2013. Section 4 describes the training: batches of 128, a momentum of 0.9, a weight
decay of 0.001, 280 epochs, a rate that falls linearly to a hundredth.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import SOFTMAX_LOSS, cifar10, momentum, pixels, short_momentum

_CIFAR10 = Recipe(
    name="stochastic-pooling",
    paper="Zeiler, Fergus 2013, Stochastic pooling for regularization of deep convolutional neural "
    "networks",
    summary="Three convolutions with stochastic pooling, on CIFAR-10",
    size="paper",
    dataset="cifar10",
    model="keras_models.classification.stochastic_pooling_net:StochasticPoolingNet",
    preprocess=pixels(32, range=[0.0, 1.0]),
    loss=SOFTMAX_LOSS,
    optimizer=momentum(
        {
            "class": "keras.optimizers.schedules:PolynomialDecay",
            "initial_learning_rate": 0.01,
            "end_learning_rate": 0.0001,
            "decay_steps": "$steps",
        }
    ),
    weight_decay=1e-3,
    batch_size=128,
    steps_per_execution=10,
    epochs=280,
    benchmarks=(
        "zeiler2013-cifar10-stochastic",
        "zeiler2013-cifar10-max",
        "zeiler2013-cifar10-average",
    ),
    thresholds={"accuracy": 0.7, "change": 0.005},
    features=("conv3",),
)

RECIPES = (
    _CIFAR10,
    replace(
        _CIFAR10,
        **cifar10(
            preprocess=_CIFAR10.preprocess,
            augment=(),
            optimizer=short_momentum(0.02),
            weight_decay=1e-3,
            epochs=6,
        ),
    ),
)
