"""Depths and normals by one network, whose first scale the two share (Eigen, Fergus 2015, 4.4).

Each module is composed of those of the tasks `depth` and `normals`: targets, outputs and truths by
the names of the two, rows side by side.
"""

import dataclasses

from components.tasks.depth import TASK as DEPTH
from components.tasks.normals import TASK as NORMALS
from components.tasks.task import Task

# Farther from the true normals than any direction that is drawn at random.
_WORSE_THAN_CHANCE = 90.0

TASK = Task(
    name="depth_normals",
    features=(*DEPTH.features, *NORMALS.features),
    outputs=(*DEPTH.outputs, *NORMALS.outputs),
    metrics=(*DEPTH.metrics, *NORMALS.metrics),
    blessing=(
        *DEPTH.blessing,
        *(dataclasses.replace(each, bound=_WORSE_THAN_CHANCE) for each in NORMALS.blessing),
    ),
    monitor="val_loss",
    monitor_less_is_better=True,
    whole_picture=True,
    kept=24,
    arguments={**DEPTH.arguments, **NORMALS.arguments},
)
