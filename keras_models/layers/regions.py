"""Pooling of regions of maps."""

import keras
from keras import ops

# Cells a side of the longest bin in maps of unknown sides.
_LONGEST_BIN = 64


@keras.saving.register_keras_serializable(package="keras_models")
class RegionMaxPooling2D(keras.layers.Layer):
    """The maximum of each bin of a grid over each region of interest.

    A region is rounded to cells of the maps: from round(ymin / stride) to round((ymax - 1) /
    stride), both inside, and one cell at least. Of its H cells, bin i has those from floor(i H /
    pool_size) to ceil((i + 1) H / pool_size). That is the authors' code, whose ymax is the last
    pixel inside; a ymax here is the edge behind it. Regions are first cut at the sides of the
    maps.

    Args:
        pool_size: bins a side.
        stride: pixels from one cell of the maps to the next.
        data_format: as in `keras.layers.Conv2D`.

    Input: a list of maps [N, H, W, C] (channels_last) or [N, C, H, W] and boxes [N, R, 4], ymin,
    xmin, ymax, xmax in pixels of the picture that the maps are of; boxes that are not finite count
    as 0. Boxes stay in float32 in every dtype policy and get no gradient. H, W and R may be None,
    H and W for maps whose bins have up to 64 cells a side.
    Output [N, R, pool_size, pool_size, C], in both data formats.

    Raises:
        ValueError: a pool_size or stride that is not positive.

    Source: Girshick, Fast R-CNN, ICCV 2015, section 2.1.
    """

    def __init__(self, pool_size: int = 7, stride: int = 16, data_format=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if pool_size < 1 or stride <= 0:
            raise ValueError(
                f"pool_size and stride must be positive, not {pool_size!r} and {stride!r}."
            )
        self.pool_size = pool_size
        self.stride = stride
        self.data_format = data_format or keras.config.image_data_format()

    def build(self, input_shape):
        pass

    def call(self, inputs):
        maps, boxes = inputs
        maps = ops.cast(maps, self.compute_dtype)
        if self.data_format == "channels_first":
            maps = ops.transpose(maps, (0, 2, 3, 1))
        pictures, height, width, _ = ops.shape(maps)
        boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
        boxes = ops.where(ops.isfinite(boxes), boxes, 0.0)
        rows = self._bins(boxes[..., 0], boxes[..., 2], height)
        columns = self._bins(boxes[..., 1], boxes[..., 3], width)

        # The maximum of a bin is that of four windows of 1, 2, 4, ... cells a side in its corners,
        # which may overlap: all windows are computed once, and the bins look theirs up.
        levels = [_levels(side, self.pool_size) for side in maps.shape[1:3]]
        windows = ops.reshape(_windows(maps, *levels), (-1, maps.shape[-1]))
        first = ops.arange(pictures, dtype="int32")[:, None, None] * levels[0]
        (tops, bottoms, row_levels), (lefts, rights, column_levels) = (
            _corners(*bins, count) for bins, count in zip((rows, columns), levels, strict=True)
        )
        rows_of_table = ((first + row_levels) * levels[1])[..., None]
        table = (rows_of_table + column_levels[..., None, :]) * height
        found = None
        for row in (tops, bottoms):
            for column in (lefts, rights):
                place = (table + row[..., None]) * width + column[..., None, :]
                corner = ops.take(windows, place, axis=0)
                found = corner if found is None else ops.maximum(found, corner)
        return found

    def _bins(self, low, high, side):
        """The first cell of each bin, and the one behind its last, int32 [N, R, pool_size]."""
        last = ops.cast(side, "float32") - 1.0
        start, end = (
            ops.cast(ops.clip(ops.floor(edge / self.stride + 0.5), 0.0, last), "int32")[..., None]
            for edge in (low, high - 1.0)
        )
        cells = ops.maximum(end - start + 1, 1)
        number = ops.arange(self.pool_size, dtype="int32")
        starts = start + number * cells // self.pool_size
        return starts, start - (-(number + 1) * cells) // self.pool_size

    def compute_output_shape(self, input_shape):
        maps, boxes = input_shape
        channels = maps[-1 if self.data_format == "channels_last" else 1]
        return (maps[0], boxes[1], self.pool_size, self.pool_size, channels)

    def get_config(self):
        return super().get_config() | {
            "pool_size": self.pool_size,
            "stride": self.stride,
            "data_format": self.data_format,
        }


def _levels(side: int | None, bins: int) -> int:
    """How many powers of two there are up to half of the longest bin, for two cover a bin."""
    longest = _LONGEST_BIN
    if side is not None:
        parts = [(cells, i) for cells in range(1, side + 1) for i in range(bins)]
        longest = max(-(-(i + 1) * cells // bins) - i * cells // bins for cells, i in parts)
    return max(1, (longest - 1).bit_length())


def _windows(maps, row_levels: int, column_levels: int):
    """The maxima of windows of 2^i x 2^j cells from each cell on: [N, levels^2, H, W, C].

    Windows that cross the last row or column mean nothing.
    """
    tables = []
    for i in range(row_levels):
        if i:
            maps = ops.maximum(maps, ops.roll(maps, -(2 ** (i - 1)), axis=1))
        table = maps
        for j in range(column_levels):
            if j:
                table = ops.maximum(table, ops.roll(table, -(2 ** (j - 1)), axis=2))
            tables.append(table)
    return ops.stack(tables, axis=1)


def _corners(starts, ends, levels: int):
    """Where the first and the last window of each bin begin, and their level."""
    cells = ends - starts
    none = ops.zeros_like(cells)
    level = sum((ops.cast(cells > 2**i, "int32") for i in range(1, levels)), none)
    return starts, ends - ops.left_shift(ops.ones_like(level), level), level
