"""The direction in which the surface looks that each pixel of a picture shows."""

from components.tasks.task import Metric, Output, Task

_MEAN = Metric("angle_mean", "mean angle to the true normals", "degrees", less_is_better=True)

TASK = Task(
    name="normals",
    features=("normals/encoded",),
    outputs=(
        Output(
            "normals",
            "float32",
            (None, None, 3),
            "unit vectors of each pixel of the input, to the camera's side of its surface: x to "
            "the right, y down, z into the scene",
        ),
    ),
    metrics=(
        _MEAN,
        Metric("angle_median", "median angle to the true normals", "degrees", less_is_better=True),
        Metric("within_11.25", "normals within 11.25 degrees"),
        Metric("within_22.5", "normals within 22.5 degrees"),
        Metric("within_30", "normals within 30 degrees"),
    ),
    blessing=(_MEAN,),
    monitor="val_loss",
    monitor_less_is_better=True,
    whole_picture=True,
    kept=24,
)
