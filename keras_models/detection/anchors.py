"""Anchors: Ren, He, Girshick, Sun, Faster R-CNN, NIPS 2015, section 3.1.1."""

from collections.abc import Sequence

import numpy as np
from keras import ops

SCALES = (128, 256, 512)
RATIOS = (0.5, 1.0, 2.0)


def base_anchors(
    stride: int = 16, scales: Sequence[float] = SCALES, ratios: Sequence[float] = RATIOS
) -> np.ndarray:
    """The anchors of the first place of a map, about the centre of its cell.

    As in the authors' code: a square of `stride` pixels gets the ratio, its sides are rounded to
    whole pixels, and the scales multiply them. With the defaults the nine have 184 x 96, 368 x 192,
    736 x 384, 128 x 128, 256 x 256, 512 x 512, 88 x 176, 176 x 352 and 352 x 704 pixels (width by
    height).

    Args:
        stride: pixels of the picture from one place of the map to the next.
        scales: sides of the square anchors, in pixels.
        ratios: height by width.

    Returns:
        float32 [len(ratios) * len(scales), 4] in pixels, ratio by ratio.

    Raises:
        ValueError: no scales or ratios, or one that is not positive.
    """
    if not len(scales) or not len(ratios) or min(*scales, *ratios, stride) <= 0:
        raise ValueError(
            f"stride, scales and ratios must be positive, and there must be some: not {stride!r}, "
            f"{scales!r}, {ratios!r}."
        )
    widths = np.maximum(1, np.round(np.sqrt(stride**2 / np.asarray(ratios, np.float64))))
    heights = np.maximum(1, np.round(widths * ratios))
    sides = np.stack([heights, widths], axis=-1)[:, None] * np.divide(scales, stride)[:, None]
    half = sides.reshape(-1, 2) / 2
    return np.concatenate([stride / 2 - half, stride / 2 + half], axis=-1).astype(np.float32)


def grid_anchors(height, width, stride: int, base: np.ndarray):
    """The anchors of all places of a map.

    Args:
        height, width: of the map; numbers or scalar tensors.
        stride: pixels of the picture from one place to the next.
        base: [A, 4], those of the first place.

    Returns:
        float32 [height * width * A, 4] in pixels: place by place, row by row, the A of a place
        together.
    """
    rows = ops.cast(ops.arange(height), "float32")[:, None] * float(stride)
    columns = ops.cast(ops.arange(width), "float32")[None, :] * float(stride)
    rows, columns = (
        ops.broadcast_to(rows, (height, width)),
        ops.broadcast_to(columns, (height, width)),
    )
    shifts = ops.stack([rows, columns, rows, columns], axis=-1)
    return ops.reshape(shifts[:, :, None] + ops.convert_to_tensor(base, "float32"), (-1, 4))
