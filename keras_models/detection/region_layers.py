"""Layers of nets that classify regions: Girshick et al., CVPR 2014."""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_models.detection.boxes import areas, clip, decode, floats
from keras_models.detection.matching import NEITHER, POSITIVE, match, sample
from keras_models.detection.suppression import suppress_by_class
from keras_models.detection.warping import warp_regions


class Drawn(NamedTuple):
    """Regions of a step.

    Attributes:
        boxes: float32 [S, 4].
        pictures: int32 [S], the number of the picture of each.
        labels: int32 [S]: 0 for background, number of the class + 1; -1 where there is no region.
        truths: int32 [S], the number of the true box in its picture that each overlaps most.
    """

    boxes: keras.KerasTensor
    pictures: keras.KerasTensor
    labels: keras.KerasTensor
    truths: keras.KerasTensor


@keras.saving.register_keras_serializable(package="keras_models")
class RegionFeatures(keras.layers.Layer):
    """What a net for one picture gives of each region of pictures, warped to its input.

    Args:
        network: a model [S, size, size, C] -> a mapping of features [S, F].
        context: as of `warp_regions`.
        chunk: how many regions are computed at a time. Memory grows with it, not with the regions.

    Input: a list of images [N, H, W, C] and boxes [N, R, 4], parts of the pictures' sides, which
    stay in float32 in every dtype policy. R is at least 1.
    Output: the mapping, of [N, R, F].
    """

    def __init__(self, network: keras.Model, context: int = 16, chunk: int = 64, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.network = network
        self.context = context
        self.chunk = chunk
        size = network.input_shape[1]
        if network.input_shape[2] != size or not 0 <= 2 * context < size:
            raise ValueError(
                f"network must take squares of more than twice the context, {context}: not "
                f"{network.input_shape[1:]}."
            )
        if chunk < 1:
            raise ValueError(f"chunk must be 1 or more, not {chunk!r}.")

    def build(self, input_shape):
        pass

    def call(self, inputs, training=None):
        images, boxes = inputs
        count, regions = ops.shape(boxes)[:2]
        pictures = ops.repeat(ops.arange(count, dtype="int32"), regions)
        boxes = ops.reshape(ops.cast(boxes, "float32"), (-1, 4))
        rest = -ops.shape(boxes)[0] % self.chunk
        chunks = (
            ops.reshape(ops.pad(boxes, ((0, rest), (0, 0))), (-1, self.chunk, 4)),
            ops.reshape(ops.pad(pictures, ((0, rest),)), (-1, self.chunk)),
        )
        found = ops.map(lambda chunk: self.of_regions(images, *chunk, training), chunks)
        return {
            name: ops.reshape(
                ops.reshape(each, (-1, each.shape[-1]))[: count * regions],
                (-1, regions, each.shape[-1]),
            )
            for name, each in found.items()
        }

    def of_regions(self, images, boxes, pictures, training=None):
        """Of regions of any pictures, in one piece.

        Args:
            images: [N, H, W, C].
            boxes: [S, 4].
            pictures: int [S], the number of the picture of each.
            training: as of `call`.

        Returns:
            the mapping, of [S, F].
        """
        size = self.network.input_shape[1]
        images = ops.cast(images, self.compute_dtype)
        windows = warp_regions(images, boxes, pictures, size, self.context)
        return self.network(windows, training=training)

    def compute_output_shape(self, input_shape):
        before = input_shape[1][:2]
        return {name: (*before, each.shape[-1]) for name, each in self.network.output.items()}

    def compute_output_spec(self, inputs, training=None):
        shapes = self.compute_output_shape([each.shape for each in inputs])
        return {
            name: keras.KerasTensor(shape, dtype=self.network.output[name].dtype)
            for name, shape in shapes.items()
        }

    def get_config(self):
        return super().get_config() | {
            "network": keras.saving.serialize_keras_object(self.network),
            "context": self.context,
            "chunk": self.chunk,
        }

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


@keras.saving.register_keras_serializable(package="keras_models")
class RegionDraws(keras.layers.Layer):
    """Passes proposals on; in training, draws the regions of a step from them and the true boxes.

    Positive are regions that overlap a true box by `overlap`, all others are background. The draw
    is over all pictures of the step together; where positive ones lack, background takes their
    places.

    Args:
        number: of the regions of a step.
        positives: the largest share of positive ones.
        overlap: intersection over union.
        seed: of the draws.

    Source: Girshick et al. 2014, section 2.3: 32 positive windows and 96 of background, 0.5.
    """

    def __init__(
        self,
        number: int = 128,
        positives: float = 0.25,
        overlap: float = 0.5,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)
        if number < 1 or not 0 < positives <= 1 or not 0 < overlap <= 1:
            raise ValueError(
                "number must be 1 or more, positives and overlap above 0 and at most 1: not "
                f"{number!r}, {positives!r}, {overlap!r}."
            )
        self.number = number
        self.positives = positives
        self.overlap = overlap
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        pass

    def call(self, proposals):
        return ops.cast(proposals, "float32")

    def drawn(self, proposals, truths, classes) -> Drawn:
        """The regions of a step.

        Args:
            proposals: [N, R, 4]; those without an area are not there.
            truths: [N, M, 4].
            classes: int [N, M]; -1 for padding.
        """
        truths = floats(truths)
        boxes = ops.concatenate([truths, ops.cast(proposals, truths.dtype)], axis=1)
        found = match(
            boxes,
            truths,
            classes >= 0,
            positive=self.overlap,
            negative=(0.0, self.overlap),
            counted=areas(boxes) > 0,
        )
        kinds = ops.reshape(found.kinds, (1, -1))
        indices, kinds = (
            each[0] for each in sample(kinds, self.number, self.positives, self.seed_generator)
        )
        numbers = ops.cast(classes, "int32")
        # Of pictures without any true box there is no number to take.
        numbers = ops.pad(numbers, ((0, 0), (0, 1)), constant_values=-1)
        of_each = ops.reshape(ops.take_along_axis(numbers, found.truths, axis=1), (-1,))
        own = ops.take(of_each, indices, axis=0) + 1
        labels = ops.where(kinds == POSITIVE, own, ops.where(kinds == NEITHER, -1, 0))
        regions = ops.shape(boxes)[1]
        return Drawn(
            ops.stop_gradient(ops.take(ops.reshape(boxes, (-1, 4)), indices, axis=0)),
            indices // regions,
            labels,
            ops.take(ops.reshape(found.truths, (-1,)), indices, axis=0),
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "number": self.number,
            "positives": self.positives,
            "overlap": self.overlap,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="keras_models")
class RegionSuppression(keras.layers.Layer):
    """The best regions of each class: what detection nets answer.

    Args:
        detections: K, how many a picture.
        overlap: of the suppression among the regions of a class.
        least_score: regions of this score or less are left out.

    Input: a list of proposals [N, R, 4], scores [N, R, classes] and, where boxes are regressed, the
    codes of `boxes.encode` of each class, [N, R, classes, 4]. Proposals without an area are left
    out.
    Output: a mapping of float32 `boxes` [N, K, 4], cut at the sides of the pictures, float32
    `scores` [N, K], falling, and int32 `classes` [N, K], -1 in unused places.

    Source: Girshick et al. 2014, section 2.2, with 0.3, the overlap of the authors' code.
    """

    def __init__(
        self, detections: int = 100, overlap: float = 0.3, least_score: float = 0.0, **kwargs: Any
    ):
        super().__init__(autocast=False, **kwargs)
        if detections < 1 or not 0 <= overlap <= 1:
            raise ValueError(
                f"detections must be 1 or more and overlap 0 to 1: not {detections!r}, {overlap!r}."
            )
        self.detections = detections
        self.overlap = overlap
        self.least_score = least_score

    def build(self, input_shape):
        pass

    def call(self, inputs):
        proposals, scores, *codes = inputs
        proposals = ops.cast(proposals, "float32")
        there = (areas(proposals) > 0)[..., None]
        scores = ops.where(there, ops.cast(scores, "float32"), -float("inf"))
        boxes = decode(codes[0], proposals[:, :, None]) if codes else proposals
        found = suppress_by_class(
            clip(boxes), scores, self.detections, self.overlap, self.least_score
        )
        return found._asdict()

    def compute_output_spec(self, inputs):
        pictures = inputs[0].shape[0]
        return {
            "boxes": keras.KerasTensor((pictures, self.detections, 4), dtype="float32"),
            "scores": keras.KerasTensor((pictures, self.detections), dtype="float32"),
            "classes": keras.KerasTensor((pictures, self.detections), dtype="int32"),
        }

    def get_config(self):
        return super().get_config() | {
            "detections": self.detections,
            "overlap": self.overlap,
            "least_score": self.least_score,
        }
