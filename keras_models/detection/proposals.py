"""The region proposal net: Ren, He, Girshick, Sun, Faster R-CNN: Towards Real-Time Object Detection
with Region Proposal Networks, NIPS 2015, section 3.1."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from keras_models.detection.anchors import base_anchors, grid_anchors
from keras_models.detection.boxes import clip, decode
from keras_models.detection.matching import gather
from keras_models.detection.suppression import suppress

# Of the overlap of proposals, and of how many boxes: section 3.1.4 of the paper, and the authors'
# code, which suppresses the best 12,000 in training and 6,000 at test.
OVERLAP = 0.7
CANDIDATES = {True: 12_000, False: 6_000}


@keras.saving.register_keras_serializable(package="keras_models")
class Proposals(layers.Layer):
    """The best boxes that a region proposal net answers, without those that overlap better ones.

    Boxes are cut at the sides of the picture; those with a side of less than `stride` pixels are
    left out, as in the authors' code.

    Args:
        stride: pixels from one place of the maps to the next.
        scales: sides of the square anchors, in pixels.
        ratios: height by width of the anchors.
        trained: how many proposals there are in training; 2,000 in the paper.
        tested: how many there are else; 300 in the paper.

    Input: a list of the picture [N, H, W, C], whose sides alone count, the logits [N, h, w, 2 A] of
    "none" and "object" for each of the A anchors of a place, and the codes [N, h, w, 4 A]. Output:
    float32 [N, R, 4] in fractions of the picture, the best first; 0 in unused places. No gradient
    goes through it.

    Raises:
        ValueError: no proposals; no scales or ratios, or one that is not positive.
    """

    def __init__(
        self,
        stride: int,
        scales: Sequence[float],
        ratios: Sequence[float],
        trained: int = 2_000,
        tested: int = 300,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if trained < 1 or tested < 1:
            raise ValueError(
                "proposals must be 1 or more, in training and at test: not "
                f"{trained!r}, {tested!r}."
            )
        self.stride, self.trained, self.tested = stride, trained, tested
        self.scales, self.ratios = tuple(scales), tuple(ratios)
        self.base = base_anchors(stride, self.scales, self.ratios)

    def build(self, input_shapes):
        pass

    def anchors(self, height, width):
        """The anchors of a map of these sides, float32 [height * width * A, 4] in pixels."""
        return grid_anchors(height, width, self.stride, self.base)

    def call(self, inputs, training=False):
        picture, logits, codes = inputs
        sides = [ops.cast(side, "float32") for side in ops.shape(picture)[1:3]]
        anchors = self.anchors(*ops.shape(logits)[1:3])
        scores = ops.stop_gradient(object_logits(logits))
        number = ops.shape(scores)[1]
        codes = ops.reshape(ops.stop_gradient(ops.cast(codes, "float32")), (-1, number, 4))
        most = CANDIDATES[bool(training)]
        most = min(number, most) if isinstance(number, int) else ops.minimum(number, most)
        scores, best = ops.top_k(scores, most)
        boxes = decode(gather(codes, best), ops.take(anchors, best, axis=0))
        boxes = clip(boxes, *sides)
        large = ops.all(boxes[..., 2:] - boxes[..., :2] >= self.stride, axis=-1)
        scores = ops.where(large, scores, -float("inf"))
        kept, taken = suppress(boxes, scores, self.trained if training else self.tested, OVERLAP)
        boxes = gather(boxes, kept) / ops.stack([*sides, *sides])
        return ops.where(taken[..., None], boxes, 0.0)

    def compute_output_spec(self, inputs, training=False):
        # In training there are others than at test.
        return keras.KerasTensor((inputs[0].shape[0], None, 4), "float32")

    def get_config(self):
        return super().get_config() | {
            "stride": self.stride,
            "scales": self.scales,
            "ratios": self.ratios,
            "trained": self.trained,
            "tested": self.tested,
        }


def object_logits(logits):
    """Of "object" against "none", float32 [N, h * w * A], of logits [N, h, w, 2 A] of both."""
    pairs = ops.reshape(ops.cast(logits, "float32"), (ops.shape(logits)[0], -1, 2))
    return pairs[..., 1] - pairs[..., 0]


def proposal_net(
    maps: keras.KerasTensor, filters: int, anchors: int
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Two answers for each anchor of each place: a 3 x 3 convolution and two of 1 x 1.

    The weights of the three layers, rpn_conv, rpn_logits and rpn_codes, start normal with standard
    deviation 0.01 (section 3.1.3).

    Args:
        maps: [N, h, w, C].
        filters: of the first convolution; 256 with ZF, 512 with VGG-16.
        anchors: A, of a place.

    Returns:
        float32 logits [N, h, w, 2 A] and codes [N, h, w, 4 A].
    """
    x = _convolution(filters, 3, "rpn_conv", "relu")(maps)
    return tuple(
        _convolution(number * anchors, 1, name, dtype="float32")(x)
        for number, name in ((2, "rpn_logits"), (4, "rpn_codes"))
    )


def _convolution(filters: int, window: int, name: str, activation=None, dtype=None):
    return layers.Conv2D(
        filters,
        window,
        padding="same",
        data_format="channels_last",
        activation=activation,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype=dtype,
        name=name,
    )


def anchor_shapes(
    boxes: np.ndarray, scales: int, ratios: int = 1
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scales and ratios of anchors for objects like these.

    The middles of equal parts, in the logarithm, of what the square roots of the areas, and height
    by width, span between their 5 % and 95 % quantiles.

    Args:
        boxes: [B, 4] in pixels of the picture that the net is shown.
        scales: how many.
        ratios: how many.

    Returns:
        scales in pixels and ratios, both rising.
    """
    height, width = np.asarray(boxes[:, 2:] - boxes[:, :2], np.float64).T
    return _spread(np.sqrt(height * width), scales), _spread(height / width, ratios)


def _spread(values: np.ndarray, number: int) -> tuple[float, ...]:
    lowest, highest = np.log(np.quantile(values, [0.05, 0.95]))
    places = (np.arange(number) + 0.5) / number
    return tuple(np.exp(lowest + places * (highest - lowest)).tolist())
