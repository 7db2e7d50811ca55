"""The ways in which papers turn one image into one answer: which views of it, at which scales.

A protocol is a row of `PROTOCOLS`, and here it is geometry alone; `components.judge.scoring` cuts
the views and asks the model. All probabilities that a protocol collects are averaged. The scales
that a paper publishes are those of a network that sees 224 x 224 pixels; for one that sees `side`
pixels they are taken `side / 224` as large.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from components.settings import near_matches

# What the tables call a way that is none of these: people, other kinds of classifiers, other views.
OTHER = "other"
_PUBLISHED_SIDE = 224
_ENSEMBLE = re.compile(r"([1-9]\d*) x (.+)")


class View(NamedTuple):
    """A part of a resized image, in pixels, and whether it is mirrored left to right."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool = False


@dataclass(frozen=True)
class Sizes:
    """What a network sees, in pixels.

    Attributes:
      side: of its square input.
      shortest, longest: the lengths that the shorter side of a training image had before the crop
        (S of Simonyan & Zisserman 2014, section 3.1); equal where it was fixed.
    """

    side: int
    shortest: int
    longest: int

    @classmethod
    def of(cls, side: int, resize: int | Sequence[int] | None = None) -> "Sizes":
        """The sizes of a network of this side.

        Args:
          resize: a recipe's `preprocess.resize`, S or [Smin, Smax]; None: 256 / 224 of the side.
        """
        if resize is None:
            resize = _scaled(256, side)
        shortest, longest = (resize, resize) if isinstance(resize, int) else resize
        return cls(side, shortest, longest)

    @property
    def mean(self) -> int:
        """S, or where that was varied, the middle of its range."""
        return (self.shortest + self.longest) // 2


def _scaled(length: int, side: int, published_side: int = _PUBLISHED_SIDE) -> int:
    return round(length * side / published_side)


def training_scale(sizes: Sizes) -> tuple[int, ...]:
    """Q = S, or 0.5 (Smin + Smax) (Simonyan & Zisserman 2014, section 4.1)."""
    return (sizes.mean,)


def three_scales(sizes: Sizes) -> tuple[int, ...]:
    """Q = {S-32, S, S+32}, or {Smin, 0.5 (Smin + Smax), Smax} (the same, section 4.2)."""
    if sizes.shortest < sizes.longest:
        return sizes.shortest, sizes.mean, sizes.longest
    step = _scaled(32, sizes.side)
    return sizes.mean - step, sizes.mean, sizes.mean + step


def fixed_scales(
    *published: int, side: int = _PUBLISHED_SIDE
) -> Callable[[Sizes], tuple[int, ...]]:
    """The scales that a paper names for a network of `side`, whatever it was trained with."""
    return lambda sizes: tuple(_scaled(length, sizes.side, side) for length in published)


