"""GoogLeNet.

C. Szegedy et al.: Going deeper with convolutions. CVPR 2015. Section 6 describes the training in
part: the learning rate at the start and the batch are not printed, and are those of the authors'
later paper on the same net. Of the augmentation the interpolation drawn at random is not here: the
paper says that it came late, and not whether it helped.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    SOFTMAX_LOSS,
    adam,
    cifar10,
    imagenet,
    momentum,
    of_any_shape,
)

_GOOGLENET = Recipe(
    name="googlenet",
    paper="Szegedy et al. 2015, Going deeper with convolutions",
    summary="GoogLeNet with both auxiliary classifiers",
    size="paper",
    model="keras_models.classification.googlenet:GoogLeNet",
    # The photometric distortions "of Andrew Howard": factors of 0.5 to 1.5.
    augment=of_any_shape(strength=0.5),
    loss=SOFTMAX_LOSS,
    # "0.9 momentum, fixed learning rate schedule (decreasing the learning rate by 4% every 8
    # epochs). Polyak averaging was used to create the final model".
    optimizer=momentum(
        {
            "class": "keras.optimizers.schedules:ExponentialDecay",
            "initial_learning_rate": 0.0015,
            "decay_steps": "$steps_per_epoch * 8",
            "decay_rate": 0.96,
            "staircase": True,
        },
        use_ema=True,
        ema_momentum=0.9999,
    ),
    batch_size=32,
    epochs=250,
    auxiliary_weight=0.3,
    protocol="144-crop",
    benchmarks=(
        "szegedy2014-1net-144crops-top5",
        "szegedy2014-1net-10crops-top5",
        "szegedy2014-1net-1crop-top5",
        "szegedy2014-multiply-adds",
    ),
    thresholds={"accuracy": 0.5, "change": 0.002},
    features=("inception_4e", "inception_5b", "pool5"),
    **imagenet(),
)

RECIPES = (
    _GOOGLENET,
    replace(
        _GOOGLENET,
        **cifar10(
            model_args={"stem": "cifar", "width": 0.125},
            optimizer=adam(2e-3),
            weight_decay=0.0,
            epochs=6,
        ),
    ),
)
