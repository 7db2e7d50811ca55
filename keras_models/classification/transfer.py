"""A trained net with a new classifier: Zeiler, Fergus, Visualizing and Understanding Convolutional
Networks, ECCV 2014, section 5.2."""

import keras
from keras import layers

from keras_models.classification.building import checked_classes


def Retrained(
    input_shape: tuple[int, int, int],
    classes: int,
    base: str,
    name: str = "retrained",
) -> keras.Model:
    """A trained net of this package of which all is kept but the last layer.

    "We keep layers 1-7 of our ImageNet-trained model fixed and train a new softmax classifier on
    top (for the appropriate number of classes)". The kept layers are frozen under their own names:
    their weights and the statistics of their normalisations do not change; what is drawn at
    random in training (dropout, stochastic pooling) still is. Auxiliary classifiers are left out.

    Args:
        input_shape: height, width and channels; those that the base was trained for.
        classes: 2 or more.
        base: path of the trained net, a .keras file whose last layer is called "logits".
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes]. Its input is normalised as that
        of the base was.

    Raises:
        ValueError: no such file, another input than the base's, no layer "logits", fewer than 2
            classes.
    """
    checked_classes(classes)
    trained = keras.models.load_model(base, compile=False)
    if tuple(input_shape) != trained.input_shape[1:]:
        raise ValueError(
            f"input_shape must be {trained.input_shape[1:]}, for which {trained.name} was trained, "
            f"not {tuple(input_shape)}."
        )
    trained.trainable = False
    features = trained.get_layer("logits").input
    logits = layers.Dense(classes, dtype="float32", name="logits")(features)
    return keras.Model(trained.input, logits, name=name)
