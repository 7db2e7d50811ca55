"""The classifiers of OverFeat.

P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus, Y. LeCun: OverFeat: Integrated recognition,
localization and detection using convolutional networks. ICLR 2014. Section 3.1 describes the
training, section 3.3 how whole pictures are classified.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    MIRRORED,
    SOFTMAX_LOSS,
    cifar10,
    pixels,
    short_momentum,
)

# "It is successively decreased by a factor of 0.5 after (30, 50, 60, 70, 80) epochs."
_HALVED_AFTER = (30, 50, 60, 70, 80)

_ACCURATE = Recipe(
    name="overfeat",
    paper="Sermanet, Eigen, Zhang, Mathieu, Fergus, LeCun 2014, OverFeat: Integrated recognition, "
    "localization and detection using convolutional networks",
    summary="OverFeat's accurate net: 6 convolutions, slid over whole pictures at every offset of "
    "its last pooling",
    size="paper",
    dataset="tfds:imagenet2012",
    model="keras_models.classification.overfeat:OverFeat",
    model_args={"variant": "accurate"},
    # "Each image is downsampled so that the smallest dimension is 256 pixels. We then extract 5
    # random crops (and their horizontal flips) of size 221x221 pixels."
    preprocess=pixels(221, resize=256),
    augment=MIRRORED,
    loss=SOFTMAX_LOSS,
    optimizer={
        "class": "keras.optimizers:SGD",
        "learning_rate": {
            "class": "keras.optimizers.schedules:PiecewiseConstantDecay",
            "boundaries": [f"$steps_per_epoch * {epoch}" for epoch in _HALVED_AFTER],
            "values": [0.05 / 2**drop for drop in range(len(_HALVED_AFTER) + 1)],
        },
        "momentum": 0.6,
    },
    weight_decay=1e-5,
    batch_size=128,
    # The paper does not say when the training ends.
    epochs=90,
    protocol="overfeat-4-scales",
    fully_convolutional=True,
    benchmarks=(
        "sermanet2014-accurate-4-scales-top1",
        "sermanet2014-accurate-4-scales-top5",
        "sermanet2014-accurate-parameters",
        "sermanet2014-accurate-connections",
    ),
    thresholds={"accuracy": 0.5, "change": 0.002},
    features=("conv6", "fc7", "fc8"),
)
_FAST = replace(
    _ACCURATE,
    name="overfeat-fast",
    summary="OverFeat's fast net: 5 convolutions, slid over whole pictures at every offset of its "
    "last pooling",
    model_args={"variant": "fast"},
    preprocess=pixels(231, resize=256),
    protocol="overfeat-6-scales",
    benchmarks=(
        "sermanet2014-fast-6-scales-top1",
        "sermanet2014-fast-6-scales-top5",
        "sermanet2014-fast-parameters",
        "sermanet2014-fast-connections",
    ),
    features=("conv5", "fc6", "fc7"),
)


def _small(recipe: Recipe) -> Recipe:
    narrow = {"stem": "cifar", "width": 0.125, "units": 256, "initialization": "he"}
    return replace(
        recipe,
        **cifar10(
            model_args=recipe.model_args | narrow,
            optimizer=short_momentum(0.02),
            epochs=12,
        ),
    )


RECIPES = (_ACCURATE, _small(_ACCURATE), _FAST, _small(_FAST))
