"""Training on crops of the finest scale: Eigen, Fergus, Predicting Depth, Surface Normals and
Semantic Labels with a Common Multi-Scale Convolutional Architecture, ICCV 2015, section 3."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

# The first convolution of scales 2 and 3 with the pooling behind it: a picture with `MARGIN` zeros
# around it, windows of 9 x 9 with stride 2, maxima of 3 x 3.
MARGIN = 1
WINDOW, STRIDE, POOL = 9, 2, 3
# What a training crop leaves out of a map. It is no log depth of a net that has not diverged.
LEFT_OUT = -np.inf


@keras.saving.register_keras_serializable(package="keras_models")
class TrainingCrop(layers.Layer):
    """The picture and the maps of the scales before, cropped to the same random place in training.

    A crop of the maps is `sides` at a place of the grid that the first convolution of scale 3 has
    on the picture; the picture's crop has the pixels that this convolution and its pooling see for
    it, and no more: what they make of the crop is what they make of the whole picture, cropped. One
    place is drawn for a batch. Without training, all is handed on as it is.

    The authors' code crops so, but for the first row and column of the picture, which it replaces
    by zeros. The paper takes crops of 55 x 74 of 109 x 147.

    Args:
        sides: height and width of the crops of the maps.
        seed: of the places.

    Input: a list of the picture with its margin [N, H, W, channels] and the maps [N, h, w, C].
    Output: the two, cropped, and the place of the crop in the maps, int32 [2].
    """

    def __init__(self, sides: Sequence[int], seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.sides = tuple(sides)
        self.seed = seed
        self._places = keras.random.SeedGenerator(seed)

    def build(self, input_shapes):
        maps = tuple(input_shapes[1][1:3])
        if any(not 0 < side <= whole for side, whole in zip(self.sides, maps, strict=True)):
            raise ValueError(
                f"crop must be a height and width of up to {maps}, the sides of the answers, not "
                f"{self.sides}."
            )

    def call(self, inputs, training=False):
        picture, maps = inputs
        if not training:
            return picture, maps, ops.zeros((2,), "int32")
        place = ops.stack(
            [
                keras.random.randint((), 0, whole - side + 1, "int32", self._places)
                for whole, side in zip(maps.shape[1:3], self.sides, strict=True)
            ]
        )
        pixels = [STRIDE * (side + POOL - 2) + WINDOW for side in self.sides]
        return _cropped(picture, STRIDE * place, pixels), _cropped(maps, place, self.sides), place

    def compute_output_spec(self, inputs, training=False):
        picture, maps = (keras.KerasTensor(x.shape, self.compute_dtype) for x in inputs)
        return picture, maps, keras.KerasTensor((2,), "int32")

    def get_config(self):
        return super().get_config() | {"sides": self.sides, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_models")
class WholeMap(layers.Layer):
    """A map that was computed on a crop at its place in the whole, -inf around it.

    Args:
        sides: height and width of the whole.

    Input: a list of the map [N, h, w, C] and the place of its first pixel, int32 [2]; a map that is
    whole stays as it is. Output: [N, *sides, C].
    """

    def __init__(self, sides: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.sides = tuple(sides)

    def call(self, inputs):
        x, place = inputs
        if tuple(x.shape[1:3]) == self.sides:
            return x
        inside = True
        for axis, whole in enumerate(self.sides):
            steps = ops.arange(whole, dtype="int32") - place[axis]
            size = x.shape[1 + axis]
            x = ops.take(x, ops.clip(steps, 0, size - 1), axis=1 + axis)
            hit = ops.logical_and(steps >= 0, steps < size)
            inside = ops.logical_and(inside, ops.reshape(hit, (-1, 1, 1) if axis == 0 else (-1, 1)))
        return ops.where(inside, x, ops.full_like(x, LEFT_OUT))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs[0].shape[0], *self.sides, inputs[0].shape[-1]), self.dtype)

    def get_config(self):
        return super().get_config() | {"sides": self.sides}


@keras.saving.register_keras_serializable(package="keras_models")
class CropTrained(keras.Model):
    """A net whose loss in training leaves out what its crops left out.

    There its targets, floats, are NaN, which the losses and metrics of depth pass over.
    """

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if training:
            y, y_pred = _of_the_crop(y, y_pred)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        y, y_pred = _of_the_crop(y, y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)


def _cropped(x, place, sides):
    for axis, side in enumerate(sides):
        x = ops.take(x, place[axis] + ops.arange(side, dtype="int32"), axis=1 + axis)
    return x


def _of_the_crop(y, y_pred):
    """The targets with NaN, and the answers with 0, where a crop left out the answer."""

    def target(true, answer):
        true = ops.convert_to_tensor(true, "float32")
        has_channels = len(true.shape) == len(answer.shape)
        left_out = ops.any(answer == LEFT_OUT, axis=-1, keepdims=has_channels)
        return ops.where(left_out, float("nan"), true)

    targets = keras.tree.map_structure(target, y, y_pred)
    answers = keras.tree.map_structure(
        lambda answer: ops.where(answer == LEFT_OUT, ops.zeros_like(answer), answer), y_pred
    )
    return targets, answers
