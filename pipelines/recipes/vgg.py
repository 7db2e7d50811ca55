"""The nets of Simonyan and Zisserman.

K. Simonyan, A. Zisserman: Very deep convolutional networks for large-scale image recognition. ICLR
2015. Section 3.1 describes the training: here with scales S from [256; 512], after which the nets
are tested at Q = 384, or at S = 256 as the paper trains the others. The deeper nets start at random
as A does, which the paper found to do as well as starting from A's layers.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    MIRRORED_AND_SHIFTED_IN_COLOUR,
    SMALL_PIXELS,
    SOFTMAX_LOSS,
    cifar10,
    jittered,
    momentum,
    pixels,
    short_momentum,
    thirds,
)

_VGG16 = Recipe(
    name="vgg16",
    paper="Simonyan, Zisserman 2015, Very deep convolutional networks for large-scale image "
    "recognition",
    summary="Configuration D: 13 convolutions of 3 x 3 and three fully connected layers",
    size="paper",
    dataset="tfds:imagenet2012",
    model="keras_models.classification.vgg:VGG",
    model_args={"configuration": "D"},
    preprocess=pixels(224, mean="per_channel", resize=384),
    augment=jittered(256, 512),
    loss=SOFTMAX_LOSS,
    # "The learning rate was initially set to 10^-2 ... decreased 3 times, and the learning was
    # stopped after 370K iterations (74 epochs)."
    optimizer=momentum(thirds(0.01, drops=3)),
    weight_decay=5e-4,
    batch_size=256,
    epochs=74,
    protocol="dense",
    fully_convolutional=True,
    benchmarks=(
        "simonyan2014-d-jitter-dense-top1",
        "simonyan2014-d-jitter-dense-top5",
        "simonyan2014-d-parameters",
        "he2015b-vgg16-multiply-adds",
    ),
    thresholds={"accuracy": 0.5, "change": 0.002},
    features=("pool5", "fc6", "fc7"),
)
# Name, configuration, what it is, the training scale of the figures in Table 3 (A and B were
# trained at S = 256 alone), and figures elsewhere.
_OTHERS = (
    ("vgg19", "E", "16 convolutions of 3 x 3", "jitter", "he2015b-vgg19-multiply-adds"),
    ("vgg-c", "C", "10 convolutions of 3 x 3 and three of 1 x 1", "jitter"),
    ("vgg-b", "B", "10 convolutions of 3 x 3", "256"),
    ("vgg-a", "A", "8 convolutions of 3 x 3", "256"),
    ("vgg-a-lrn", "A-LRN", "8 convolutions of 3 x 3, response normalisation", "256"),
)


def _other(name: str, configuration: str, layers: str, scale: str, *more: str) -> Recipe:
    figures = f"simonyan2014-{configuration.lower()}"
    recipe = replace(
        _VGG16,
        name=name,
        summary=f"Configuration {configuration}: {layers} and three fully connected layers",
        model_args={"configuration": configuration},
        benchmarks=(
            f"{figures}-{scale}-dense-top1",
            f"{figures}-{scale}-dense-top5",
            f"{figures}-parameters",
            *more,
        ),
    )
    if scale == "jitter":
        return recipe
    fixed = pixels(224, mean="per_channel", resize=int(scale))
    return replace(recipe, preprocess=fixed, augment=MIRRORED_AND_SHIFTED_IN_COLOUR)


def _small(recipe: Recipe) -> Recipe:
    narrow = {"width": 0.25, "units": 128, "initialization": "he"}
    return replace(
        recipe,
        **cifar10(
            model_args=recipe.model_args | narrow,
            preprocess=SMALL_PIXELS,
            optimizer=short_momentum(0.03),
            epochs=12,
        ),
    )


_PAPER_SIZES = (_VGG16, *(_other(*row) for row in _OTHERS))
RECIPES = tuple(each for recipe in _PAPER_SIZES for each in (recipe, _small(recipe)))
