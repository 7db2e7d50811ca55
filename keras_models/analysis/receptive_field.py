"""How much of the picture a unit sees, and how far apart two neighbouring units look."""

from collections.abc import Sequence
from dataclasses import dataclass

from keras import layers

from keras_models.classification.fully_convolutional import DenseAsConv2D
from keras_models.layers import (
    LocalContrastNormalization,
    SpatialPyramidPooling2D,
    Subsampling2D,
    TableConv2D,
    TiledConv2D,
)


@dataclass(frozen=True)
class Field:
    """What one unit of some maps sees, along each side of the picture, in pixels.

    Attributes:
        size: from the first to the last pixel that changes the unit; borders that are filled up
            with zeros count as if the picture went on.
        stride: from what a unit sees to what its neighbour sees.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]


# The attribute that holds the window's sides.
_WINDOWS = {
    layers.Conv1D: "kernel_size",
    layers.Conv2D: "kernel_size",
    layers.Conv3D: "kernel_size",
    layers.DepthwiseConv1D: "kernel_size",
    layers.DepthwiseConv2D: "kernel_size",
    layers.SeparableConv1D: "kernel_size",
    layers.SeparableConv2D: "kernel_size",
    TableConv2D: "kernel_size",
    TiledConv2D: "kernel_size",
    DenseAsConv2D: "window",
    layers.AveragePooling1D: "pool_size",
    layers.AveragePooling2D: "pool_size",
    layers.AveragePooling3D: "pool_size",
    layers.MaxPooling1D: "pool_size",
    layers.MaxPooling2D: "pool_size",
    layers.MaxPooling3D: "pool_size",
    Subsampling2D: "pool_size",
}
# One of their units sees all that the maps see.
_WHOLE = (
    layers.Flatten,
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.GlobalMaxPooling3D,
    SpatialPyramidPooling2D,
)
# They only add or take away at the border.
_BORDERS = (
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Cropping3D,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.ZeroPadding3D,
)


def sides_of(shape: tuple, layer) -> tuple:
    """The sides of maps of this shape (without the batch); none for a vector of features."""
    first = getattr(layer, "data_format", None) == "channels_first"
    return tuple(shape[1:] if first else shape[:-1])


def field_after(
    layer, shapes: Sequence[tuple], fields: Sequence[Field | None], output: tuple
) -> Field | None:
    """What the units of a layer see.

    Args:
        layer: a layer or an operation of a graph.
        shapes, fields: of its inputs, shapes without the batch; a field is None where unknown.
        output: the shape of its output, without the batch.

    Returns:
        None where nothing is known of how the layer looks at its input. Where several inputs
        come together, those that are known decide.
    """
    known = [field for field in fields if field is not None]
    if not known or len({len(field.size) for field in known}) > 1:
        return None
    sides = [sides_of(shape, layer) for shape in shapes]
    window = next((name for kind, name in _WINDOWS.items() if isinstance(layer, kind)), None)
    if window is not None:
        return _seen_through(layer, getattr(layer, window), known[0])
    if isinstance(layer, LocalContrastNormalization):
        # The window's mean is taken away, and then the deviation is taken in a window of that.
        windows = 2 if layer.divisive else 1
        return _seen_through(layer, windows * (layer.kernel_size - 1) + 1, known[0])
    if isinstance(layer, _WHOLE) or (isinstance(layer, layers.Reshape) and len(output) == 1):
        return _all_of(sides[0], known[0])
    if isinstance(layer, layers.Reshape):
        return None if sides[0] else known[0]
    if isinstance(layer, _BORDERS):
        return known[0]
    return _together(sides, fields, sides_of(output, layer))


def _seen_through(layer, window: int | Sequence[int], field: Field) -> Field:
    rank = len(field.size)
    windows = window if isinstance(window, Sequence) else (window,) * rank
    dilations = getattr(layer, "dilation_rate", (1,) * rank)
    # Subsampling2D's windows do not overlap; the normalisation has one at every pixel.
    strides = getattr(
        layer, "strides", windows if isinstance(layer, Subsampling2D) else (1,) * rank
    )
    size = (
        seen + (side - 1) * dilation * apart
        for seen, side, dilation, apart in zip(
            field.size, windows, dilations, field.stride, strict=True
        )
    )
    stride = (apart * step for apart, step in zip(field.stride, strides, strict=True))
    return Field(tuple(size), tuple(stride))


def _all_of(sides: tuple[int, ...], field: Field) -> Field:
    if not sides:
        return field
    seen = zip(field.size, sides, field.stride, strict=True)
    size = tuple(one + (units - 1) * apart for one, units, apart in seen)
    return Field(size, size)


def _together(sides: list[tuple], fields: Sequence[Field | None], output: tuple) -> Field | None:
    """Units that each see the inputs' units at their own position, and vectors as a whole."""
    here = [
        field
        for side, field in zip(sides, fields, strict=True)
        if field is not None and side == output
    ]
    if not here:
        return None
    sizes = zip(*(field.size for field in fields if field is not None), strict=True)
    return Field(tuple(map(max, sizes)), here[0].stride)
