"""AlexNet.

A. Krizhevsky, I. Sutskever, G. Hinton: ImageNet classification with deep convolutional neural
networks. NIPS 2012. Section 4.1 describes the augmentation, section 5 the training.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    MIRRORED_AND_SHIFTED_IN_COLOUR,
    SOFTMAX_LOSS,
    cifar10,
    imagenet,
    momentum,
    short_momentum,
    thirds,
)

_ALEXNET = Recipe(
    name="alexnet",
    paper="Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep convolutional "
    "neural networks",
    summary="AlexNet with its two towers",
    size="paper",
    model="keras_models.classification.alexnet:AlexNet",
    augment=MIRRORED_AND_SHIFTED_IN_COLOUR,
    loss=SOFTMAX_LOSS,
    # Section 5: "divide the learning rate by 10 when the validation error rate stopped improving";
    # it "was initialized at 0.01 and reduced three times"; "roughly 90 cycles".
    optimizer=momentum(thirds(0.01, drops=3)),
    weight_decay=5e-4,
    batch_size=128,
    epochs=90,
    protocol="10-crop",
    benchmarks=(
        "krizhevsky2012-1cnn-top1",
        "krizhevsky2012-1cnn-top5",
        "krizhevsky2012-parameters",
        "krizhevsky2012-units",
    ),
    thresholds={"accuracy": 0.5, "change": 0.002},
    features=("conv5", "fc6", "fc7"),
    **imagenet(),
)

RECIPES = (
    _ALEXNET,
    replace(
        _ALEXNET,
        **cifar10(
            model_args={"stem": "cifar", "width": 0.25, "units": 256, "initialization": "he"},
            optimizer=short_momentum(0.02),
            epochs=12,
        ),
    ),
)
