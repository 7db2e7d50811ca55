"""The classifiers of keras.applications, under the contract of this package."""

import sys

import keras
import numpy as np
from keras import layers

from keras_models.classification.building import checked_classes, checked_shape
from keras_models.classification.published import with_imagenet_weights
from keras_models.classification.top import with_weights
from keras_models.layers import ChannelScaling


def KerasApplication(
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    application: str = "EfficientNetV2B0",
    dropout: float = 0.2,
    weights: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """A net of keras.applications with a new classifier and its own preprocessing inside.

    Its layers are all there under their own names, after "pixels", which does to pixels of 0..255
    what the net's `preprocess_input` does, and before "pool" (the mean of the last maps),
    "dropout" and "logits".

    Args:
        input_shape: height, width and channels, which are RGB.
        classes: 2 or more.
        application: name of the function, such as "EfficientNetV2B0", "ConvNeXtTiny" or
            "MobileNetV3Small".
        dropout: before the classifier.
        weights: "imagenet" for all but the classifier, downloaded; path of a .weights.h5 or .keras
            file of such a net; None for a random start.
        name: of the model; by default that of the application in lower case.

    Returns:
        a model [N, H, W, 3] of RGB 0..255 -> float32 logits [N, classes].

    Raises:
        ValueError: an unknown application, an input that it does not take, fewer than 2 classes.
        FileNotFoundError: ImageNet weights that cannot be downloaded; the text says which file to
            put where.
    """
    build = _applications().get(application)
    if build is None:
        raise ValueError(
            f"application must be one of {', '.join(_applications())}, not {application!r}."
        )
    checked_classes(classes)
    shape = checked_shape(input_shape, 1)
    image = keras.Input(shape, name="image")
    arguments = {
        "include_top": False,
        "input_tensor": _prepared(build, image),
        "input_shape": shape,
    }
    # With ImageNet weights some nets have other constants; files are loaded into a plain net.
    published = weights == "imagenet"
    net = (
        with_imagenet_weights(build, **arguments) if published else build(weights=None, **arguments)
    )
    x = net.output
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    model = keras.Model(image, logits, name=name or application.lower())
    return model if published else with_weights(model, weights)


def _applications() -> dict[str, type]:
    """The functions of keras.applications that build nets, by name."""
    return {
        name: found
        for name, found in sorted(vars(keras.applications).items())
        if name[0].isupper() and callable(found)
    }


def _prepared(build, image: keras.KerasTensor) -> keras.KerasTensor:
    """What the `preprocess_input` beside a net's function makes of pixels, as a layer.

    It is asked what it makes of black and of each primary colour.
    """
    prepare = sys.modules[build.__module__].preprocess_input
    primary = np.concatenate([np.zeros((1, 3)), 255.0 * np.eye(3)])
    black, *colours = prepare(primary[:, None, None].copy())[:, 0, 0]
    # Row i is what channel i adds to each of the outputs.
    matrix = (np.array(colours) - black) / 255.0
    flipped = bool(matrix[0, 0] == 0.0)
    scale = np.diag(matrix[::-1] if flipped else matrix)
    layer = ChannelScaling(scale, black, flipped, name="pixels")
    return layer(image)
