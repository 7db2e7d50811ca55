"""Weights of keras.applications' VGG16 and VGG19 for our nets D and E, and for their convolutions
in other nets."""

from collections.abc import Collection

import keras

from keras_models.classification.published import with_imagenet_weights
from keras_models.classification.top import output_layers

VGG = {"D": keras.applications.VGG16, "E": keras.applications.VGG19}
# Of the fully connected layers, the input and the units that the published weights are for.
_SIDE, _UNITS = 224, 4096


def published_vgg(configuration: str, target: keras.Model) -> keras.Model:
    """Gives our net D or E the ImageNet weights that keras.applications publishes.

    They are downloaded at the first time and kept in Keras' cache. A net for 224 x 224 pixels
    with 4,096 units gets all (550 MB), but for its logits where it has not 1,000 classes; any
    other, and one without its top, gets the convolutions alone (60 or 80 MB).

    Raises:
        ValueError: a net that is not of the published width, or not for 3 channels.
        FileNotFoundError: as `with_imagenet_weights`.
    """
    _, *sides, channels = target.input_shape
    names = {layer.name for layer in target.layers}
    whole = "fc6" in names and sides == [_SIDE] * 2 and target.get_layer("fc6").units == _UNITS
    if channels != 3 or target.get_layer("conv1_1").filters != 64:
        raise ValueError(
            f"ImageNet weights are for 3 channels and width 1.0; {target.name} is for {channels} "
            f"channels and has {target.get_layer('conv1_1').filters} maps in conv1_1, not 64."
        )
    source = with_imagenet_weights(VGG[configuration], include_top=whole)
    if not whole:
        return vgg_convolutions_from_applications(source, target)
    replaced = () if target.output_shape[-1] == source.output_shape[-1] else output_layers(target)
    return vgg_from_applications(source, target, replaced)


def vgg_from_applications(
    source: keras.Model, target: keras.Model, replaced: Collection[str] = ()
) -> keras.Model:
    """Gives `target` the weights of `source`, so that the two answer the same.

    keras.applications takes BGR (its "caffe" preprocessing) and ours RGB: the first convolution's
    input channels turn round. Both take pixels of 0..255 minus the mean, not divided: RGB means
    123.68, 116.779, 103.939. The answers of keras.applications are softmax(ours).

    Args:
        source: keras.applications' VGG16 or VGG19 with its classifier (include_top=True), of any
            input size and number of classes.
        target: `VGG("D")` or `VGG("E")` of the same sizes.
        replaced: names of the layers of `target` that keep their own weights.

    Returns:
        `target`.

    Raises:
        ValueError: the two are not the same net.
    """
    theirs, ours = (
        [layer for layer in model.layers if layer.weights] for model in (source, target)
    )
    pairs = [pair for pair in zip(theirs, ours, strict=False) if pair[1].name not in replaced]
    shapes = [[[tuple(w.shape) for w in layer.weights] for layer in pair] for pair in pairs]
    if len(theirs) != len(ours) or any(their != our for their, our in shapes):
        raise ValueError(
            f"{target.name} is not the net of {source.name}: the shapes of their weights differ."
        )
    for their, our in pairs:
        weights = their.get_weights()
        if our is ours[0]:
            weights[0] = weights[0][:, :, ::-1]
        our.set_weights(weights)
    return target


def vgg_convolutions_from_applications(source: keras.Model, target: keras.Model) -> keras.Model:
    """Gives the convolutions of `target` that are named as VGG's the weights of `source`.

    Pixels and channels as in `vgg_from_applications`.

    Args:
        source: keras.applications' VGG16 or VGG19, with or without its classifier.
        target: a net on `keras_models.classification.vgg.vgg_backbone`, D or E, of the published
            width.

    Returns:
        `target`.

    Raises:
        ValueError: the two do not have the same convolutions.
    """
    ours = {layer.name: layer for layer in target.layers if layer.weights}
    for layer in source.layers:
        if "_conv" not in layer.name:
            continue
        name = layer.name.removeprefix("block").replace("_conv", "_")
        kernel, bias = layer.get_weights()
        if name == "1_1":
            kernel = kernel[:, :, ::-1]
        found = ours.get(f"conv{name}")
        if found is None or tuple(found.kernel.shape) != kernel.shape:
            raise ValueError(
                f"{target.name} does not have the convolutions of {source.name}: conv{name} is "
                + ("missing." if found is None else f"{tuple(found.kernel.shape)}.")
            )
        found.set_weights([kernel, bias])
    return target
