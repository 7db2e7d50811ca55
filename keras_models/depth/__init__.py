"""Nets for depth and surface normals: functions `Name(input_shape, ..., weights=None, name=...)`.

The contract of all of them:

- Input: one float tensor [N, H, W, channels], channels last: RGB of 0..255 minus the mean of the
  training set.
- Output: one float32 tensor, in every dtype policy, for `scales.answer_pixels` of the picture: log
  depths [N, h, w, 1] (natural logarithm of metres), or unit normals [N, h, w, 3]. With both a dict:
  "depth" and "normals".
- The losses are `keras_models.losses.LogDepthLoss`, which takes the logarithm of the true depths,
  and `NormalsLoss`.
- Layers are named by their scale, "scale2_conv1"; the convolutions of scale 1 have the names that
  they have in AlexNet and VGG, whose weights they can start from. `train` says which scales are
  trained, `base` what they start from.
- A wrong argument is a ValueError that says what is allowed.
"""

from keras_models.depth.coarse_fine import CoarseFineDepth
from keras_models.depth.multi_scale import MultiScaleDepth

__all__ = ["CoarseFineDepth", "MultiScaleDepth"]
