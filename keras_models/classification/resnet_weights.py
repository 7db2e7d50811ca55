"""Weights of keras.applications' ResNet50, ResNet101 and ResNet152 for ours."""

from collections.abc import Iterator

import keras
import numpy as np

from keras_models.classification.building import block_name

BRANCHES = {"branch1": 0, "branch2a": 1, "branch2b": 2, "branch2c": 3}


def from_applications(source: keras.Model, target: keras.Model) -> keras.Model:
    """Gives `target` the weights of `source`, so that the two answer the same.

    keras.applications has biases in the convolutions, and the normalisation that follows takes
    them away again: they go into its moving mean. It takes BGR and ours RGB: the first
    convolution's input channels turn round. Both take pixels minus their mean, not divided.

    Args:
        source: one of keras.applications, with its classifier; of any input size.
        target: ours of the same depth and as many classes, with shortcut "B".

    Returns:
        `target`.

    Raises:
        ValueError: the two are not the same net.
    """
    pairs = dict(_pairs(source))
    for layer in target.layers:
        if layer.weights and layer.name not in pairs:
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
