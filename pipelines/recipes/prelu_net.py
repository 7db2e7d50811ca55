"""Parametric rectifiers.

K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers: surpassing human-level performance on
ImageNet classification. ICCV 2015. Section 3 describes the training.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    SOFTMAX_LOSS,
    cifar10,
    imagenet,
    jittered,
    momentum,
    short_momentum,
    thirds,
)

_PRELU_NET = Recipe(
    name="prelu-net",
    paper="He, Zhang, Ren, Sun 2015, Delving deep into rectifiers",
    summary="The 14-layer model E with channel-wise PReLU",
    size="paper",
    model="keras_models.classification.prelu_net:PReLUNet",
    model_args={"model": "E", "activation": "channel-wise"},
    augment=jittered(256, 512),
    loss=SOFTMAX_LOSS,
    # "The learning rate is 1e-2, 1e-3, and 1e-4, and is switched when the error plateaus. The total
    # number of epochs is about 80."
    optimizer=momentum(thirds(0.01, drops=2)),
    weight_decay=5e-4,
    batch_size=128,
    epochs=80,
    protocol="10-crop",
    benchmarks=("he2015a-small-prelu-channel-top1", "he2015a-small-prelu-channel-top5"),
    thresholds={"accuracy": 0.5, "change": 0.002},
    features=("spp", "fc1", "fc2"),
    **imagenet(),
)
# Name, what it is, its arguments and the published figures.
_OTHERS = (
    (
        "relu-net",
        "The 14-layer model E with ReLU",
        {"model": "E", "activation": "relu"},
        ("he2015a-small-relu-top1", "he2015a-small-relu-top5"),
    ),
    (
        "prelu-net-shared",
        "The 14-layer model E with channel-shared PReLU",
        {"model": "E", "activation": "channel-shared"},
        ("he2015a-small-prelu-shared-top1", "he2015a-small-prelu-shared-top5"),
    ),
    (
        "relu-net-a",
        "The 19-layer model A with ReLU",
        {"model": "A", "activation": "relu"},
        ("he2015a-a-relu-10crop-top1", "he2015a-a-relu-10crop-top5", "he2015a-a-multiply-adds"),
    ),
    *(
        (
            f"prelu-net-{model.lower()}",
            f"The {layers}-layer model {model} with channel-wise PReLU",
            {"model": model, "activation": "channel-wise"},
            (
                f"he2015a-{model.lower()}-prelu-10crop-top1",
                f"he2015a-{model.lower()}-prelu-10crop-top5",
                f"he2015a-{model.lower()}-multiply-adds",
            ),
        )
        for model, layers in (("A", 19), ("B", 22), ("C", 22))
    ),
)


def _small(recipe: Recipe) -> Recipe:
    return replace(
        recipe,
        **cifar10(
            model_args=recipe.model_args | {"stem": "cifar", "width": 0.125},
            optimizer=short_momentum(0.02),
            epochs=10,
        ),
    )


_PAPER_SIZES = (
    _PRELU_NET,
    *(
        replace(_PRELU_NET, name=name, summary=summary, model_args=arguments, benchmarks=figures)
        for name, summary, arguments, figures in _OTHERS
    ),
)
RECIPES = tuple(each for recipe in _PAPER_SIZES for each in (recipe, _small(recipe)))
