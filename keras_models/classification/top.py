"""What nets of this package end with: classifier or last feature maps; and their weights."""

import difflib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import keras
from keras import layers

from keras_models.classification.building import checked_choice

POOLINGS = ("avg", "max")
_POOLING_LAYERS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
_IMAGENET = "imagenet"
_FILES = (".keras", ".weights.h5")
_LEAST_LIKENESS = 0.7


class Ending(NamedTuple):
    """What a net's own arguments say of its end; as of `finished`."""

    include_top: bool
    pooling: str | None
    weights: str | None
    name: str


def finished(
    image: keras.KerasTensor,
    maps: keras.KerasTensor,
    top: Callable[[keras.KerasTensor], keras.KerasTensor | list[keras.KerasTensor]],
    include_top: bool,
    pooling: str | None,
    weights: str | None,
    name: str,
    published: Callable[[keras.Model], keras.Model] | None = None,
) -> keras.Model:
    """A net on its last feature maps.

    Args:
        image: its input.
        maps: [N, h, w, C].
        top: makes the net's outputs of them.
        include_top: whether the net has it.
        pooling: without the top, "avg" or "max" over all positions, or None for the maps.
        weights: None, "imagenet" or the path of a file, see `with_weights`.
        name: of the model.
        published: of a net that has ImageNet weights: gives it them.

    Returns:
        a model -> the outputs of `top`, [N, C] where pooled, or the maps.

    Raises:
        ValueError: an unknown pooling, or one beside the top; other weights than there are.
    """
    if pooling is not None:
        checked_choice("pooling", pooling, POOLINGS)
        if include_top:
            raise ValueError(
                f"pooling={pooling!r} takes the place of the classifier: set include_top=False."
            )
        pool = _POOLING_LAYERS[pooling]
        outputs = pool(data_format="channels_last", name=f"{pooling}_pool")(maps)
    else:
        outputs = top(maps) if include_top else maps
    return with_weights(keras.Model(image, outputs, name=name), weights, published)


def with_weights(
    model: keras.Model,
    weights: str | Path | None,
    published: Callable[[keras.Model], keras.Model] | None = None,
) -> keras.Model:
    """The model with weights.

    Args:
        model: a net of this package.
        weights: None for the random start; "imagenet" where they are published; or the path of a
            .weights.h5 or .keras file of the same net. The classifier of a .keras file with another
            number of classes is left out, and the model's stays as it starts.
        published: gives a net its ImageNet weights; None where there are none.

    Raises:
        ValueError: weights that are none of these, with the near match; "imagenet" for a net
            without; a file of another net.
    """
    if weights is None:
        return model
    if weights == _IMAGENET:
        if published is None:
            raise ValueError(
                f"There are no ImageNet weights of {model.name}: weights must be None or the path "
                "of a .weights.h5 or .keras file."
            )
        return published(model)
    checked_file(weights)
    try:
        model.load_weights(weights)
    except ValueError as error:
        if not str(weights).endswith(".keras"):
            raise ValueError(
                f"{weights} does not fit {model.name}; with other classes than the file's, a "
                f".keras file is needed. Keras says: {error}"
            ) from error
        copy_features(keras.models.load_model(weights, compile=False), model)
    return model


def copy_features(source: keras.Model, target: keras.Model) -> keras.Model:
    """Gives the layers of `target` the weights of those of the same names in `source`.

    The layers that give the outputs of `target`, and do not fit, keep their own.

    Returns:
        `target`.

    Raises:
        ValueError: another layer of `target` is not in `source`, or has another shape there.
    """
    theirs = {layer.name: layer for layer in source.layers}
    replaced = output_layers(target)
    for layer in target.layers:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        found = theirs.get(layer.name)
        given = None if found is None else [tuple(weight.shape) for weight in found.weights]
        if not shapes or (given != shapes and layer.name in replaced):
            continue
        if given != shapes:
            what = "is not there" if found is None else f"has weights of {given} there"
            raise ValueError(
                f"{source.name} is not the net of {target.name}: {layer.name}, with weights of "
                f"{shapes}, {what}."
            )
        layer.set_weights(found.get_weights())
    return target


def start_from(net: keras.Model, trained: keras.Model) -> keras.Model:
    """Gives the layers of `net` the weights that layers of the same names have in `trained`.

    So a depth net or a detector starts from an ImageNet net of the family of its convolutions, or
    from a part of itself that was trained before.

    Returns:
        `net`.

    Raises:
        ValueError: weights of another shape under the same name; no name in common.
    """
    theirs = {layer.name: layer for layer in trained.layers if layer.weights}
    shared = [layer for layer in net.layers if layer.weights and layer.name in theirs]
    if not shared:
        raise ValueError(f"{trained.name} has no layer with weights in common with {net.name}.")
    for layer in shared:
        weights = theirs[layer.name].get_weights()
        shapes = [[tuple(w.shape) for w in found] for found in (layer.weights, weights)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{layer.name} has weights of {shapes[0]} in {net.name} and of {shapes[1]} in "
                f"{trained.name}."
            )
        layer.set_weights(weights)
    return net


def start_from_file(net: keras.Model, base: str, others: Collection[str] = ()) -> keras.Model:
    """`start_from` the net of a .keras file.

    Args:
        net: which gets the weights.
        base: path of the file.
        others: what the argument `base` of the net may be, too.

    Returns:
        `net`.

    Raises:
        ValueError: no such file, or it does not fit.
    """
    if not Path(base).is_file():
        allowed = "".join(f' or "{each}"' for each in others)
        raise ValueError(f"base must be the path of a .keras file{allowed}, not {base!r}.")
    return start_from(net, keras.models.load_model(base, compile=False))


def output_layers(model: keras.Model) -> set[str]:
    """The names of the layers whose outputs are the model's."""
    outputs = {id(output) for output in model.outputs}
    return {
        layer.name
        for layer in model.layers
        if outputs & {id(tensor) for tensor in keras.tree.flatten(layer.output)}
    }


def checked_file(weights: str | Path) -> str | Path:
    """The path of a file of weights.

    Raises:
        ValueError: there is none; the near match is told.
    """
    path = Path(weights)
    if "://" in str(weights) or path.is_file():
        return weights
    beside = [str(each) for each in path.parent.glob("*") if each.name.endswith(_FILES)]
    near = difflib.get_close_matches(str(weights), [_IMAGENET, *beside], 1, _LEAST_LIKENESS)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f'weights must be None, "imagenet" or the path of a .weights.h5 or .keras file, and there '
        f"is no file {str(weights)!r}.{meant}"
    )
