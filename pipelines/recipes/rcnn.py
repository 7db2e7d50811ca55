"""R-CNN in its three steps, on PASCAL VOC.

R. Girshick, J. Donahue, T. Darrell, J. Malik: Rich feature hierarchies for accurate object
detection and semantic segmentation. CVPR 2014. Section 2.3: a net for ImageNet is fine-tuned by
SGD at a tenth of its first rate, on 32 positive windows and 96 of background a step; then a linear
SVM a class is trained on its features, with hard negatives; appendix C regresses the boxes. Beside
them, section 3.2's SVMs on other layers, with and without fine-tuning.

Each step is a recipe that starts from the network of the one before: `r-cnn`, `r-cnn-svm`,
`r-cnn-bb`. The paper draws a step's windows from all pictures; here they are those of 64 pictures.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import MIRRORED, divided_by_10, momentum, short_momentum

_PROPOSALS = {"proposals": 2000}
_BACKBONE = {"backbone": "alexnet", "size": 224}

_R_CNN = Recipe(
    name="r-cnn",
    paper="Girshick, Donahue, Darrell, Malik 2014, Rich feature hierarchies for accurate object "
    "detection and semantic segmentation",
    summary="regions classified by a fine-tuned net, on PASCAL VOC 2007",
    size="paper",
    task="detection",
    task_args=_PROPOSALS,
    dataset="tfds:voc/2007",
    model="keras_models.detection:RCNN",
    model_args=_BACKBONE,
    transfer={"from": "alexnet"},
    preprocess={
        "size": [500, 500],
        "channels": 3,
        # Regions are warped in any case.
        "fit": "stretch",
        "range": [0.0, 255.0],
        "mean": "per_channel",
    },
    augment=MIRRORED,
    loss=None,
    # The authors' code: 70,000 steps, a tenth of the rate after each 20,000.
    optimizer=momentum(divided_by_10(0.001, (20_000, 40_000, 60_000))),
    weight_decay=5e-4,
    batch_size=64,
    # Of 5,011 pictures 78 steps are an epoch.
    epochs=897,
    benchmarks=("girshick2014-voc2007-ft-softmax",),
)


# Table 2.
_FIGURES = {
    "pool5": "girshick2014-voc2007-ft-pool5",
    "fc6": "girshick2014-voc2007-ft-fc6",
    "fc7": "girshick2014-voc2007-ft-fc7",
    "bb": "girshick2014-voc2007-ft-fc7-bb",
}


def _computed(recipe: Recipe, name: str, base: str, summary: str, figure: str, **model_args):
    """A step whose weights are computed in one pass: optimizer and epochs have no part in it."""
    return replace(
        recipe,
        name=name,
        summary=summary,
        transfer={"from": base},
        model_args={**recipe.model_args, "scores": "svm", **model_args},
        augment=(),
        weight_decay=0.0,
        batch_size=4,
        epochs=1,
        # Nothing is validated.
        validation_split=0.0,
        benchmarks=(_FIGURES[figure],),
    )


def _steps(recipe: Recipe, data: str) -> tuple[Recipe, ...]:
    svms = (
        _computed(
            recipe,
            "r-cnn-svm" if layer == "fc7" else f"r-cnn-svm-{layer}",
            recipe.name,
            f"a linear SVM a class on {layer} of r-cnn, on {data}",
            layer,
            features=layer,
        )
        for layer in ("fc7", "fc6", "pool5")
    )
    regressed = _computed(
        recipe,
        "r-cnn-bb",
        "r-cnn-svm",
        f"boxes regressed from pool5, for r-cnn-svm, on {data}",
        "bb",
        box_regression=True,
    )
    return recipe, *svms, regressed


# Of scenes of 128 pixels, and digits of 12 to 70: a net as small as the windows.
_SMALL = replace(
    _R_CNN,
    size="small",
    summary="regions classified by a small net, on digit scenes",
    dataset="digit-scenes:train=1000,test=200",
    full_data=False,
    task_args={"proposals": 256, "proposals_width": 0, "proposals_smallest": 6},
    model_args={"backbone": "lenet", "size": 32, "context": 2},
    # It starts at random: there is no net for other pictures of this size.
    transfer=None,
    preprocess={**_R_CNN.preprocess, "size": [128, 128], "range": [0.0, 1.0]},
    augment=(),
    optimizer=short_momentum(0.05),
    batch_size=16,
    epochs=36,
    thresholds={"map50": 0.4, "change": 0.01},
)

RECIPES = (*_steps(_R_CNN, "PASCAL VOC 2007"), *_steps(_SMALL, "digit scenes"))
