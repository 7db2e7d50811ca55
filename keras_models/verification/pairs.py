"""Two faces compared by the features of DeepFace: Taigman, Yang, Ranzato, Wolf 2014, section 4."""

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers

from keras_models.classification.building import checked_shape
from keras_models.classification.top import checked_file, copy_features, with_weights
from keras_models.layers import (
    AbsoluteDifference,
    ChiSquaredTerms,
    ComponentNormalization,
    NegativeDistance,
)
from keras_models.verification.deepface import face_features


class _Pair(NamedTuple):
    """The inputs by name, and what was made of each of the two, in their order."""

    inputs: dict[str, keras.KerasTensor]
    first: keras.KerasTensor
    second: keras.KerasTensor


def InnerProduct(
    input_shape: tuple[int, int, int] = (152, 152, 3),
    width: float = 1.0,
    units: int = 4096,
    base: str | None = None,
    weights: str | None = None,
    name: str = "inner_product",
) -> keras.Model:
    """The inner product of the normalised features of two faces (section 4, unsupervised).

    Each component of F7 is divided by its largest value over the training set, and the whole by its
    length (section 3.1). What is learnt is the product's scale and offset alone, which say from
    where on two faces are taken for the same and leave the order of pairs as it is; the features
    stay as they are in the base. A training with one pass or more over all pictures finds the
    largest values.

    Args:
        input_shape: height, width and channels, as of the base.
        width, units: of the base, see `DeepFace`.
        base: path of a trained `DeepFace`, a .keras file; None for random features.
        weights: path of a .weights.h5 or .keras file of this net.
        name: of the model.

    Returns:
        a model of "image" and "pair", [N, H, W, channels] each -> float32 [N, 1].

    Raises:
        ValueError: as `DeepFace`; a base of another shape.
    """
    pair = _normalized(input_shape, width, units, base)
    product = layers.Dot(axes=1, dtype="float32", name="product")([pair.first, pair.second])
    return with_weights(_judged(pair, product, name, scale=1.0), weights)


def WeightedChiSquared(
    input_shape: tuple[int, int, int] = (152, 152, 3),
    width: float = 1.0,
    units: int = 4096,
    base: str | None = None,
    weights: str | None = None,
    name: str = "weighted_chi_squared",
) -> keras.Model:
    """The weighted chi-squared distance of two faces (section 4.1).

    sum over i of w_i (f_i - g_i)^2 / (f_i + g_i), of features that are normalised as in
    `InnerProduct`. The weights are those of a linear support vector machine on the vectors of the
    terms: the hinge loss with a decay of the weights trains it.

    Args, returns and errors are those of `InnerProduct`.
    """
    pair = _normalized(input_shape, width, units, base)
    terms = ChiSquaredTerms(dtype="float32", name="terms")([pair.first, pair.second])
    return with_weights(_judged(pair, terms, name), weights)


def Siamese(
    input_shape: tuple[int, int, int] = (152, 152, 3),
    width: float = 1.0,
    units: int = 4096,
    base: str | None = None,
    weights: str | None = None,
    name: str = "siamese",
) -> keras.Model:
    """Two copies of DeepFace that share their weights, and the weighted absolute difference of
    their features: sum over i of a_i |f_i - g_i| (section 4.2).

    "To avoid overfitting on the face verification task, we enable training for only the two topmost
    layers": F7 and the weights a. All layers below are fixed.

    Args, returns and errors are those of `InnerProduct`.
    """
    features = _trained_features(input_shape, width, units, base)
    for layer in features.layers:
        layer.trainable = layer.name == "fc7"
    pair = _of_both(input_shape, features)
    apart = AbsoluteDifference(dtype="float32", name="difference")([pair.first, pair.second])
    return with_weights(_judged(pair, apart, name), weights)


def PixelDistance(
    input_shape: tuple[int, int, int] = (152, 152, 3),
    weights: str | None = None,
    name: str = "pixel_distance",
) -> keras.Model:
    """The Euclidean distance of the pixels of two pictures: what a net has to be better than.

    Learnt are a scale and an offset, as of `InnerProduct`.

    Args:
        input_shape: height, width and channels.
        weights: path of a .weights.h5 or .keras file of this net.
        name: of the model.

    Returns:
        a model of "image" and "pair", [N, H, W, channels] each -> float32 [N, 1].
    """
    flat = layers.Flatten(dtype="float32", name="pixels")
    pair = _of_both(input_shape, flat, smallest=1)
    alike = NegativeDistance(dtype="float32", name="likeness")([pair.first, pair.second])
    return with_weights(_judged(pair, alike, name, scale=1.0), weights)


def _trained_features(
    input_shape: tuple[int, int, int], width: float, units: int, base: str | None
) -> keras.Model:
    """The features with the weights of a trained net."""
    features = face_features(input_shape, width, units, "he")
    if base is not None:
        trained = keras.models.load_model(checked_file(base), compile=False)
        theirs = trained.get_layer("fc7").units if "fc7" in _names(trained) else None
        if theirs != units:
            raise ValueError(
                f"units must be {theirs}, those of fc7 in {trained.name}, not {units}."
            )
        copy_features(trained, features)
    return features


def _names(model: keras.Model) -> set[str]:
    return {layer.name for layer in model.layers}


def _normalized(
    input_shape: tuple[int, int, int], width: float, units: int, base: str | None
) -> _Pair:
    """The fixed features of both faces, normalised by section 3.1."""
    features = _trained_features(input_shape, width, units, base)
    features.trainable = False
    pair = _of_both(input_shape, features)
    largest = ComponentNormalization(dtype="float32", name="largest")
    length = layers.UnitNormalization(dtype="float32", name="length")
    return pair._replace(first=length(largest(pair.first)), second=length(largest(pair.second)))


def _of_both(input_shape: tuple[int, int, int], made: Callable, smallest: int = 1) -> _Pair:
    """Both inputs, and what one layer or model makes of each."""
    shape = checked_shape(input_shape, smallest)
    inputs = {each: keras.Input(shape, name=each) for each in ("image", "pair")}
    return _Pair(inputs, *map(made, inputs.values()))


def _judged(
    pair: _Pair, compared: keras.KerasTensor, name: str, scale: float | None = None
) -> keras.Model:
    """The score of a comparison: its weighted sum and an offset.

    Args:
        pair: the two.
        compared: [N, C].
        name: of the model.
        scale: of a comparison that is a similarity already, where its weight starts; it then stays
            at 0 or above.
    """
    kind = (
        {"kernel_initializer": "zeros"}
        if scale is None
        else {
            "kernel_initializer": keras.initializers.Constant(scale),
            "kernel_constraint": keras.constraints.NonNeg(),
        }
    )
    score = layers.Dense(1, dtype="float32", name="score", **kind)(compared)
    return keras.Model(pair.inputs, score, name=name)
