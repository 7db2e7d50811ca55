"""What Fast R-CNN and Faster R-CNN share: convolutions, pooled regions, and the two answers about
each of them. Girshick, Fast R-CNN, ICCV 2015, section 2; He, Zhang, Ren, Sun 2016, appendix A."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers, ops

from keras_models.classification.building import checked_choice, last_maps, scaled
from keras_models.classification.resnet import (
    ResNet50,
    ResNet101,
    residual_stage,
    resnet_backbone,
)
from keras_models.classification.top import start_from
from keras_models.classification.vgg import VGG16, vgg_backbone
from keras_models.classification.zfnet import zfnet_backbone
from keras_models.detection.boxes import areas, clip, decode
from keras_models.detection.suppression import Detections, suppress_by_class
from keras_models.layers import RegionMaxPooling2D

# What codes of boxes are divided by, so that targets have about unit variance: section 2.3, with
# the figures of the authors' code.
DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
# Pictures of 32 have 2 x 2 places of 16 pixels.
SMALLEST_SIDE = 32
# Of detections of a class, and the score above which there is one: the authors' code.
OVERLAP, LEAST_SCORE = 0.3, 0.05


@dataclass(frozen=True)
class Backbone:
    """The convolutions of a detector.

    Attributes:
        maps: (image, width) -> feature maps by name, the last those that regions are pooled from.
        stride: pixels from one place of the last maps to the next.
        pool_size: bins a side of a region.
        proposal_filters: of the proposal net's first convolution.
        stage: of the residual net that is the head, with its depth; None for two fully connected
            layers.
        fixed_normalization: whether batch normalisations keep the statistics that they start with.
        published: gives a net on it the ImageNet weights of keras.applications; None without any.
    """

    maps: Callable[[keras.KerasTensor, float], dict[str, keras.KerasTensor]]
    stride: int
    pool_size: int
    proposal_filters: int
    stage: tuple[int, int] | None = None
    fixed_normalization: bool = False
    published: Callable[[keras.Model], keras.Model] | None = None


def _before(maps: dict[str, keras.KerasTensor], name: str) -> dict[str, keras.KerasTensor]:
    """The maps in front of those of a name."""
    names = [*maps]
    return {each: maps[each] for each in names[: names.index(name)]}


def _zf(image, width):
    return _before(
        zfnet_backbone(image, width=width, initialization="he", centred=True), "pool5_padding"
    )


def _vgg(image, width):
    return _before(vgg_backbone(image, "D", width, "he"), "pool5")


def _residual(depth: int, last_stage: int):
    def maps(image, width):
        if width != 1:
            raise ValueError(f"width must be 1 with residual nets, not {width!r}.")
        return resnet_backbone(image, depth, "B", last_stage)

    return maps


def _imagenet(net: Callable[..., keras.Model]) -> Callable[[keras.Model], keras.Model]:
    return lambda detector: start_from(detector, net(weights="imagenet"))


BACKBONES = {
    "zf": Backbone(_zf, 16, 6, 256),
    "vgg16": Backbone(_vgg, 16, 7, 512, published=_imagenet(VGG16)),
    # Appendix A: conv5_x is the head, on regions of 14 x 14.
    "resnet50": Backbone(_residual(50, 4), 16, 14, 512, (5, 50), True, _imagenet(ResNet50)),
    "resnet101": Backbone(_residual(101, 4), 16, 14, 512, (5, 101), True, _imagenet(ResNet101)),
    # In no paper: for small pictures and random weights. conv1 to conv3_x, with places of 8 pixels.
    "resnet18": Backbone(_residual(18, 3), 8, 7, 128),
}


def checked_backbone(name: str) -> Backbone:
    """The backbone of a name.

    Raises:
        ValueError: an unknown one.
    """
    return BACKBONES[checked_choice("backbone", name, BACKBONES)]


def checked_objects(classes: int) -> int:
    """The number of classes of objects, without the background.

    Raises:
        ValueError: none.
    """
    if classes < 1:
        raise ValueError(f"classes must be 1 or more, not {classes!r}.")
    return classes


@keras.saving.register_keras_serializable(package="keras_models")
class InPixels(layers.Layer):
    """Boxes in fractions of a picture as boxes in its pixels.

    Input: a list of the boxes [N, R, 4] and the picture [N, H, W, C], whose sides alone count.
    Output: float32 [N, R, 4].
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs):
        boxes, picture = inputs
        height, width = (ops.cast(side, "float32") for side in ops.shape(picture)[1:3])
        return ops.cast(boxes, "float32") * ops.stack([height, width, height, width])

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, "float32")


@keras.saving.register_keras_serializable(package="keras_models")
class FlatRegions(layers.Layer):
    """The numbers of each region in a row: [N, R, ...] -> [N, R, F]."""

    def call(self, inputs):
        return ops.reshape(inputs, (*ops.shape(inputs)[:2], math.prod(inputs.shape[2:])))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], math.prod(input_shape[2:]))


