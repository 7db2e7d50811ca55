"""Detection nets: functions `Name(input_shape, classes, ..., weights=None, name=...)`; and the
mathematics of boxes.

The contract of all of them:

- Input: one float tensor [N, H, W, channels], channels last; with given proposals a dict of "image"
  and "proposals".
- Boxes are ymin, xmin, ymax, xmax along the last axis, float32 in every dtype policy. Nets take and
  give fractions 0..1 of the height and width of the picture that they are shown; functions of boxes
  take any unit.
- Output: a dict with "boxes" float32 [N, K, 4], "scores" float32 [N, K], falling, 0 in unused
  places, and "classes" int32 [N, K], numbers of classes without the background, -1 in unused
  places. Further entries are for the loss.
- The loss is the net's own: `compute_loss` takes {"boxes": [N, M, 4], "classes": int [N, M], -1
  where there is none}.
- A wrong argument is a ValueError that says what is allowed.
"""

from keras_models.detection.fast_rcnn import FastRCNN
from keras_models.detection.faster_rcnn import FasterRCNN
from keras_models.detection.overfeat import OverFeatDetector
from keras_models.detection.rcnn import RCNN

__all__ = ["RCNN", "FastRCNN", "FasterRCNN", "OverFeatDetector"]
