"""The windows of a picture as a tensor, for layers that treat each window on its own."""

from typing import Any

from keras import ops


def output_sides(sides, size, strides, padding: str) -> tuple[Any, Any]:
    """How many windows fit in height and width; a side may be a tensor or None."""

    def positions(side, size, stride):
        if side is None:
            return None
        return -(-side // stride) if padding == "same" else (side - size) // stride + 1

    return tuple(map(positions, sides, size, strides))


def convolved(x, kernel, strides, padding: str, data_format: str, dilation: int = 1):
    """`ops.conv` of pictures, of no pictures, too: TensorFlow's oneDNN kernels give an empty batch
    the shape that came in.

    Args:
        x: [N, H, W, C], or [N, C, H, W] with channels_first.
        kernel: [height, width, C, filters].
        strides: (down, across).
        padding, data_format: as in `keras.layers.Conv2D`.
        dilation: `dilation_rate` of both directions.
    """
    y = ops.conv(x, kernel, strides, padding, data_format, dilation)
    first = 1 if data_format == "channels_last" else 2
    sides = ops.shape(x)[first : first + 2]
    windows = [(length - 1) * dilation + 1 for length in kernel.shape[:2]]
    shape = [*output_sides(sides, windows, strides, padding)]
    shape.insert(2 if first == 1 else 0, kernel.shape[-1])
    return ops.reshape(y, (-1, *shape))


def padded(x, size, strides, data_format: str = "channels_last"):
    """`x` with the zeros around it that `padding="same"` means: as many windows as strides fit.

    Args:
        x: [N, H, W, C], or [N, C, H, W] with channels_first.
        size, strides: of the windows, (height, width).
    """
    first = 1 if data_format == "channels_last" else 2

    def widths(side, size, stride):
        total = (-(-side // stride) - 1) * stride + size - side
        total = max(total, 0) if isinstance(total, int) else ops.maximum(total, 0)
        return total // 2, total - total // 2

    sides = ops.shape(x)[first : first + 2]
    spatial = list(map(widths, sides, size, strides))
    return ops.pad(x, ((0, 0),) * first + tuple(spatial) + ((0, 0),) * (2 - first))


def window_pixels(width, rows, columns, size, strides):
    """The pixels of windows, counted row by row from the upper left.

    Args:
        width: of the picture.
        rows, columns: int32 tensors [R] and [S]: which windows down and across.
        size, strides: of the windows, (height, width).

    Returns:
        an int32 tensor [R * S, size height * size width].
    """

    def along(windows, size, stride):
        return ops.expand_dims(windows * stride, 1) + ops.arange(size, dtype="int32")

    pixel_rows = ops.reshape(along(rows, size[0], strides[0]), (-1, 1, size[0], 1))
    pixel_columns = ops.reshape(along(columns, size[1], strides[1]), (1, -1, 1, size[1]))
    return ops.reshape(pixel_rows * width + pixel_columns, (-1, size[0] * size[1]))
