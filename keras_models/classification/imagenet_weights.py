"""Weights of keras.applications' VGG16 and VGG19 for our nets D and E, and for their convolutions
in other nets."""

import keras

VGG = {"D": keras.applications.VGG16, "E": keras.applications.VGG19}


def published_vgg(configuration: str, target: keras.Model) -> keras.Model:
    """Gives our net D or E the ImageNet weights that keras.applications publishes.

    They are downloaded at the first time (550 MB) and kept in Keras' cache.

    Raises:
        ValueError: the target is not of the published size.
    """
    published = ((None, 224, 224, 3), (None, 1000))
    if (target.input_shape, target.output_shape) != published:
        raise ValueError(
            'weights="imagenet" are for input_shape=(224, 224, 3) and classes=1000, not for '
            f"{target.input_shape[1:]} and {target.output_shape[-1]}."
        )
    return vgg_from_applications(VGG[configuration](weights="imagenet"), target)


def vgg_from_applications(source: keras.Model, target: keras.Model) -> keras.Model:
    """Gives `target` the weights of `source`, so that the two answer the same.

    keras.applications takes BGR (its "caffe" preprocessing) and ours RGB: the first convolution's
    input channels turn round. Both take pixels of 0..255 minus the mean, not divided: RGB means
    123.68, 116.779, 103.939. The answers of keras.applications are softmax(ours).

    Args:
        source: keras.applications' VGG16 or VGG19 with its classifier (include_top=True), of any
            input size and number of classes.
        target: `VGG("D")` or `VGG("E")` of the same sizes.

    Returns:
        `target`.

    Raises:
        ValueError: the two are not the same net.
    """
    theirs, ours = (
        [layer for layer in model.layers if layer.weights] for model in (source, target)
    )
    shapes = [[[tuple(w.shape) for w in layer.weights] for layer in net] for net in (theirs, ours)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{target.name} is not the net of {source.name}: the shapes of their weights differ."
        )
    for their, our in zip(theirs, ours, strict=True):
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
