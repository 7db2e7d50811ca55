"""OverFeat: its classifiers, and the detector that slides over pictures.

P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus, Y. LeCun: OverFeat: Integrated recognition,
localization and detection using convolutional networks. ICLR 2014. Section 3.1 describes the
training, section 3.3 how whole pictures are classified, sections 4 and 5 box regression and
detection.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    MIRRORED,
    SMALL_PIXELS,
    SOFTMAX_LOSS,
    adam,
    cifar10,
    momentum,
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


_DETECTION = replace(
    _ACCURATE,
    name="overfeat-detection",
    summary="OverFeat's detector: classifier and box regressor at all places of six scales, their "
    "boxes merged; from the classifier of the recipe overfeat",
    task="detection",
    # The paper's data, those of ILSVRC2013, are not in TFDS.
    dataset="tfds:voc/2007",
    model="keras_models.detection.overfeat:OverFeatDetector",
    transfer={"from": "overfeat"},
    # The largest of Table 5.
    preprocess={**pixels(461), "size": [461, 569], "fit": "pad"},
    loss=None,
    # How long and with which rates the detector is trained is not in the paper.
    optimizer=momentum(0.001),
    epochs=20,
    batch_size=16,
    protocol="1-crop",
    fully_convolutional=False,
    benchmarks=("sermanet2014-det", "sermanet2014-det-competition"),
    thresholds={"map50": 0.1, "change": 0.01},
    features=(),
)
_SMALL_DETECTION = replace(
    _DETECTION,
    size="small",
    dataset="digit-scenes",
    transfer=None,
    # A window sees 64, 43 and 32 of the 128 pixels a side: digits are 14 to 64 pixels high. The
    # overlap of a square with a digit is seldom more than a half.
    model_args={
        "variant": "fast",
        "stem": "cifar",
        "scales": [0.5, 0.75, 1.0],
        "width": 0.0625,
        "units": 128,
        "regressor_units": [128, 64],
        "initialization": "he",
        "dropout": 0.1,
        "positive": 0.4,
        "negative": 0.25,
    },
    preprocess={**SMALL_PIXELS, "size": [128, 128]},
    augment=(),
    optimizer=adam(0.003),
    weight_decay=1e-4,
    batch_size=16,
    epochs=8,
    thresholds={"map50": 0.3, "change": 0.02},
)

RECIPES = (
    _ACCURATE,
    _small(_ACCURATE),
    _FAST,
    _small(_FAST),
    _DETECTION,
    _SMALL_DETECTION,
)
