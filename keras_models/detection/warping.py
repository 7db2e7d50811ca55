"""Regions of pictures brought to the input of a classifier: Girshick et al., CVPR 2014, 2.1."""

from keras import ops

from keras_models.detection.boxes import centres_and_sides


def warp_regions(images, boxes, pictures, size: int, context: int = 16):
    """Each region, with what is around it, as a square of the same size, whatever its proportions.

    The region itself fills `size - 2 * context` pixels of a side. Where it is at a border, what is
    outside of the picture is 0: the mean, of pictures from which that is subtracted. Sampled
    bilinearly, without smoothing before, as the authors' code does; corners are not rounded to
    whole pixels, as they are there.

    Args:
        images: [N, H, W, C]; sides may be unknown.
        boxes: [S, 4], ymin, xmin, ymax, xmax as parts of the picture's sides.
        pictures: int [S], the number of the picture of each.
        size: sides of the result, in pixels.
        context: pixels of the result on each side that are around the region; less than half of
            `size`.

    Returns:
        [S, size, size, C], in the dtype of the images.

    Source: Girshick et al. 2014, section 2.1 and appendix A: p = 16 of 227 pixels.
    """
    _, height, width, channels = ops.shape(images)
    centres, sides = centres_and_sides(ops.cast(boxes, "float32"))
    wide = sides * (size / (size - 2 * context))
    steps = (ops.arange(size, dtype="float32") + 0.5) / size - 0.5
    rows, columns = (
        _places((centres[:, axis, None] + wide[:, axis, None] * steps), side)
        for axis, side in ((0, height), (1, width))
    )
    line = ops.reshape(images, (-1, channels))
    first = ops.cast(pictures, "int32")[:, None] * height
    found = 0.0
    for row, row_share in rows:
        for column, column_share in columns:
            place = ((first + row) * width)[:, :, None] + column[:, None, :]
            share = row_share[:, :, None] * column_share[:, None, :]
            found = found + ops.take(line, place, axis=0) * ops.cast(share[..., None], line.dtype)
    return found


def _places(places, side):
    """The two pixels beside each place of a side, 0..1, and how much of each: 0 outside."""
    inside = ops.logical_and(places >= 0.0, places <= 1.0)
    last = ops.cast(side, "float32") - 1.0
    pixel = ops.clip(places * (last + 1.0) - 0.5, 0.0, last)
    low = ops.floor(pixel)
    share = pixel - low
    high = ops.minimum(low + 1.0, last)
    return [
        (ops.cast(number, "int32"), ops.where(inside, weight, 0.0))
        for number, weight in ((low, 1.0 - share), (high, share))
    ]