def central_view(height: int, width: int, side: int) -> list[View]:
    """The square in the middle."""
    return [View((height - side) // 2, (width - side) // 2, side, side)]


def ten_views(height: int, width: int, side: int) -> list[View]:
    """Corners and centre of the central square, and their reflections.

    Krizhevsky et al. 2012, section 4.1; the square is section 2's "central 256 x 256 patch".
    """
    length = min(height, width)
    square = View((height - length) // 2, (width - length) // 2, length, length)
    return _with_mirrored(_corners_and_centre(square, side))


def views_of_three_squares(height: int, width: int, side: int) -> list[View]:
    """Six views of the left, centre and right (or top, centre, bottom) square, and reflections.

    Szegedy et al. 2014, section 7: the four corners, the centre, and the square itself, resized.
    """
    length = min(height, width)
    places = ((0, 0), ((height - length) // 2, (width - length) // 2))
    squares = [
        View(*place, length, length) for place in (*places, (height - length, width - length))
    ]
    return _with_mirrored(
        view for square in squares for view in (*_corners_and_centre(square, side), square)
    )


def grid_views(height: int, width: int, side: int) -> list[View]:
    """A regular 5 x 5 grid over the image, and reflections (Simonyan & Zisserman 2014, 3.2)."""
    tops, lefts = ([i * (length - side) // 4 for i in range(5)] for length in (height, width))
    return _with_mirrored(View(top, left, side, side) for top in tops for left in lefts)


def whole_views(height: int, width: int, side: int) -> list[View]:
    """The whole image and its reflection, for a fully convolutional network."""
    return _with_mirrored([View(0, 0, height, width)])


def _corners_and_centre(square: View, side: int) -> list[View]:
    top, left, length, _, _ = square
    far, middle = length - side, (length - side) // 2
    places = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
    return [View(top + down, left + right, side, side) for down, right in places]


def _with_mirrored(views: Iterable[View]) -> list[View]:
    return [each for view in views for each in (view, view._replace(mirrored=True))]


@dataclass(frozen=True)
class Part:
    """Views of an image at several scales, all for one signature of the model.

    Attributes:
      signature: `"predict"` (a view of another size is resized to the network's side) or `"dense"`
        (views of any size).
      scales: the lengths in pixels that the shorter side of the image is brought to.
      views: of a resized image of a height and a width, for a network of a side.
    """

    signature: str
    scales: Callable[[Sizes], tuple[int, ...]]
    views: Callable[[int, int, int], list[View]]


@dataclass(frozen=True)
class Protocol:
    """One published way; the answers of several parts are averaged, each part weighing the same.

    Without parts, the model's own `serving_default` prepares the image.
    """

    name: str
    summary: str
    parts: tuple[Part, ...] = ()


_WHOLE_AT_THREE_SCALES = Part("dense", three_scales, whole_views)
_MULTI_CROP = Part("predict", three_scales, grid_views)
# Sermanet et al. 2014, Table 5, of the accurate net; their pictures are not all of one shape, and
# neither are ours.
_SCALES_OF_OVERFEAT = (245, 281, 317, 389, 425, 461)


def _slid(name: str, *numbers: int) -> Protocol:
    """OverFeat's protocol at scales that are counted from 1."""
    scales = fixed_scales(*(_SCALES_OF_OVERFEAT[number - 1] for number in numbers), side=221)
    return Protocol(
        name,
        f"offset pooling, maxima over the picture and the reflection, scales {numbers} of 6 "
        "(Sermanet 2014, 3.3)",
        (Part("dense", scales, whole_views),),
    )


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("1-crop", "one view of each image, prepared exactly as the server does"),
        Protocol(
            "centre-crop",
            "shorter side S, the central view",
            (Part("predict", training_scale, central_view),),
        ),
        Protocol(
            "10-crop",
            "corners and centre of the central S x S square, and reflections (Krizhevsky 2012)",
            (Part("predict", training_scale, ten_views),),
        ),
        Protocol(
            "144-crop",
            "4 scales x 3 squares x 6 views, and reflections (Szegedy 2014, section 7)",
            (Part("predict", fixed_scales(256, 288, 320, 352), views_of_three_squares),),
        ),
        Protocol(
            "dense",
            "fully convolutional at Q = S, and the reflection (Simonyan & Zisserman 2014, 3.2)",
            (Part("dense", training_scale, whole_views),),
        ),
        Protocol(
            "dense-3-scales",
            "dense at S-32, S, S+32, or Smin, mean, Smax (Simonyan & Zisserman 2014, 4.2)",
            (_WHOLE_AT_THREE_SCALES,),
        ),
        Protocol(
            "150-crop",
            "a 5 x 5 grid and reflections at three scales (Simonyan & Zisserman 2014, 4.3)",
            (_MULTI_CROP,),
        ),
        Protocol(
            "150-crop-and-dense",
            "mean of 150-crop and dense-3-scales (Simonyan & Zisserman 2014, 4.3)",
            (_MULTI_CROP, _WHOLE_AT_THREE_SCALES),
        ),
        Protocol(
            "multi-scale",
            "fully convolutional at 224, 256, 384, 480, 640, and reflections (He 2015)",
            (Part("dense", fixed_scales(224, 256, 384, 480, 640), whole_views),),
        ),
        _slid("overfeat-1-scale", 1),
        _slid("overfeat-4-scales", 1, 2, 4, 6),
        _slid("overfeat-6-scales", 1, 2, 3, 4, 5, 6),
    )
}


def find(name: str) -> Protocol:
    """The protocol called `name`.

    Raises:
      KeyError: there is none of that name; the near matches are named.
    """
    if name not in PROTOCOLS:
        raise KeyError(f"unknown protocol {name!r}: {near_matches(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def of_ensemble(name: str, models: int) -> str:
    """What the protocol is called when the probabilities of several models are averaged."""
    return name if models == 1 else f"{models} x {name}"


def of_each(name: str) -> tuple[int, str]:
    """The number of models and the protocol of each: the inverse of `of_ensemble`."""
    found = _ENSEMBLE.fullmatch(name)
    return (int(found[1]), found[2]) if found else (1, name)
