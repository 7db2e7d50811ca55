"""Fast R-CNN, on the proposals of selective search, on PASCAL VOC.

R. Girshick: Fast R-CNN. ICCV 2015. Section 2.3: SGD with momentum 0.9 and weight decay 5e-4, two
pictures a step and 64 regions of each, from a net for ImageNet; pictures are mirrored at random,
and difficult objects are not learnt. 30,000 steps at 0.001 and 10,000 at a tenth.

Pictures are brought into a square of 800 pixels: those of 4 by 3 get a shorter side of 600.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import MIRRORED, adam, divided_by_10, momentum

_FAST_R_CNN = Recipe(
    name="fast-r-cnn",
    paper="Girshick 2015, Fast R-CNN",
    summary="regions of selective search classified on shared maps, on PASCAL VOC 2007",
    size="paper",
    task="detection",
    task_args={"proposals": 2000},
    dataset="tfds:voc/2007",
    model="keras_models.detection:FastRCNN",
    model_args={"backbone": "vgg16", "weights": "imagenet"},
    preprocess={
        "size": [800, 800],
        "channels": 3,
        "fit": "pad",
        "range": [0.0, 255.0],
        "mean": "per_channel",
    },
    augment=MIRRORED,
    loss=None,
    optimizer=momentum(divided_by_10(0.001, (30_000,))),
    weight_decay=5e-4,
    batch_size=2,
    # Of 5,011 pictures: 40,000 steps.
    epochs=16,
    benchmarks=("girshick2015-voc2007-07-no-difficult", "girshick2015-voc2007-07"),
)

RECIPES = (
    _FAST_R_CNN,
    # As the small `faster-r-cnn`, whose convolutions it has.
    replace(
        _FAST_R_CNN,
        size="small",
        summary="regions of selective search classified on shared maps, on digit scenes",
        dataset="digit-scenes:train=1000,test=200",
        full_data=False,
        task_args={"proposals": 256, "proposals_width": 0, "proposals_smallest": 6},
        model_args={"backbone": "resnet18", "units": 256, "seed": 0},
        preprocess={**_FAST_R_CNN.preprocess, "size": [128, 128], "range": [0.0, 4.0]},
        augment=(),
        optimizer=adam(1e-3),
        weight_decay=1e-4,
        batch_size=8,
        epochs=12,
    ),
)
