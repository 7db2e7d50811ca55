"""DropConnect.

L. Wan, M. Zeiler, S. Zhang, Y. LeCun, R. Fergus: Regularization of neural networks using
DropConnect. ICML 2013. Section 6 describes the training: batches of 128, momentum 0.9, and a
schedule of three rates, 700-200-100 epochs on MNIST and 150-0-0 on CIFAR-10.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    MIRRORED,
    SOFTMAX_LOSS,
    adam,
    cifar10,
    divided_by_10,
    momentum,
    pixels,
)

_PAPER = (
    "Wan, Zeiler, Zhang, LeCun, Fergus 2013, Regularization of neural networks using DropConnect"
)

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
    optimizer=momentum(divided_by_10(0.01, ["$steps * 0.7", "$steps * 0.9"])),
    batch_size=128,
    steps_per_execution=10,
    epochs=1000,
    benchmarks=(
        "wan2013-mnist-crop-rotation-scaling-dropconnect",
        "wan2013-mnist-crop-rotation-scaling-dropout",
        "wan2013-mnist-crop-rotation-scaling-no-drop",
    ),
    thresholds={"accuracy": 0.98, "change": 0.002},
)
_CIFAR10 = replace(
    _MNIST,
    name="dropconnect-cifar10",
    summary="Two convolutions, two untied layers and a layer with DropConnect, on CIFAR-10",
    dataset="cifar10",
    model="keras_models.classification.dropconnect_net:DropConnectCIFAR10",
    preprocess=pixels(24, resize=32),
    augment=MIRRORED,
    optimizer=momentum(0.001),
    epochs=150,
    benchmarks=(
        "wan2013-cifar10-simple-dropconnect",
        "wan2013-cifar10-simple-dropout",
        "wan2013-cifar10-simple-no-drop",
    ),
    thresholds={"accuracy": 0.7, "change": 0.005},
)

RECIPES = (
    _MNIST,
    replace(_MNIST, size="small", distorted_copies=9, optimizer=adam(2e-3), epochs=30),
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
