"""The net of Zeiler and Fergus.

M. D. Zeiler, R. Fergus: Visualizing and understanding convolutional networks. ECCV 2014. Section 3
describes the training.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    MIRRORED,
    SOFTMAX_LOSS,
    cifar10,
    imagenet,
    momentum,
    short_momentum,
    thirds,
)

_ZFNET = Recipe(
    name="zfnet",
    paper="Zeiler, Fergus 2014, Visualizing and understanding convolutional networks",
    summary="AlexNet with a first layer of 7 x 7 windows and stride 2",
    size="paper",
    model="keras_models.classification.zfnet:ZFNet",
    # "10 different sub-crops of size 224x224 (corners + center with(out) horizontal flips)".
    augment=({"step": "corner_crop", "side": 224}, *MIRRORED),
    loss=SOFTMAX_LOSS,
    # "A learning rate of 10^-2, in conjunction with a momentum term of 0.9. We anneal the learning
    # rate throughout training manually when the validation error plateaus"; 70 epochs.
    optimizer=momentum(thirds(0.01, drops=3)),
    batch_size=128,
    epochs=70,
    protocol="10-crop",
    benchmarks=("zeiler2014-zfnet-top1", "zeiler2014-zfnet-top5", "zeiler2014-alexnet-top5"),
    thresholds={"accuracy": 0.5, "change": 0.002},
    features=("conv5", "fc6", "fc7"),
    **imagenet(),
)

RECIPES = (
    _ZFNET,
    replace(
        _ZFNET,
        **cifar10(
            model_args={"stem": "cifar", "width": 0.25, "units": 256, "initialization": "he"},
            optimizer=short_momentum(0.02),
            weight_decay=0.0,
            epochs=12,
        ),
    ),
)
