"""Detection nets and the mathematics of boxes.

Boxes are ymin, xmin, ymax, xmax along the last axis, float32 in every dtype policy. Functions of
boxes take any unit; nets take and give fractions 0..1 of the picture's height and width.
"""

from keras_models.detection.rcnn import RCNN

__all__ = ["RCNN"]
