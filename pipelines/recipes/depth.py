"""Depth from one picture, on NYU Depth v2.

D. Eigen, C. Puhrsch, R. Fergus: Depth map prediction from a single image using a multi-scale deep
network. NIPS 2014. Section 3.3 and 3.4 give loss and augmentation, section 4.1 the training.

D. Eigen, R. Fergus: Predicting depth, surface normals and semantic labels with a common multi-scale
convolutional architecture. ICCV 2015. Section 5 describes the training: scales 1 and 2 jointly,
then scale 3 with the others fixed, on random crops; batches of 32, momentum 0.9. Its figure of the
net gives each layer a rate of its own; here all have one, and the scales are trained together.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import MIRRORED, adam, momentum

_LOSS = {"class": "keras_models.losses:LogDepthLoss"}
_NET = "keras_models.depth:MultiScaleDepth"

_EIGEN_DEPTH = Recipe(
    name="eigen-depth",
    paper="Eigen, Fergus 2015, Predicting depth, surface normals and semantic labels with a "
    "common multi-scale convolutional architecture",
    summary="depth of each pixel by three scales, on NYU Depth v2",
    size="paper",
    task="depth",
    task_args={"crop": True},
    dataset="tfds:nyu_depth_v2",
    model=_NET,
    model_args={"backbone": "vgg", "base": "imagenet"},
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
    benchmarks=(
        "eigen2015-vgg-abs_rel",
        "eigen2015-vgg-rms",
    ),
)

RECIPES = (
    _EIGEN_DEPTH,
    replace(
        _EIGEN_DEPTH,
        size="small",
        summary="depth of each pixel by three scales, on rendered rooms",
        dataset="rooms:train=8000",
        full_data=False,
        task_args={"crop": False},
        # From scratch a network learns from small numbers.
        model_args={"width": 0.25, "units": 256, "feature_scale": 1.0, "pixel_scale": 1.0},
        preprocess={**_EIGEN_DEPTH.preprocess, "size": [60, 80], "range": [0.0, 4.0]},
        augment=({"step": "affine", "translate": 3.0, "scale": 0.1, "rotate": 5.0}, *MIRRORED),
        optimizer=adam(1e-3),
        epochs=40,
    ),
)
