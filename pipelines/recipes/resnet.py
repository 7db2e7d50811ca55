"""Residual nets.

K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition. CVPR 2016. Section
3.4 describes the training on ImageNet, section 4.2 that on CIFAR-10.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import (
    SHIFTED_AND_MIRRORED,
    SOFTMAX_LOSS,
    cifar10,
    divided_by_10,
    imagenet,
    jittered,
    momentum,
    pixels,
    short_momentum,
    thirds,
)

_PAPER = "He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition"
# Name, function, summary, published figures; of the small size the epochs and the highest rate,
# which is lower where 32 pixels a side leave deep maps of 1 x 1 and few numbers to normalise by.
_ON_IMAGENET = (
    (
        "resnet18",
        "ResNet18",
        "18 layers, identity shortcuts",
        ("he2015b-resnet18-10crop-top1", "he2015b-resnet18-multiply-adds"),
        5,
        0.1,
    ),
    (
        "resnet34",
        "ResNet34",
        "34 layers, identity shortcuts",
        (
            "he2015b-resnet34a-10crop-top1",
            "he2015b-resnet34a-10crop-top5",
            "he2015b-resnet34-multiply-adds",
        ),
        3,
        0.02,
    ),
    (
        "resnet50",
        "ResNet50",
        "50 layers, bottlenecks, projections where the maps grow",
        (
            "he2015b-resnet50-10crop-top1",
            "he2015b-resnet50-10crop-top5",
            "he2015b-resnet50-multiscale-top1",
            "he2015b-resnet50-multiscale-top5",
            "he2015b-resnet50-multiply-adds",
        ),
        3,
        0.01,
    ),
    (
        "resnet101",
        "ResNet101",
        "101 layers, bottlenecks, projections where the maps grow",
        (
            "he2015b-resnet101-10crop-top1",
            "he2015b-resnet101-10crop-top5",
            "he2015b-resnet101-multiply-adds",
        ),
        2,
        0.01,
    ),
    (
        "resnet152",
        "ResNet152",
        "152 layers, bottlenecks, projections where the maps grow",
        (
            "he2015b-resnet152-10crop-top1",
            "he2015b-resnet152-10crop-top5",
            "he2015b-resnet152-multiply-adds",
        ),
        2,
        0.01,
    ),
    ("plain18", "Plain18", "18 layers, no shortcuts", ("he2015b-plain18-10crop-top1",), 5, 0.1),
    (
        "plain34",
        "Plain34",
        "34 layers, no shortcuts",
        ("he2015b-plain34-10crop-top1", "he2015b-plain34-multiply-adds"),
        3,
        0.02,
    ),
)
_CIFAR_DEPTHS = {"CifarResNet": (20, 32, 44, 56, 110, 1202), "CifarPlainNet": (20, 32, 44, 56)}
# From here on nets are warmed up.
_VERY_DEEP = 110
# In place of 1202 layers, what costs two cores no more than 110 layers do.
_DEEP_AND_NARROW = {"depth": 116, "filters": [4, 8, 16]}


def _on_imagenet(name: str, function: str, summary: str, figures: tuple[str, ...]) -> Recipe:
    return Recipe(
        name=name,
        paper=_PAPER,
        summary=summary,
        size="paper",
        model=f"keras_models.classification.resnet:{function}",
        augment=jittered(256, 480),
        loss=SOFTMAX_LOSS,
        # "The learning rate starts from 0.1 and is divided by 10 when the error plateaus, and the
        # models are trained for up to 60 x 10^4 iterations" of 256 images.
        optimizer=momentum(thirds(0.1, drops=2)),
        weight_decay=1e-4,
        batch_size=256,
        epochs=120,
        protocol="10-crop",
        fully_convolutional=True,
        benchmarks=figures,
        thresholds={"accuracy": 0.6, "change": 0.002},
        features=("pool5",),
        **imagenet(),
    )


def _on_cifar10(function: str, depth: int) -> Recipe:
    residual = function == "CifarResNet"
    figures = (f"he2015b-cifar-resnet{depth}", f"he2015b-cifar-resnet{depth}-parameters")
    # Section 4.2: "we start with a learning rate of 0.1, divide it by 10 at 32k and 48k iterations,
    # and terminate training at 64k iterations"; 110 layers are warmed up with 0.01 first. 1202 are
    # "trained as described above", which does not say by which of the two.
    rate = divided_by_10(0.1, [32_000, 48_000])
    if depth >= _VERY_DEEP:
        rate = rate | {"boundaries": [400, 32_000, 48_000], "values": [0.01, 0.1, 0.01, 0.001]}
    return Recipe(
        name=f"cifar-{'resnet' if residual else 'plain'}{depth}",
        paper=_PAPER,
        summary=f"{depth} layers for pictures of 32 x 32, "
        f"{'identity' if residual else 'no'} shortcuts",
        size="paper",
        dataset="cifar10",
        model=f"keras_models.classification.cifar_resnet:{function}",
        model_args={"depth": depth},
        preprocess=pixels(32, range=[0.0, 1.0]),
        augment=SHIFTED_AND_MIRRORED,
        loss=SOFTMAX_LOSS,
        optimizer=momentum(rate),
        weight_decay=1e-4,
        batch_size=128,
        steps_per_execution=10,
        # 64,000 steps of 128 of 50,000 images.
        epochs=164,
        # The errors of the plain nets are drawn in Figure 6, not printed.
        benchmarks=figures if residual else (),
        thresholds={"accuracy": 0.8, "change": 0.005},
        features=("pool5",),
    )


def _short(recipe: Recipe, epochs: int, rate: float) -> Recipe:
    if recipe.model_args.get("depth", 0) > _VERY_DEEP:
        recipe = replace(recipe, model_args=_DEEP_AND_NARROW)
    return replace(
        recipe,
        **cifar10(
            preprocess=pixels(32, range=[0.0, 1.0]),
            optimizer=short_momentum(rate),
            weight_decay=recipe.weight_decay,
            epochs=epochs,
        ),
    )


_IMAGENET = [(_on_imagenet(*row), epochs, rate) for *row, epochs, rate in _ON_IMAGENET]
_CIFAR10 = [
    (_on_cifar10(function, depth), max(2, 120 // depth), 0.1)
    for function, depths in _CIFAR_DEPTHS.items()
    for depth in depths
]

RECIPES = tuple(
    recipe for paper, *small in _IMAGENET + _CIFAR10 for recipe in (paper, _short(paper, *small))
)
