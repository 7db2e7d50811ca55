"""Taigman, Yang, Ranzato, Wolf, DeepFace: Closing the Gap to Human-Level Performance in Face
Verification, CVPR 2014."""

import keras
from keras import layers

from keras_models.classification.building import (
    checked_choice,
    checked_classes,
    checked_shape,
    scaled,
)
from keras_models.classification.top import with_weights
from keras_models.layers import LocallyConnected2D

# The smallest side of which the windows and strides leave a position.
SMALLEST = 71
# Section 3: weights normal with a standard deviation of 0.01, biases 0.5. "he" is for narrow nets.
_INITIALIZATIONS = {
    "normal": lambda: (keras.initializers.RandomNormal(stddev=0.01), 0.5),
    "he": lambda: (keras.initializers.HeNormal(), 0.0),
}
# Figure 2: name, kind, maps, window and stride.
_LAYERS = (
    ("conv1", layers.Conv2D, 32, 11, 1),
    ("conv3", layers.Conv2D, 16, 9, 1),
    ("local4", LocallyConnected2D, 16, 9, 1),
    ("local5", LocallyConnected2D, 16, 7, 2),
    ("local6", LocallyConnected2D, 16, 5, 1),
)


def DeepFace(
    input_shape: tuple[int, int, int] = (152, 152, 3),
    classes: int = 4030,
    width: float = 1.0,
    units: int = 4096,
    initialization: str = "normal",
    weights: str | None = None,
    name: str = "deepface",
) -> keras.Model:
    """The net of Figure 2, which tells people apart: C1, M2, C3, L4, L5, L6, F7, F8.

    Of aligned faces of 152 x 152: convolutions of 11 x 11 (maps of 142 a side) and 9 x 9 (63) with
    a max pooling of 3 x 3 and stride 2 between them (71); three locally connected layers, whose
    weights differ at every position, of 9 x 9 (55), 7 x 7 with stride 2 (25) and 5 x 5 (21); a
    fully connected layer, F7, with dropout, and one for the people. Rectified all through.
    With 4,030 people these layers have 118,923,774 parameters; the paper says "more than 120
    million". The dropout's rate is not printed: it is 0.5.

    Args:
        input_shape: height, width and channels, each side at least 71. The paper's pictures are RGB
            of 0..1.
        classes: people, 2 or more.
        width: the numbers of maps are multiplied by this and rounded; 1.0 is published.
        units: of F7.
        initialization: "normal" as published, or "he" for narrow nets: He et al. 2015, section 2.2.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes].

    Raises:
        ValueError: an unknown initialization, too small an input, fewer than 2 classes, a width
            that is not positive.
    """
    checked_classes(classes)
    image, features = _features(input_shape, width, units, initialization)
    kernel, bias = _INITIALIZATIONS[initialization]()
    x = layers.Dropout(0.5, name="drop7")(features)
    logits = layers.Dense(
        classes,
        kernel_initializer=kernel,
        bias_initializer=keras.initializers.Constant(bias),
        dtype="float32",
        name="logits",
    )(x)
    return with_weights(keras.Model(image, logits, name=name), weights)


def face_features(
    input_shape: tuple[int, int, int],
    width: float = 1.0,
    units: int = 4096,
    initialization: str = "normal",
    name: str = "face",
) -> keras.Model:
    """`DeepFace` up to the outputs of F7, a model [N, H, W, channels] -> [N, units].

    Its layers are called as there. Arguments and errors are those of `DeepFace`.
    """
    return keras.Model(*_features(input_shape, width, units, initialization), name=name)


def _features(
    input_shape: tuple[int, int, int], width: float, units: int, initialization: str
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input, and F7 of it."""
    checked_choice("initialization", initialization, _INITIALIZATIONS)
    image = keras.Input(checked_shape(input_shape, SMALLEST), name="image")

    def start() -> dict:
        kernel, bias = _INITIALIZATIONS[initialization]()
        return {
            "kernel_initializer": kernel,
            "bias_initializer": keras.initializers.Constant(bias),
            "activation": "relu",
        }

    x = image
    for layer, kind, maps, window, stride in _LAYERS:
        x = kind(
            scaled(maps, width),
            window,
            strides=stride,
            data_format="channels_last",
            name=layer,
            **start(),
        )(x)
        if layer == "conv1":
            pool = layers.MaxPooling2D(3, 2, "same", data_format="channels_last", name="pool2")
            x = pool(x)
    x = layers.Flatten(name="flat")(x)
    return image, layers.Dense(units, name="fc7", **start())(x)
