"""Depth from one picture, on NYU Depth v2.

D. Eigen, C. Puhrsch, R. Fergus: Depth map prediction from a single image using a multi-scale deep
network. NIPS 2014. Section 3.1.2 trains the coarse net and then the fine one with the coarse one
fixed; sections 3.3 and 3.4 give loss and augmentation, section 4.1 the training: batches of 32,
momentum 0.9, 2 million pictures for the coarse net, 1.5 million for the fine one.

D. Eigen, R. Fergus: Predicting depth, surface normals and semantic labels with a common multi-scale
convolutional architecture. ICCV 2015. Section 5 describes the training: scales 1 and 2 jointly,
then scale 3 with the others fixed, on random crops; batches of 32, momentum 0.9. `eigen-depth`
trains all scales together.

The papers give each layer a rate of its own; here all have one.
"""

from dataclasses import replace
from typing import Any

from pipelines.recipe import Recipe
from pipelines.recipes._parts import MIRRORED, adam, momentum

_LOSS = {"class": "keras_models.losses:LogDepthLoss"}
_2014 = {
    "paper": "Eigen, Puhrsch, Fergus 2014, Depth map prediction from a single image using a "
    "multi-scale deep network",
    "model": "keras_models.depth:CoarseFineDepth",
}
_2015 = {
    "paper": "Eigen, Fergus 2015, Predicting depth, surface normals and semantic labels with a "
    "common multi-scale convolutional architecture",
    "model": "keras_models.depth:MultiScaleDepth",
}
_VGG = {"backbone": "vgg", "base": "imagenet"}
# All but the layers of the last scale.
_SCALE_1 = ("conv*", "scale1_*")
_SCALES_1_AND_2 = (*_SCALE_1, "scale2_*")

EIGEN_DEPTH = Recipe(
    name="eigen-depth",
    **_2015,
    summary="depth of each pixel by three scales, on NYU Depth v2",
    size="paper",
    task="depth",
    task_args={"crop": True},
    dataset="tfds:nyu_depth_v2",
    model_args=_VGG,
    preprocess={
        "size": [228, 304],
        "channels": 3,
        "fit": "stretch",
        "range": [0.0, 255.0],
        "mean": "per_channel",
    },
    # 2014, section 3.4: scale 1 to 1.5, rotation up to 5 degrees, translation, colour, flip.
    augment=(
        {"step": "affine", "translate": 12.0, "scale": 0.2, "rotate": 5.0},
        *MIRRORED,
        {"step": "photometric", "strength": 0.2},
    ),
    loss=_LOSS,
    optimizer=momentum(0.001),
    batch_size=32,
    epochs=100,
    benchmarks=("eigen2015-vgg-abs_rel", "eigen2015-vgg-rms"),
)
_SCALES_12 = replace(
    EIGEN_DEPTH,
    name="eigen-depth-scales12",
    summary="scales 1 and 2 of the three, jointly",
    model_args={**_VGG, "scales": 2},
    # Of the paper's nets of two scales this one is published, with AlexNet.
    benchmarks=("eigen2015-table6-depth-scales12",),
)
_SCALE_3 = replace(
    EIGEN_DEPTH,
    name="eigen-depth-scale3",
    summary="scale 3 on crops, behind the fixed scales 1 and 2 of eigen-depth-scales12",
    transfer={"from": "eigen-depth-scales12"},
    model_args={"backbone": "vgg", "crop": [55, 74]},
    freeze={"layers": _SCALES_1_AND_2},
)
_COARSE = replace(
    EIGEN_DEPTH,
    name="eigen2014-coarse",
    **_2014,
    summary="depth of each pixel by the coarse net of 2014, on NYU Depth v2",
    model_args={"fine": False},
    loss={**_LOSS, "gradients": False},
    # 2 million of the 47,584 pictures that TFDS has.
    epochs=42,
    benchmarks=("eigen2014-nyu-coarse-abs_rel", "eigen2014-nyu-coarse-rms"),
)
_FINE = replace(
    _COARSE,
    name="eigen2014-fine",
    summary="the fine net of 2014, behind the fixed coarse one of eigen2014-coarse",
    transfer={"from": "eigen2014-coarse"},
    model_args={},
    freeze={"layers": _SCALE_1},
    epochs=32,
    benchmarks=("eigen2014-nyu-fine-abs_rel", "eigen2014-nyu-fine-rms"),
)

# Of pictures of 60 x 80 AlexNet's convolutions leave one pixel; VGG's leave two, of twice the maps.
# From scratch a network learns from small numbers.
_SMALL_NET = {
    "backbone": "vgg",
    "width": 0.25,
    "units": 1024,
    "feature_scale": 1.0,
    "pixel_scale": 1.0,
}


def small(recipe: Recipe, train: int = 12000, epochs: int = 15, **model_args: Any) -> Recipe:
    """The recipe on so many rendered rooms.

    The rooms are made, so that there are as many as are wanted: more of them take the place of
    distortions, which a camera that stands upright would not see.
    """
    return replace(
        recipe,
        size="small",
        summary=recipe.summary.replace("on NYU Depth v2", "on rendered rooms"),
        dataset=f"rooms:train={train}",
        full_data=False,
        task_args=dict.fromkeys(recipe.task_args, False),
        model_args={**_SMALL_NET, **model_args},
        preprocess={**recipe.preprocess, "size": [60, 80], "range": [0.0, 4.0]},
        augment=MIRRORED,
        optimizer=adam(1e-3),
        epochs=epochs,
    )


RECIPES = (
    *(EIGEN_DEPTH, small(EIGEN_DEPTH)),
    *(_SCALES_12, small(_SCALES_12, scales=2)),
    *(_SCALE_3, small(_SCALE_3, epochs=5, crop=[13, 18])),
    *(_COARSE, small(_COARSE, fine=False)),
    *(_FINE, small(_FINE, epochs=5)),
)
