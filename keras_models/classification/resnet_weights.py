"""Weights of keras.applications' ResNet50, ResNet101 and ResNet152 for ours."""

from collections.abc import Collection, Iterator

import keras
import numpy as np

from keras_models.classification.building import block_name
from keras_models.classification.published import with_imagenet_weights
from keras_models.classification.top import output_layers

BRANCHES = {"branch1": 0, "branch2a": 1, "branch2b": 2, "branch2c": 3}


def published_resnet(depth: int, target: keras.Model) -> keras.Model:
    """Gives our ResNet-50, 101 or 152 the ImageNet weights that keras.applications publishes.

    They are downloaded at the first time (100 to 240 MB) and kept in Keras' cache. The logits of a
    net that has not 1,000 classes keep their own.

    Raises:
        ValueError: a net with another shortcut than "B", or not for 3 channels.
        FileNotFoundError: as `with_imagenet_weights`.
    """
    channels = target.input_shape[-1]
    if channels != 3:
        raise ValueError(f"ImageNet weights are for 3 channels, not for {channels}.")
    top = any(layer.name == "logits" for layer in target.layers)
    application = getattr(keras.applications, f"ResNet{depth}")
    source = with_imagenet_weights(application, include_top=top)
    same = not top or target.output_shape[-1] == source.output_shape[-1]
    return from_applications(source, target, () if same else output_layers(target))


def from_applications(
    source: keras.Model, target: keras.Model, replaced: Collection[str] = ()
) -> keras.Model:
    """Gives `target` the weights of `source`, so that the two answer the same.

    keras.applications has biases in the convolutions, and the normalisation that follows takes
    them away again: they go into its moving mean. It takes BGR and ours RGB: the first
    convolution's input channels turn round. Both take pixels minus their mean, not divided.

    Args:
        source: one of keras.applications, of any input size.
        target: ours of the same depth, with shortcut "B"; both with their classifier, for as many
            classes, or both without.
        replaced: names of the layers of `target` that keep their own weights.

    Returns:
        `target`.

    Raises:
        ValueError: the two are not the same net.
    """
    pairs = {ours: theirs for ours, theirs in _pairs(source) if ours not in replaced}
    for layer in target.layers:
        if layer.weights and layer.name not in {*pairs, *replaced}:
            raise ValueError(f"{source.name} has nothing for {layer.name} of {target.name}.")
    for ours, theirs in pairs.items():
        target.get_layer(ours).set_weights(_converted(source, theirs))
    return target


def _pairs(source: keras.Model) -> Iterator[tuple[str, str]]:
    """Our name and theirs of each layer with weights."""
    names = {layer.name for layer in source.layers}
    yield "conv1", "conv1_conv"
    yield "bn_conv1", "conv1_bn"
    for stage in range(2, 6):
        blocks = 0
        while f"conv{stage}_block{blocks + 1}_1_conv" in names:
            blocks += 1
        for block in range(blocks):
            ours = block_name(stage, block, blocks)
            for branch, number in BRANCHES.items():
                theirs = f"conv{stage}_block{block + 1}_{number}"
                if f"{theirs}_conv" in names:
                    yield f"{ours}_{branch}", f"{theirs}_conv"
                    yield f"bn{ours.removeprefix('res')}_{branch}", f"{theirs}_bn"
    if "predictions" in names:
        yield "logits", "predictions"


def _converted(source: keras.Model, name: str) -> list[np.ndarray]:
    weights = source.get_layer(name).get_weights()
    if name == "conv1_conv":
        return [weights[0][:, :, ::-1]]
    if name.endswith("_conv"):
        return weights[:1]
    if name.endswith("_bn"):
        gamma, beta, mean, variance = weights
        _, bias = source.get_layer(f"{name.removesuffix('_bn')}_conv").get_weights()
        return [gamma, beta, mean - bias, variance]
    return weights
