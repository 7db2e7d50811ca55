"""Whether pictures belong together: a task of three inputs that exists in tests alone.

A pair and a stack of frames go in; one number comes out, the likelihood that all are of one kind.
"""

from components.tasks.task import Boxes, Input, Metric, Output, Task

_METRIC = Metric("mistaken", "mistaken pictures", less_is_better=True)

TASK = Task(
    name="kinship",
    features=("same",),
    inputs=(
        Input("second", "pair/encoded"),
        Input("first", "image/encoded"),
        Input("clip", "frames/encoded", frames="frames"),
    ),
    boxes=Boxes("proposals", "proposals"),
    alike=True,
    outputs=(Output("kin", "float32", (), "probability that all pictures are of one kind"),),
    metrics=(_METRIC,),
    blessing=(_METRIC,),
    monitor="val_loss",
    monitor_less_is_better=True,
    arguments={
        "frames": 2,
        "bound": 0.5,
        "proposals": 0,
        "proposals_width": 0,
        "proposals_smallest": 2,
        "proposals_method": "own",
    },
)
