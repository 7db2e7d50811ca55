"""Girshick, Fast R-CNN, ICCV 2015."""

import keras
import numpy as np
from keras import layers

from keras_models.classification.building import checked_shape
from keras_models.classification.top import start_from_file, with_weights
from keras_models.detection.regions import (
    SMALLEST_SIDE,
    RegionDetections,
    checked_backbone,
    checked_objects,
    convolutions,
    fix_normalizations,
    region_answers,
)
from keras_models.detection.training import RegionTrained

# The part of the singular values of fc6 and fc7 that section 4.4 keeps.
FC6_VALUES, FC7_VALUES = 1024, 256


def FastRCNN(
    input_shape: tuple[int | None, int | None, int] = (600, 1000, 3),
    classes: int = 20,
    backbone: str = "vgg16",
    width: float = 1.0,
    units: int = 4096,
    proposals: int | None = None,
    regions: int = 64,
    detections: int = 100,
    seed: int | None = None,
    base: str | None = None,
    weights: str | None = None,
    name: str = "fast_rcnn",
) -> keras.Model:
    """A net that classifies given regions and moves their sides.

    The loss is the net's own: `RegionTrained`, with 64 regions of each picture, a quarter of them
    foreground, and background of overlaps from 0.1 to 0.5. In training the true boxes are among the
    regions that are drawn from, as in the authors' code. With VGG-16 and 20 classes: 134,674,341
    parameters.

    Args:
        input_shape: height, width and channels, each side at least 32 or None. The paper resizes
            pictures to a shorter side of 600; RGB of 0..255 minus the mean.
        classes: 1 or more, without the background.
        backbone, width, units, detections, seed, weights: as of `FasterRCNN`.
        proposals: R, how many are given; None for any number.
        regions: drawn a picture.
        base: path of a .keras file: a net of this kind or a `FasterRCNN`, or a classification net
            of the backbone's family; layers of the same names start from its weights.
        name: of the model.

    Returns:
        a model {"image": [N, H, W, channels], "proposals": float32 [N, R, 4], ymin, xmin, ymax,
        xmax in fractions, 0 in unused places} -> {"boxes": float32 [N, K, 4], "scores": float32
        [N, K], falling, "classes": int32 [N, K], -1 in unused places; and what the loss needs:
        "proposals", "maps"}.

    Raises:
        ValueError: an unknown backbone, too small an input, no classes, a width that is not
            positive, no regions or detections, a base that does not fit.
    """
    kind = checked_backbone(backbone)
    image = keras.Input(checked_shape(input_shape, SMALLEST_SIDE, any_size=True), name="image")
    given = keras.Input((proposals, 4), dtype="float32", name="proposals")
    maps, _ = convolutions(image, kind, width)
    logits, codes = region_answers(maps, image, given, kind, checked_objects(classes), units)
    detected = RegionDetections(detections, name="detections")([given, logits, codes])
    outputs = {"maps": maps, "proposals": given} | dict(
        zip(("boxes", "scores", "classes"), detected, strict=True)
    )
    net = RegionTrained({"image": image, "proposals": given}, outputs, name=name).learns(
        {"proposals": False, "sampled": regions, "background": [0.1, 0.5], "seed": seed}
    )
    if kind.fixed_normalization:
        fix_normalizations(net)
    with_weights(net, weights, kind.published)
    return net if base is None else start_from_file(net, base)


def compressed(net: keras.Model, fc6: int = FC6_VALUES, fc7: int = FC7_VALUES) -> keras.Model:
    """The net with fc6 and fc7 as two smaller layers each: truncated singular value decomposition.

    W [u, v] becomes U [u, t] and the largest t singular values times V^T [t, v], together
    t (u + v) weights. The second layer has the name, bias and activation of the one that it
    replaces, the first, linear and without biases, that with "_values".

    Args:
        net: a `FastRCNN` or `FasterRCNN` of fully connected layers.
        fc6: singular values of fc6 that are kept.
        fc7: of fc7.

    Returns:
        a net of the same inputs and outputs, with weights of its own.

    Raises:
        ValueError: a net without these layers, or more values than there are.

    Source: section 3.1; Table 3 and Figure 2 keep 1,024 and 256 values of VGG-16's.
    """
    kept = {"fc6": fc6, "fc7": fc7}
    missing = kept.keys() - {layer.name for layer in net.layers}
    if missing:
        raise ValueError(f"{net.name} has no {' and '.join(sorted(missing))} to compress.")
    for name, values in kept.items():
        most = min(net.get_layer(name).kernel.shape)
        if not 0 < values <= most:
            raise ValueError(f"{name} must keep from 1 to {most} singular values, not {values!r}.")

    def called(layer: keras.Layer, *arguments, **named):
        if layer.name not in kept:
            return layer(*arguments, **named)
        values = layers.Dense(kept[layer.name], use_bias=False, name=f"{layer.name}_values")
        return layer(values(*arguments, **named))

    # The copies of the layers are built as they are called, fc6 and fc7 on fewer inputs.
    smaller = keras.models.clone_model(net, clone_function=_copied, call_function=called)
    for layer in net.layers:
        if layer.name in kept:
            kernel, bias = layer.get_weights()
            left, values, right = np.linalg.svd(kernel.astype("float32"), full_matrices=False)
            number = kept[layer.name]
            smaller.get_layer(f"{layer.name}_values").set_weights([left[:, :number]])
            kernel = values[:number, None] * right[:number]
            smaller.get_layer(layer.name).set_weights([kernel, bias])
        elif layer.weights:
            smaller.get_layer(layer.name).set_weights(layer.get_weights())
    return smaller.learns(net.settings)


def _copied(layer: keras.Layer) -> keras.Layer:
    return layer.__class__.from_config(layer.get_config())
