"""Surface normals from one picture, alone and with depth, on NYU Depth v2.

D. Eigen, R. Fergus: Predicting depth, surface normals and semantic labels with a common multi-scale
convolutional architecture. ICCV 2015. Section 4.2 gives normals and their loss, section 4.4 the net
whose scale 1 depth and normals share, section 5 the training: scales 1 and 2 jointly, then scale 3
with the others fixed, on random crops; batches of 32, momentum 0.9. Here all scales are trained
together, and all layers have one rate.

The paper's true normals are those of Ladicky et al. 2014; here they are planes fitted to the depths
(`components.ingest.normals`), as the second half of Table 2 has them.
"""

from dataclasses import replace

from pipelines.recipes.depth import EIGEN_DEPTH, small

_NORMALS_LOSS = {"class": "keras_models.losses:NormalsLoss"}

_EIGEN_NORMALS = replace(
    EIGEN_DEPTH,
    name="eigen-normals",
    summary="surface normal of each pixel by three scales, on NYU Depth v2",
    task="normals",
    task_args={},
    thresholds={"change": 0.2},
    model_args={**EIGEN_DEPTH.model_args, "answers": ["normals"]},
    loss=_NORMALS_LOSS,
    benchmarks=("eigen2015-toolbox-vgg-angle_mean", "eigen2015-toolbox-vgg-angle_median"),
)

# Which figures of Tables 1 and 2 are those of nets that share scale 1 could not be looked up.
_BOTH = ["depth", "normals"]
_EIGEN_DEPTH_NORMALS = replace(
    EIGEN_DEPTH,
    name="eigen-depth-normals",
    summary="depth and surface normal of each pixel by one net with a common scale 1, on NYU Depth "
    "v2",
    task="depth_normals",
    model_args={**EIGEN_DEPTH.model_args, "answers": _BOTH},
    loss={"depth": EIGEN_DEPTH.loss, "normals": _NORMALS_LOSS},
    benchmarks=("eigen2015-vgg-abs_rel", "eigen2015-toolbox-vgg-angle_mean"),
)

RECIPES = (
    *(_EIGEN_NORMALS, small(_EIGEN_NORMALS, train=8000, epochs=12, answers=["normals"])),
    *(_EIGEN_DEPTH_NORMALS, small(_EIGEN_DEPTH_NORMALS, train=8000, epochs=12, answers=_BOTH)),
)
