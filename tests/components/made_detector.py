"""A small detector for tests: a grid of cells, each with a score a class and a box."""

import keras
from keras import ops

STRIDE = 8


@keras.saving.register_keras_serializable(package="made_detector")
class Grid(keras.Model):
    """A functional model whose loss is that of the cells in which objects have their centres."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        del x, training
        boxes, classes = y["boxes"], y["classes"]
        logits, sides = y_pred["logits"], y_pred["sides"]
        rows, columns, number = logits.shape[1:]
        there = ops.cast(classes >= 0, "float32")
        if sample_weight is not None:
            there = there * sample_weight
        centres = (boxes[..., :2] + boxes[..., 2:]) / 2
        row = ops.clip(ops.cast(centres[..., 0] * rows, "int32"), 0, rows - 1)
        column = ops.clip(ops.cast(centres[..., 1] * columns, "int32"), 0, columns - 1)
        cell = ops.one_hot(row * columns + column, rows * columns) * there[..., None]
        wanted = ops.minimum(
            ops.sum(cell[..., None] * ops.one_hot(classes, number)[:, :, None], axis=1), 1.0
        )
        logits = ops.reshape(logits, (-1, rows * columns, number))
        scores = ops.sum(ops.binary_crossentropy(wanted, logits, from_logits=True), axis=(1, 2))
        taken = ops.einsum("nmc,ncs->nms", cell, ops.reshape(sides, (-1, rows * columns, 4)))
        apart = ops.sum(ops.abs(taken - boxes * there[..., None]), axis=(1, 2))
        return ops.mean(scores + 5.0 * apart) + sum(self.losses, 0.0)


def GridDetector(input_shape, classes, detections=12, width=16, weights=None, name="grid"):
    """A detector of `STRIDE` pixels a cell."""
    del weights
    image = keras.Input(input_shape)
    x = image
    for step in range(3):
        x = keras.layers.Conv2D(width * 2**step, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(width * 4, 3, padding="same", activation="relu", name="shared")(x)
    prior = keras.initializers.Constant(-4.0)
    logits = keras.layers.Conv2D(classes, 1, bias_initializer=prior, dtype="float32")(x)
    sides = keras.layers.Conv2D(4, 1, dtype="float32", name="sides")(x)
    sides = Corners()(sides)
    found = Best(detections)([logits, sides])
    return Grid(image, {**found, "logits": logits, "sides": sides}, name=name)


@keras.saving.register_keras_serializable(package="made_detector")
class Corners(keras.layers.Layer):
    """Numbers of each cell to a box around its centre, in parts of the picture."""

    def call(self, sides):
        rows, columns = sides.shape[1:3]
        y, x = ((ops.arange(n, dtype="float32") + 0.5) / n for n in (rows, columns))
        y, x = ops.meshgrid(y, x, indexing="ij")
        centres = ops.stack([y, x], axis=-1)[None]
        half = ops.softplus(sides[..., 2:] - 2.0)
        middle = centres + ops.tanh(sides[..., :2]) / ops.convert_to_tensor(
            [rows, columns], "float32"
        )
        return ops.concatenate([middle - half, middle + half], axis=-1)


@keras.saving.register_keras_serializable(package="made_detector")
class Best(keras.layers.Layer):
    """The surest cells and classes."""

    def __init__(self, detections, **kwargs):
        super().__init__(**kwargs)
        self.detections = detections

    def get_config(self):
        return {**super().get_config(), "detections": self.detections}

    def call(self, inputs):
        logits, sides = inputs
        number = logits.shape[-1]
        cells = logits.shape[1] * logits.shape[2]
        scores = ops.reshape(ops.sigmoid(logits), (-1, cells * number))
        best, place = ops.top_k(scores, self.detections)
        boxes = ops.reshape(sides, (-1, cells, 4))
        chosen = ops.take_along_axis(boxes, (place // number)[..., None], axis=1)
        used = best > 0.05
        return {
            "boxes": ops.where(used[..., None], ops.clip(chosen, 0.0, 1.0), 0.0),
            "scores": ops.where(used, best, 0.0),
            "classes": ops.where(used, ops.cast(place % number, "int32"), -1),
        }
