"""One class of several for each picture."""

from components.tasks.task import CLASSES, Metric, Output, Task

TASK = Task(
    name="classification",
    features=("label", "label/text"),
    outputs=(
        Output("scores", "float32", (CLASSES,), "probability of each class"),
        Output("classes", "string", (), "name of the likeliest class"),
    ),
    blessing=(
        Metric("accuracy", "accuracy"),
        Metric("gain_over_majority", "accuracy above that of the commonest class", bound=0.0),
    ),
    metrics=(
        Metric("error", "error", less_is_better=True),
        Metric("top5_error", "top-5 error", less_is_better=True),
        Metric("cross_entropy", "cross-entropy", "nats", less_is_better=True),
        Metric("rejected_at_0.5_error", "rejected for 0.5 % error", less_is_better=True),
    ),
    training_metrics=(
        Metric("steps_to_72.2_accuracy", "steps to 72.2 % accuracy", "1", less_is_better=True),
    ),
    monitor="val_accuracy",
    monitor_less_is_better=False,
    watched=("accuracy",),
    protocols=(
        *("1-crop", "centre-crop", "10-crop", "144-crop", "dense", "dense-3-scales"),
        *("150-crop", "150-crop-and-dense", "multi-scale"),
        *("overfeat-1-scale", "overfeat-4-scales", "overfeat-6-scales"),
    ),
    one_class=True,
    has_classes=True,
)
