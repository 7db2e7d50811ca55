"""The nets of Simonyan and Zisserman.

K. Simonyan, A. Zisserman: Very deep convolutional networks for large-scale image recognition. ICLR
2015. Section 3.1 describes the training: here with scales S from [256; 512], after which the nets
are tested at Q = 384.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
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
    dense=True,
    benchmarks=(
        "simonyan2014-d-jitter-dense-top1",
        "simonyan2014-d-jitter-dense-top5",
        "simonyan2014-d-parameters",
    ),
    thresholds={"accuracy": 0.5, "change": 0.002},
    features=("pool5", "fc6", "fc7"),
)
_VGG19 = replace(
    _VGG16,
    name="vgg19",
    summary="Configuration E: 16 convolutions of 3 x 3 and three fully connected layers",
    model_args={"configuration": "E"},
    benchmarks=(
        "simonyan2014-e-jitter-dense-top1",
        "simonyan2014-e-jitter-dense-top5",
        "simonyan2014-e-parameters",
    ),
)


def _small(recipe: Recipe) -> Recipe:
    narrow = {"width": 0.25, "units": 128}
    return replace(
        recipe,
        **cifar10(
            model_args=recipe.model_args | narrow,
            preprocess=SMALL_PIXELS,
            optimizer=short_momentum(0.03),
            epochs=12,
        ),
    )


RECIPES = (_VGG16, _small(_VGG16), _VGG19, _small(_VGG19))
