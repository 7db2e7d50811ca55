"""Faster R-CNN, on PASCAL VOC.

S. Ren, K. He, R. Girshick, J. Sun: Faster R-CNN: towards real-time object detection with region
proposal networks. NIPS 2015. Sections 3.1.3 and 3.2: SGD with momentum 0.9 and weight decay 5e-4
on one picture a step, whose shorter side is 600 pixels, from nets for ImageNet; pictures are
mirrored at random. `faster-r-cnn` trains both parts jointly, as the authors' code does in 70,000
steps; `faster-r-cnn-step1` to `faster-r-cnn-step4` are the paper's alternating training.

Pictures are brought into a square of 800 pixels: those of 4 by 3 get a shorter side of 600.

K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition. CVPR 2016, appendix
A: `model_args.backbone` "resnet50" or "resnet101".
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import MIRRORED, adam, divided_by_10, momentum

_NET = {"backbone": "vgg16", "weights": "imagenet"}

_FASTER_R_CNN = Recipe(
    name="faster-r-cnn",
    paper="Ren, He, Girshick, Sun 2015, Faster R-CNN: towards real-time object detection with "
    "region proposal networks",
    summary="boxes and classes of objects by a region proposal net and a Fast R-CNN on the same "
    "convolutions, on PASCAL VOC 2007",
    size="paper",
    task="detection",
    dataset="tfds:voc/2007",
    model="keras_models.detection:FasterRCNN",
    model_args=_NET,
    preprocess={
        "size": [800, 800],
        "channels": 3,
        "fit": "pad",
        "range": [0.0, 255.0],
        "mean": "per_channel",
    },
    augment=MIRRORED,
    loss=None,
    optimizer=momentum(divided_by_10(0.001, (50_000,))),
    weight_decay=5e-4,
    batch_size=1,
    # Of 5,011 pictures: 70,000 steps.
    epochs=14,
    benchmarks=("ren2015-vgg16-07", "ren2015-vgg16-07-12"),
)


def _step(recipe: Recipe, number: int, summary: str, **changes) -> Recipe:
    return replace(
        recipe,
        name=f"faster-r-cnn-step{number}",
        summary=f"alternating training, step {number} of 4: {summary}",
        transfer={"from": f"faster-r-cnn-step{number - 1}"} if number > 1 else None,
        **changes,
    )


def _alternating(
    recipe: Recipe, convolutions: tuple[str, ...], proposals: dict, regions: dict
) -> tuple[Recipe, ...]:
    """Section 3.2, 4-step alternating training.

    Args:
        recipe: of joint training.
        convolutions: the layers that both parts share, as of a recipe's `freeze`.
        proposals: what is other where proposals are trained.
        regions: what is other where regions are.
    """
    net = dict(recipe.model_args)
    shared = {key: value for key, value in net.items() if key != "weights"}
    unshared = {"benchmarks": ("ren2015-vgg16-unshared-07",)}
    frozen = {"freeze": {"layers": convolutions}}
    return (
        _step(
            recipe,
            1,
            "the proposal net, alone",
            **proposals,
            model_args={**net, "train": "proposals"},
        ),
        _step(
            recipe,
            2,
            "a detector with convolutions of its own, on the proposals of step 1",
            **regions,
            **unshared,
            model_args={**net, "train": "regions", "shared": False},
        ),
        _step(
            recipe,
            3,
            "a proposal net on the convolutions of step 2, which stay",
            **proposals,
            **frozen,
            model_args={**shared, "train": "proposals"},
        ),
        _step(
            recipe,
            4,
            "the detector's own layers, on the proposals of step 3",
            **regions,
            **frozen,
            model_args={**shared, "train": "regions"},
        ),
    )


# The authors' code: 80,000 steps of one picture for proposals, 40,000 of two for regions, a tenth
# of the rate for the last quarter.
_PAPER_STEPS = _alternating(
    _FASTER_R_CNN,
    ("conv*",),
    {"optimizer": momentum(divided_by_10(0.001, (60_000,))), "epochs": 16},
    {"optimizer": momentum(divided_by_10(0.001, (30_000,))), "epochs": 16, "batch_size": 2},
)

# Random weights need normalisation, and small objects small places: ResNet-18's first three stages.
# Pictures of 128 pixels are shown at 192, photographs whole. Scales and ratios are what
# `keras_models.detection.proposals.anchor_shapes` gives for the boxes of 300 of the training
# pictures: 4 scales and 2 ratios.
_SMALL = replace(
    _FASTER_R_CNN,
    size="small",
    summary=_FASTER_R_CNN.summary.replace("PASCAL VOC 2007", "digit scenes"),
    dataset="digit-scenes:train=1500,test=300",
    full_data=False,
    model_args={
        "backbone": "resnet18",
        "scales": [21.6, 31.1, 44.9, 64.7],
        "ratios": [1.1, 2.2],
        "units": 256,
        "anchors": 128,
        # There are 768 places and 128 anchors drawn: both terms of Eqn 1 weigh alike, as in the
        # paper.
        "balance": 6.0,
        "regions": 64,
        "proposals": 300,
        "tested_proposals": 100,
        "seed": 0,
    },
    preprocess={**_FASTER_R_CNN.preprocess, "size": [192, 256], "range": [0.0, 4.0]},
    # Digits are no digits in a mirror.
    augment=(),
    optimizer=adam(1e-3),
    weight_decay=1e-4,
    batch_size=8,
    epochs=16,
    thresholds={"map50": 0.3, "change": 0.01},
)

RECIPES = (
    *(_FASTER_R_CNN, _SMALL),
    *_PAPER_STEPS,
    *_alternating(_SMALL, ("conv1", "res*", "bn*"), {"epochs": 8}, {"epochs": 8}),
)