@keras.saving.register_keras_serializable(package="keras_models")
class MergeRegions(layers.Layer):
    """The regions of all pictures in one axis: [N, R, ...] -> [N * R, ...]."""

    def call(self, inputs):
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[2:])


@keras.saving.register_keras_serializable(package="keras_models")
class SplitRegions(layers.Layer):
    """The axis of `MergeRegions` as two again.

    Input: a list of [N * R, C] and a tensor [N, R, ...]; output [N, R, C].
    """

    def call(self, inputs):
        x, regions = inputs
        return ops.reshape(x, (*ops.shape(regions)[:2], x.shape[-1]))

    def compute_output_shape(self, input_shapes):
        x, regions = input_shapes
        return (*regions[:2], x[-1])


@keras.saving.register_keras_serializable(package="keras_models")
class RegionDetections(layers.Layer):
    """Detections of a picture from the answers about its regions.

    Args:
        detections: K, how many at most.

    Input: a list of the regions [N, R, 4] in fractions, 0 in unused places, the logits
    [N, R, classes + 1], the background first, and the codes [N, R, 4 classes]. Output:
    `keras_models.detection.suppression.Detections` as a tuple, boxes in fractions.

    Raises:
        ValueError: no detections.
    """

    def __init__(self, detections: int = 100, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if detections < 1:
            raise ValueError(f"detections must be 1 or more, not {detections!r}.")
        self.detections = detections

    def call(self, inputs):
        regions, logits, codes = (ops.cast(x, "float32") for x in inputs)
        scores = ops.softmax(logits)[..., 1:]
        scores = ops.where(areas(regions)[..., None] > 0, scores, 0.0)
        codes = by_class(codes)
        boxes = clip(decode(codes, regions[..., None, :], DEVIATIONS))
        return tuple(suppress_by_class(boxes, scores, self.detections, OVERLAP, LEAST_SCORE))

    def compute_output_spec(self, inputs):
        shape = (inputs[0].shape[0], self.detections)
        return tuple(
            Detections(
                keras.KerasTensor((*shape, 4), "float32"),
                keras.KerasTensor(shape, "float32"),
                keras.KerasTensor(shape, "int32"),
            )
        )

    def get_config(self):
        return super().get_config() | {"detections": self.detections}


def by_class(codes):
    """[N, R, 4 classes] as [N, R, classes, 4]."""
    return ops.reshape(codes, (*ops.shape(codes)[:2], codes.shape[-1] // 4, 4))


def region_answers(
    maps: keras.KerasTensor,
    image: keras.KerasTensor,
    regions: keras.KerasTensor,
    backbone: Backbone,
    classes: int,
    units: int,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Pools regions, and answers about each.

    The layers are region_pool, fc6, drop6, fc7, drop7 (or conv5_x's), class_logits and box_codes.
    Weights of the two answers start normal with standard deviations 0.01 and 0.001 (section 2.3).

    Args:
        maps: [N, h, w, C].
        image: [N, H, W, channels].
        regions: [N, R, 4] in fractions.
        backbone: of `BACKBONES`.
        classes: without the background.
        units: of fc6 and fc7.

    Returns:
        float32 logits [N, R, classes + 1] and codes [N, R, 4 classes].
    """
    pixels = InPixels(name="region_pixels")([regions, image])
    pooled = RegionMaxPooling2D(
        backbone.pool_size, backbone.stride, data_format="channels_last", name="region_pool"
    )([maps, pixels])
    if backbone.stage is None:
        x = FlatRegions(name="flat")(pooled)
        for number in (6, 7):
            x = layers.Dense(units, "relu", kernel_initializer="he_normal", name=f"fc{number}")(x)
            x = layers.Dropout(0.5, name=f"drop{number}")(x)
    else:
        stage, depth = backbone.stage
        x = residual_stage(MergeRegions(name="regions_merged")(pooled), stage, depth, "B")
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name="pool5")(x)
        x = SplitRegions(name="regions_split")([x, pooled])

    def answer(outputs, deviation, name):
        normal = keras.initializers.RandomNormal(stddev=deviation)
        return layers.Dense(outputs, kernel_initializer=normal, dtype="float32", name=name)(x)

    return answer(classes + 1, 0.01, "class_logits"), answer(4 * classes, 0.001, "box_codes")


def convolutions(
    image: keras.KerasTensor, backbone: Backbone, width: float
) -> tuple[keras.KerasTensor, int]:
    """The maps that regions are pooled from, and the filters of the proposal net on them."""
    maps = last_maps(backbone.maps(image, width))
    return maps, scaled(backbone.proposal_filters, width)


def fix_normalizations(net: keras.Model) -> keras.Model:
    """The net with batch normalisations that neither learn nor gather statistics."""
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    return net
