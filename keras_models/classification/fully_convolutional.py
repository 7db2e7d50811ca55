"""Fully convolutional nets, for the evaluation of whole pictures.

Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition. ICLR 2015,
section 3.2 (after Sermanet et al., OverFeat, 2014).
"""

import math

import keras
from keras import layers, ops

from keras_models.classification.lenet import UnitBias
from keras_models.layers import (
    ActivationBatchNormalization,
    DropConnect,
    LocallyConnected2D,
    OffsetMaxPooling2D,
)
from keras_models.layers.windows import convolved

# Layers that are bound to one size of the maps, or see several units in a way of their own.
_BOUND = (
    ActivationBatchNormalization,
    DropConnect,
    LocallyConnected2D,
    UnitBias,
    keras.Model,
)


@keras.saving.register_keras_serializable(package="keras_models")
class DenseAsConv2D(layers.Layer):
    """A fully connected layer at every position of larger maps, as the convolution it is.

    It has no weights of its own: the kernel of `dense` [h * w * maps, units] is that of a
    convolution with h x w windows.

    Args:
        dense: a built `keras.layers.Dense` on maps that were laid out in one row.
        window: height h and width w of those maps; (1, 1) for a layer that sees another one.
        dilation_rate: d, pixels from one of the window's to the next: 1, or after
            `OffsetMaxPooling2D` its pool size.

    Input [N, H, W, maps], output [N, H - (h - 1) d, W - (w - 1) d, units].
    """

    def __init__(
        self,
        dense: layers.Dense,
        window: tuple[int, int] = (1, 1),
        dilation_rate: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.dense = dense
        self.window = tuple(window)
        self.dilation_rate = (dilation_rate, dilation_rate)

    def build(self, input_shape):
        # Only when it is loaded from a file: it comes built otherwise.
        if not self.dense.built:
            self.dense.build((None, math.prod(self.window) * input_shape[-1]))

    def call(self, inputs):
        kernel = ops.reshape(self.dense.kernel, (*self.window, -1, self.dense.units))
        dilation = self.dilation_rate[0]
        outputs = convolved(inputs, kernel, (1, 1), "valid", "channels_last", dilation)
        if self.dense.use_bias:
            outputs = outputs + self.dense.bias
        return self.dense.activation(outputs)

    def compute_output_shape(self, input_shape):
        sides = (
            None if side is None else side - (length - 1) * apart
            for side, length, apart in zip(
                input_shape[1:3], self.window, self.dilation_rate, strict=True
            )
        )
        return (input_shape[0], *sides, self.dense.units)

    def get_config(self):
        dense = keras.saving.serialize_keras_object(self.dense)
        return super().get_config() | {
            "dense": dense,
            "window": self.window,
            "dilation_rate": self.dilation_rate[0],
        }

    @classmethod
    def from_config(cls, config):
        dense = keras.saving.deserialize_keras_object(config["dense"])
        return cls(**config | {"dense": dense})


def fully_convolutional(model: keras.Model) -> keras.Model:
    """The net on pictures of any size: its logits averaged over all positions.

    The fully connected layers become convolutions, the first one with windows as large as the
    maps it was trained on, the others 1 x 1; the maps of logits are averaged. On a picture of the
    training size the answer is that of `model`. Nets that pool their maps to a fixed size before
    the fully connected layers stay as they are. Of several outputs the first one stays.

    A net with `OffsetMaxPooling2D` before the fully connected layers is evaluated as OverFeat,
    section 3.3: that pooling at every offset, and of each class the maximum over all positions
    instead of the mean. The paper does not say whether of the logits or of the probabilities; here
    of the logits.

    Args:
        model: a net of this package, channels last.

    Returns:
        a model [N, H, W, channels] -> float32 logits [N, classes], for sides of at least those
        that `model` was built for. It shares the weights of `model`.

    Raises:
        ValueError: a net of which this cannot be done: with weights for each position of its maps,
            with DropConnect, or made of whole nets.
    """
    net = keras.Model(model.input, model.outputs[0])
    for layer in net.layers:
        if isinstance(layer, _BOUND):
            raise ValueError(
                f"{model.name} cannot be made fully convolutional: {layer.name} is a "
                f"{type(layer).__name__}."
            )
    windows = [layer.input.shape[1:3] for layer in net.layers if isinstance(layer, layers.Flatten)]
    offset_pools = [layer for layer in net.layers if isinstance(layer, OffsetMaxPooling2D)]

    def call(layer, x, *others, **arguments):
        """The layer, or on maps that it saw in one row the convolution that it is."""
        if isinstance(layer, layers.Flatten):
            return x
        if isinstance(layer, OffsetMaxPooling2D):
            config = layer.get_config() | {"every_offset": True}
            return OffsetMaxPooling2D.from_config(config)(x)
        if isinstance(layer, layers.Dense) and len(x.shape) == 4:
            # Laid out in a row, the maps were as many features as they have pixels.
            seen = layer.input.shape[-1] // x.shape[-1]
            window = (1, 1) if seen == 1 else windows[-1]
            dilation = offset_pools[-1].pool_size[0] if offset_pools and seen > 1 else 1
            convolution = DenseAsConv2D(
                layer, window, dilation, dtype=layer.dtype_policy, name=layer.name
            )
            return convolution(x)
        return layer(x, *others, **arguments)

    image = keras.Input((None, None, model.input_shape[-1]), name="image")
    # Keras' way of building on the same layers.
    anywhere = keras.models.clone_model(
        net, image, clone_function=lambda layer: layer, call_function=call
    )
    logits = anywhere.output
    if len(logits.shape) == 4:
        if offset_pools:
            reduction = layers.GlobalMaxPooling2D, "maximal_logits"
        else:
            reduction = layers.GlobalAveragePooling2D, "mean_logits"
        pool, name = reduction
        logits = pool(data_format="channels_last", dtype="float32", name=name)(logits)
    return keras.Model(image, logits, name=model.name)
