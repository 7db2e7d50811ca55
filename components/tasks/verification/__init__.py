"""Whether two pictures show the same: the same person, of faces."""

from components.tasks.task import Input, Metric, Output, Task

TASK = Task(
    name="verification",
    features=("same", "fold"),
    inputs=(Input("image", "image/encoded"), Input("pair", "pair/encoded")),
    outputs=(Output("score", "float32", (), "the higher, the surer the same; above 0: the same"),),
    metrics=(
        Metric("accuracy", "accuracy"),
        Metric("accuracy_standard_error", "standard error of the accuracy", less_is_better=True),
        Metric("roc_area", "area under the ROC curve", "1"),
        Metric("equal_error_rate", "equal error rate", less_is_better=True),
    ),
    blessing=(Metric("accuracy", "accuracy"),),
    monitor="val_loss",
    monitor_less_is_better=True,
)
