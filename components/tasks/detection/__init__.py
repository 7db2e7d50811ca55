"""Which objects are in a picture, and where: a class, a score and a box of each."""

from components.tasks.task import Boxes, Metric, Output, Task

_MAP = Metric("map50", "mean average precision at an overlap of 0.5")

TASK = Task(
    name="detection",
    features=(
        *("objects/bbox", "objects/label"),
        *("objects/difficult", "objects/crowd", "objects/area"),
    ),
    outputs=(
        Output(
            "boxes",
            "float32",
            (None, 4),
            "ymin, xmin, ymax, xmax in pixels of the picture; 0 in unused places",
            is_place=True,
        ),
        Output("scores", "float32", (None,), "from 1 to 0, falling; 0 in unused places"),
        Output("classes", "int32", (None,), "numbers of classes; -1 in unused places"),
        Output("count", "int32", (), "how many places are used"),
    ),
    metrics=(
        _MAP,
        Metric("map50_11_points", "mean average precision at 11 recalls, overlap 0.5"),
        Metric("coco_ap", "COCO's average precision, overlaps of 0.50 to 0.95"),
        Metric("coco_ap50", "COCO's average precision, overlap 0.50"),
        Metric("coco_ap75", "COCO's average precision, overlap 0.75"),
        Metric("coco_ap_small", "COCO's average precision, small objects"),
        Metric("coco_ap_medium", "COCO's average precision, medium objects"),
        Metric("coco_ap_large", "COCO's average precision, large objects"),
        Metric("coco_ar1", "COCO's average recall, 1 detection a picture"),
        Metric("coco_ar10", "COCO's average recall, 10 detections a picture"),
        Metric("coco_ar100", "COCO's average recall, 100 detections a picture"),
        Metric("coco_ar_small", "COCO's average recall, small objects"),
        Metric("coco_ar_medium", "COCO's average recall, medium objects"),
        Metric("coco_ar_large", "COCO's average recall, large objects"),
        Metric("localization_error", "localisation error of five guesses", less_is_better=True),
    ),
    blessing=(_MAP,),
    monitor="val_loss",
    monitor_less_is_better=True,
    averages=False,
    has_classes=True,
    boxes=Boxes("proposals", "proposals"),
    arguments={
        "proposals": 0,
        "proposals_width": 500,
        "proposals_smallest": 20,
        "proposals_method": "own",
    },
)
