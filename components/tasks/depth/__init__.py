"""The distance of what each pixel of a picture shows, in metres."""

from components.tasks.task import Metric, Output, Task

TASK = Task(
    name="depth",
    features=("depth/encoded",),
    outputs=(Output("depth", "float32", (None, None), "metres, of each pixel of the input"),),
    metrics=(
        Metric("abs_rel", "absolute relative error", "1", less_is_better=True),
        Metric("sqr_rel", "squared relative error", "m", less_is_better=True),
        Metric("rms", "root mean square error", "m", less_is_better=True),
        Metric("rms_log", "root mean square error of log depths", "1", less_is_better=True),
        Metric(
            "rms_log_scale_invariant",
            "scale-invariant error of log depths",
            "1",
            less_is_better=True,
        ),
        Metric("threshold_1.25", "depths within a factor of 1.25"),
        Metric("threshold_1.25^2", "depths within a factor of 1.25^2"),
        Metric("threshold_1.25^3", "depths within a factor of 1.25^3"),
    ),
    blessing=(Metric("abs_rel", "absolute relative error", "1", less_is_better=True),),
    monitor="val_loss",
    monitor_less_is_better=True,
    whole_picture=True,
    kept=24,
    arguments={"crop": False},
)
