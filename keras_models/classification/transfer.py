"""Trained nets with a new classifier."""

import keras
from keras import layers

from keras_models.classification.building import checked_classes
from keras_models.classification.top import checked_file

_ACTIVATIONS = (layers.Activation, layers.Softmax, layers.Rescaling)


def Retrained(
    input_shape: tuple[int, int, int],
    classes: int,
    base: str,
    name: str = "retrained",
) -> keras.Model:
    """A trained net of this package of which all is kept but the last layer: Zeiler, Fergus,
    Visualizing and Understanding Convolutional Networks, ECCV 2014, section 5.2.

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


def FineTuned(
    input_shape: tuple[int, int, int],
    classes: int,
    weights: str,
    name: str = "fine_tuned",
) -> keras.Model:
    """Any trained Keras model for classes, whose last layer takes as many as there are now.

    All other layers stay under their own names, as they are: what was trainable is. Of as many
    classes as before the last layer keeps its weights, too; else it starts at random.

    Args:
        input_shape: height, width and channels; those that the model takes.
        classes: 2 or more.
        weights: path of the model, a .keras file. It ends with a fully connected layer, with or
            without an activation of its own or a layer of such behind it.
        name: of the new model.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes]. Its input is what the trained
        model takes.

    Raises:
        ValueError: no such file, another input than the model's, a model that has several outputs
            or ends otherwise, fewer than 2 classes.
    """
    checked_classes(classes)
    trained = keras.models.load_model(checked_file(weights), compile=False)
    theirs = trained.input_shape[1:]
    fits = len(theirs) == 3 and all(
        side in (None, given) for side, given in zip(theirs, input_shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"input_shape must be {theirs}, which {trained.name} takes, not {tuple(input_shape)}."
        )
    last = _last_dense(trained)
    fresh = layers.Dense(classes, use_bias=last.use_bias, dtype="float32", name="logits")
    logits = fresh(last.input)
    if last.units == classes:
        fresh.set_weights(last.get_weights())
    return keras.Model(trained.inputs[0], logits, name=name)


def _last_dense(model: keras.Model) -> layers.Dense:
    """The fully connected layer that gives the scores of the classes."""
    weighted = [layer for layer in model.layers if not isinstance(layer, _ACTIVATIONS)]
    last = weighted[-1] if weighted else None
    if len(model.outputs) != 1 or not isinstance(last, layers.Dense):
        ends = f"{type(last).__name__} {last.name}" if weighted else "nothing"
        raise ValueError(
            f"{model.name} must have one output, of a fully connected layer, to be given other "
            f"classes; it has {len(model.outputs)}, and ends with {ends}."
        )
    return last
