"""DropConnect.

L. Wan, M. Zeiler, S. Zhang, Y. LeCun, R. Fergus: Regularization of neural networks using
DropConnect. ICML 2013. Section 6 describes the training: batches of 128, momentum 0.9, and
schedules of three numbers, 700-200-100 epochs on MNIST and 700-300-50 for the larger net on
CIFAR-10, with "the default weight decay" of cuda-convnet there, which differs from layer to layer
and is left out here.
"""

from collections.abc import Sequence
from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    MIRRORED,
    SOFTMAX_LOSS,
    adam,
    cifar10,
    momentum,
    pixels,
)

_PAPER = (
    "Wan, Zeiler, Zhang, LeCun, Fergus 2013, Regularization of neural networks using DropConnect"
)

# What the rate is multiplied by: once for the first of a schedule's numbers of epochs, twice for
# the second and four times for the third.
_MULTIPLIERS = (1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001)
_MNIST_EPOCHS = (700, *(200,) * 2, *(100,) * 4)
_CIFAR10_EPOCHS = (700, *(300,) * 2, *(50,) * 4)


def _schedule(rate: float, epochs: Sequence[int]) -> dict:
    ends = [sum(epochs[: place + 1]) / sum(epochs) for place in range(len(epochs) - 1)]
    return {
        "class": "keras.optimizers.schedules:PiecewiseConstantDecay",
        "boundaries": [f"$steps * {end:.6g}" for end in ends],
        "values": [float(f"{rate * multiplier:.6g}") for multiplier in _MULTIPLIERS],
    }


_MNIST = Recipe(
    name="dropconnect-mnist",
    paper=_PAPER,
    summary="Convolutions of 32 and 64 maps and a layer with DropConnect, on MNIST",
    size="paper",
    dataset="mnist",
    model="keras_models.classification.dropconnect_net:DropConnectMNIST",
    preprocess=pixels(24, channels=1, resize=28, range=[0.0, 1.0]),
    # Section 6.1: crops of 24 x 24, rotated and scaled (up to 15 degrees and 15 %).
    augment=({"step": "affine", "scale": 0.15, "rotate": 15.0},),
    loss=SOFTMAX_LOSS,
    optimizer=momentum(_schedule(0.01, _MNIST_EPOCHS)),
    batch_size=128,
    steps_per_execution=10,
    epochs=sum(_MNIST_EPOCHS),
    benchmarks=(
        "wan2013-mnist-crop-rotation-scaling-dropconnect",
        "wan2013-mnist-crop-rotation-scaling-dropout",
        "wan2013-mnist-crop-rotation-scaling-no-drop",
    ),
    thresholds={"accuracy": 0.98, "change": 0.002},
)
_DROPOUT_MNIST = replace(
    _MNIST,
    name="dropout-mnist",
    summary="The net of dropconnect-mnist with dropout, which the paper compares it with",
    model_args={"drop": "out"},
    benchmarks=(
        "wan2013-mnist-crop-rotation-scaling-dropout",
        "wan2013-mnist-crop-rotation-scaling-no-drop",
    ),
)
_CIFAR10 = replace(
    _MNIST,
    name="dropconnect-cifar10",
    summary="Two convolutions, two untied layers and a layer with DropConnect, on CIFAR-10",
    dataset="cifar10",
    model="keras_models.classification.dropconnect_net:DropConnectCIFAR10",
    preprocess=pixels(24, resize=32),
    augment=MIRRORED,
    optimizer=momentum(_schedule(0.001, _CIFAR10_EPOCHS)),
    epochs=sum(_CIFAR10_EPOCHS),
    benchmarks=(
        "wan2013-cifar10-dropconnect",
        "wan2013-cifar10-dropout",
        "wan2013-cifar10-no-drop",
        "wan2013-cifar10-dropconnect-vote12",
    ),
    thresholds={"accuracy": 0.7, "change": 0.005},
)

RECIPES = (
    _MNIST,
    replace(
        _MNIST,
        size="small",
        augment=(
            {"step": "affine", "scale": 0.15, "rotate": 15.0, "squeeze": 0.15, "shear": 0.25},
        ),
        optimizer=adam(3e-3, weight_decay=0.01),
        epochs=30,
    ),
    _DROPOUT_MNIST,
    replace(
        _DROPOUT_MNIST,
        size="small",
        # In 60 epochs instead of 1,500 less noise goes further.
        model_args={"drop": "out", "rate": 0.3},
        augment=({"step": "affine", "scale": 0.1, "rotate": 10.0, "squeeze": 0.1, "shear": 0.15},),
        optimizer=adam(3e-3, weight_decay=0.01),
        epochs=60,
    ),
    _CIFAR10,
    replace(
        _CIFAR10,
        **cifar10(
            preprocess=_CIFAR10.preprocess,
            augment=_CIFAR10.augment,
            optimizer=adam(1e-3),
            weight_decay=0.0,
            epochs=5,
            thresholds={"accuracy": 0.3, "change": 0.01},
        ),
    ),
)
