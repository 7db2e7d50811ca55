"""The example contract: what readers give, and the tf.Example that is made of it.

| Feature | Values | Task |
|---|---|---|
| `image/encoded`, `image/height`, `image/width` | PNG or JPEG, and its size in pixels | all |
| `image/sha256`, `image/id` | hash of the content as it was found; the name in the source | all |
| `label`, `label/text` | number and name of the class | classification, video |
| `objects/bbox` | ymin, xmin, ymax, xmax of each object in 0..1, one after the other | detection |
| `objects/label`, `objects/label/text` | number and name of the class of each object | detection |
| `objects/difficult`, `objects/crowd` | whether (1) an object is marked so; see below | detection |
| `objects/area` | pixels of each object, in the image as it was annotated | detection |
| `objects/mask` | a PNG of the image's size for each object: 255 in it, 0 around it | detection |
| `proposals` | ymin, xmin, ymax, xmax in 0..1 of regions that may be objects | detection |
| `depth/encoded` | 16-bit PNG, millimetres; 0: not measured | depth |
| `normals/encoded` | PNG, 255 (n + 1) / 2; x to the right, y down, z into the scene | normals |
| `segmentation/encoded` | 8-bit PNG of class numbers | segmentation |
| `target/encoded` | the image that the network is to make of the image | restoration |
| `frames/encoded` | the frames in their order; `image/encoded` is the first | video |
| `keypoints` | y, x of each point in 0..1 | pose |
| `keypoints/visible` | of each point 0: not marked, 1: hidden, 2: seen | pose |
| `torso` | ymin, xmin, ymax, xmax of the person's torso in 0..1 | pose |
| `pair/encoded`, `same` | the other image, and whether (1) both show the same | verification |
| `pair/keypoints` | y, x of each point of the other image in 0..1 | verification |
| `fold` | number of the fold of a cross-validation that a pair is in, from 0 | verification |
| `text` | what is written in the image | transcription |

VOC's difficult objects are not counted, found or not. COCO's crowds are boxes around many objects,
which any number of answers may match. An area stays that of the original where an image is resized,
because COCO's protocol counts small and large objects by it. A point that is not marked is at 0, 0.
A normal points to the camera's side of its surface; a vector that is shorter than 1/2 (128 of each)
or longer than 3/2 (black) says that there is none.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

# TFDS' copies of tf.train.Example and its parts: a worker that ingests starts without TensorFlow.
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from components.bounds import MAX_PIXELS
from components.ingest import crops, feature_checks, features, images, normals
from components.ingest.features import FEATURES, PROPOSALS
from components.ingest.images import ImageError
from components.ingest.proposals import finding

FORMATS = ("keep", "png", "jpeg")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MILLIMETRES = 1000.0
_NORMALS = "normals/encoded"
# What 16 bits hold.
_MAX_DEPTH = 65.535
_SURROGATES = re.compile("[\\ud800-\\udfff]")


@dataclass(frozen=True)
class Record:
    """What a reader gives for one example, images as they were found.

    Attributes:
      identifier: names the example in its source.
      features: by the names of `FEATURES`. An image is the bytes of a PNG or JPEG file, or pixels:
        uint8 [H, W], [H, W, 1] or [H, W, 3]. A depth is a 16-bit PNG of millimetres, or an array
        [H, W] or [H, W, 1] of floats in metres or integers in millimetres. Normals are a picture or
        what finds them (`components.ingest.normals.OfDepths`). A mask is a PNG, or pixels bool
        [H, W]. `image/height`, `image/width` and `image/id` are filled in; so is `image/sha256`,
        unless the reader knows the hash of what the example was made of.
    """

    identifier: str
    features: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "identifier", _utf8(self.identifier))


@dataclass(frozen=True)
class DeadLetter:
    """An input that gives no example, and why.

    Attributes:
      identifier: names it in its source.
      reason: in words.
      count: how many records are lost with it, as far as that can be known.
    """

    identifier: str
    reason: str
    count: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "identifier", _utf8(self.identifier))
        object.__setattr__(self, "reason", _utf8(self.reason))


def _utf8(text: str) -> str:
    """A text without what UTF-8 does not have; the names of files may have it."""
    return _SURROGATES.sub("\ufffd", text)


@dataclass(frozen=True)
class Encoding:
    """How images are stored.

    Attributes:
      shorter_side: pixels of the shorter side, to which images are made smaller or larger, as the
        papers on ImageNet do; None leaves the size. Maps, frames and pairs go with the image.
      format: `"keep"`, `"png"`, or `"jpeg"`. JPEG files are not encoded once more as JPEG, unless
        they are resized.
      quality: of JPEG, 1 to 95.
      proposals: how regions that may be objects are found in each image that comes without any:
        the arguments of `components.ingest.proposals.finding.Proposals`. None: they are not.
      align: of faces in which points are marked, the crop to which they are brought
        (`components.preprocess.alignment`); None leaves them as they are.

    Raises:
      ValueError: a value that is not allowed.
    """

    shorter_side: int | None = None
    format: str = "keep"
    quality: int = 95
    proposals: Mapping[str, Any] | None = None
    align: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.proposals is not None:
            finding.Proposals(**self.proposals)
        if self.shorter_side is not None and self.shorter_side < 1:
            raise ValueError(f"shorter_side must be 1 or more, or null, not {self.shorter_side}")
        if self.format not in FORMATS:
            raise ValueError(f"format must be {', '.join(FORMATS)}, not {self.format!r}")
        if not 1 <= self.quality <= 95:
            raise ValueError(f"quality must be 1 to 95, not {self.quality}")


def to_example(record: Record, encoding: Encoding) -> tf_example_pb2.Example:
    """Checks a record and encodes it, in what tf.train.Example reads.

    Boxes and points are parts of the image's size, so that resizing leaves them as they are.

    Raises:
      ImageError, ValueError: see `checked`.
    """
    return as_example(checked(record, encoding)[0])


def checked(record: Record, encoding: Encoding) -> tuple[dict[str, Any], images.Decoded]:
    """The features of a record's example, and its image decoded and in its own size.

    Returns:
      The features by their names in `FEATURES`, images encoded as they are stored; and the image,
      of a video the first frame.

    Raises:
      ImageError: the record cannot be used; the text is the dead letter's reason.
      ValueError: a feature that the contract does not have: the reader is wrong, not the data.
    """
    if unknown := set(record.features) - set(FEATURES):
        raise ValueError(f"the example contract has no {', '.join(sorted(unknown))}")
    given = dict(record.features)
    if isinstance(unknown := given.get(_NORMALS), normals.OfDepths):
        metres = _millimetres(unknown.depth) / _MILLIMETRES
        given[_NORMALS] = normals.encoded(normals.of_depths(metres, unknown.camera))
    feature_checks.check_kinds(given)
    found = _shown(given)
    if found.converted == images.TURNED and features.names_where(given, "is_place"):
        raise ImageError("turned by its EXIF data: what is annotated may lie elsewhere")
    size = found.image.size
    given |= feature_checks.checked_places(given, *size)
    feature_checks.check_numbers(given)

    contents = [given["image/encoded"]] if "image/encoded" in given else [*given["frames/encoded"]]
    # Pairs that share one photograph are not the same pair.
    contents += [given["pair/encoded"]] if "pair/encoded" in given else []
    given.setdefault("image/sha256", _sha256(contents))
    if encoding.align is not None:
        shown = {"image/encoded": found}
        if "pair/encoded" in given:
            other = _decoded(given["pair/encoded"], "second image of the pair")
            shown["pair/encoded"] = other
        given |= crops.aligned(given, shown, encoding.align)
        found = _decoded(given["image/encoded"], "image")
        size = found.image.size
    given["image/id"] = readable(record.identifier)
    if isinstance(given["image/sha256"], bytes):
        given["image/sha256"] = given["image/sha256"].decode()
    if encoding.proposals is not None and PROPOSALS not in given:
        # Of the image as it was found: whoever asks a served model has that alone.
        settings = finding.Proposals(**encoding.proposals)
        given[PROPOSALS] = finding.of_image(found.image, settings).ravel().tolist()
    new = _resized(size, encoding, size)
    given["image/encoded"] = _encoded(found, new, encoding)
    given["image/width"], given["image/height"] = new
    if "frames/encoded" in given:
        given["frames/encoded"] = _frames(given["frames/encoded"], new, encoding)
    for name in features.names_where(given, "is_map"):
        if FEATURES[name].several:
            given[name] = [_map(name, each, size, new) for each in given[name]]
        else:
            given[name] = _map(name, given[name], size, new)
    if "target/encoded" in given:
        target = _decoded(given["target/encoded"], "target")
        _check_target(target.image.size, size)
        # By the image's factor: where the target is larger, it stays larger by as much.
        target_size = _resized(target.image.size, encoding, size)
        given["target/encoded"] = _encoded(target, target_size, encoding)
    if "pair/encoded" in given:
        pair = _decoded(given["pair/encoded"], "second image of the pair")
        pair_size = _resized(pair.image.size, encoding, pair.image.size)
        given["pair/encoded"] = _encoded(pair, pair_size, encoding)
    return given, found


def as_example(features: Mapping[str, Any]) -> tf_example_pb2.Example:
    """The features that `checked` returns, in what tf.train.Example reads."""
    example = tf_example_pb2.Example()
    made = example.features.feature
    for name, value in features.items():
        _fill(made[name], FEATURES[name].kind, value)
    return example


def _fill(feature: tf_feature_pb2.Feature, kind: str, value: Any) -> None:
    # Most features are one text, and asking NumPy how many takes longer than writing it.
    if isinstance(value, bytes):
        feature.bytes_list.value.append(value)
        return
    if isinstance(value, str):
        feature.bytes_list.value.append(value.encode())
        return
    values = [value] if isinstance(value, (int, float)) or np.ndim(value) == 0 else value
    if kind == features.INTEGERS:
        feature.int64_list.value.extend(map(int, values))
    elif kind == features.FLOATS:
        feature.float_list.value.extend(map(float, values))
    else:
        texts = (each.encode() if isinstance(each, str) else each for each in values)
        feature.bytes_list.value.extend(texts)


def readable(name: str) -> str:
    """A name as UTF-8 has it: bytes of a file's name that are none are replaced."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", name)


def unknown_class(number: float, classes: int) -> str:
    """Why a number names none of so many classes."""
    return f"unknown label: {number}, and there are {classes} classes"


def _shown(given: Mapping[str, Any]) -> images.Decoded:
    """The image; of a video the first frame."""
    if "image/encoded" in given:
        return _decoded(given["image/encoded"], "image")
    if "frames/encoded" not in given:
        raise ImageError("no image")
    if not len(given["frames/encoded"]):
        raise ImageError("no frames")
    return _decoded(given["frames/encoded"][0], "frame")


def _frames(
    values: Sequence[bytes | np.ndarray], new: tuple[int, int], encoding: Encoding
) -> list[bytes]:
    """The frames, one after the other: decoded they may take any memory together."""
    size = None
    encoded = []
    for value in values:
        frame = _decoded(value, "frame")
        size = size or frame.image.size
        if frame.image.size != size:
            raise ImageError(f"frames of several sizes: {sorted({size, frame.image.size})}")
        encoded.append(_encoded(frame, new, encoding))
    return encoded


def _decoded(value: bytes | np.ndarray, what: str) -> images.Decoded:
    if isinstance(value, np.ndarray):
        return _from_pixels(value, what)
    try:
        return images.decoded(value)
    except ImageError as error:
        raise (error if what == "image" else ImageError(f"{what}: {error}")) from error


def _from_pixels(pixels: np.ndarray, what: str) -> images.Decoded:
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)) or not pixels.size:
        raise ImageError(f"{what}: {pixels.dtype} {list(pixels.shape)} are no pixels of an image")
    return images.Decoded(Image.fromarray(pixels), "PNG", None)


def _resized(
    size: tuple[int, int], encoding: Encoding, reference: tuple[int, int]
) -> tuple[int, int]:
    """Width and height by the factor that brings the reference's shorter side to its length.

    Raises:
      ImageError: there would be more than `MAX_PIXELS` pixels, as of a line that is enlarged.
    """
    if encoding.shorter_side is None:
        return size
    shorter = min(reference)
    width, height = (max(1, round(side * encoding.shorter_side / shorter)) for side in size)
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{width} x {height} pixels with a shorter side of {encoding.shorter_side}, more than "
            f"{MAX_PIXELS:,} in all"
        )
    return width, height


def _encoded(found: images.Decoded, size: tuple[int, int], encoding: Encoding) -> bytes:
    """The image in the wanted size and format; as it was found wherever that fits."""
    wanted = found.format if encoding.format == "keep" else encoding.format.upper()
    image = found.image
    if image.size != size:
        # Bicubic with the kernel widened by the factor, so that nothing folds over (antialiased):
        # the kernel (a = -1/2) of Matlab's imresize, by which papers made their small images.
        # Lanczos is sharper by rings at edges.
        image = image.resize(size, Image.Resampling.BICUBIC)
    elif found.content is not None and wanted == found.format:
        return found.content
    if encoding.format == "keep" and found.content is None:
        wanted = "PNG"  # It is no photograph that a camera compressed already.
    if wanted == "PNG":
        return images.png(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=encoding.quality)
    return buffer.getvalue()


def _check_target(target: tuple[int, int], size: tuple[int, int]) -> None:
    """Whether both sides are the image's times one whole number."""
    factor = target[0] // size[0]
    if factor < 1 or target != (factor * size[0], factor * size[1]):
        raise ImageError(
            f"target of {target[0]} x {target[1]} pixels, "
            f"no whole multiple of the image of {size[0]} x {size[1]}"
        )


def _map(
    name: str, value: bytes | np.ndarray, size: tuple[int, int], new: tuple[int, int]
) -> bytes:
    what = name.removesuffix("/encoded")
    if name == "depth/encoded":
        pixels = _millimetres(value)
    elif name == "segmentation/encoded":
        pixels = _class_numbers(value)
    elif name == "objects/mask":
        pixels = _mask(value)
    else:
        pixels = np.asarray(_decoded(value, what).image)
    height, width = pixels.shape[:2]
    if (width, height) != size:
        raise ImageError(f"{what} of {width} x {height} pixels, the image of {size[0]} x {size[1]}")
    if new != size:
        pixels = np.asarray(Image.fromarray(pixels).resize(new, Image.Resampling.NEAREST))
    return images.png(pixels)


def _millimetres(value: bytes | np.ndarray) -> np.ndarray:
    """uint16 [H, W]."""
    if not isinstance(value, np.ndarray):
        image = _opened(value, "depth")
        if not image.mode.startswith("I"):
            raise ImageError(f"depth: a PNG of 16 bits is needed, and this has mode {image.mode}")
        return np.asarray(image).astype(np.uint16)
    has_pixels = value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 1)
    if value.dtype.kind not in "iuf" or not has_pixels or not value.size:
        raise ImageError(f"depth: {value.dtype} {list(value.shape)} are no distances")
    if np.issubdtype(value.dtype, np.integer):
        value = value / _MILLIMETRES
    metres = value.reshape(value.shape[:2]).astype(np.float64)
    if not np.isfinite(metres).all():
        raise ImageError(f"depth: {np.sum(~np.isfinite(metres))} pixels are NaN or infinite")
    if metres.min() < 0 or metres.max() > _MAX_DEPTH:
        raise ImageError(
            f"depth: from {metres.min():.6g} to {metres.max():.6g} m; 0 to {_MAX_DEPTH} are allowed"
        )
    return np.rint(metres * _MILLIMETRES).astype(np.uint16)


def _class_numbers(value: bytes | np.ndarray) -> np.ndarray:
    """uint8 [H, W]. In a palette PNG, as VOC has, the numbers are the palette's indices."""
    if isinstance(value, np.ndarray):
        image = _from_pixels(value, "segmentation").image
        if image.mode != "L":
            raise ImageError(f"segmentation: {list(value.shape)} are no class numbers of pixels")
        return np.asarray(image)
    image = _opened(value, "segmentation")
    if image.format != "PNG" or image.mode not in ("L", "P"):
        raise ImageError(
            "segmentation: a PNG of 8-bit class numbers is needed, and this is "
            f"{image.format} of mode {image.mode}"
        )
    return np.asarray(image)


def _mask(value: bytes | np.ndarray) -> np.ndarray:
    """uint8 [H, W], 0 and 255."""
    if isinstance(value, np.ndarray):
        pixels = value
    else:
        image = _opened(value, "objects/mask")
        pixels = np.asarray(image)
        if image.format != "PNG" or image.mode not in ("1", "L") or not _is_binary(pixels):
            raise ImageError("objects/mask: a PNG of two values, 0 and 255, is needed")
    if pixels.ndim != 2 or not pixels.size:
        raise ImageError(f"objects/mask: {pixels.dtype} {list(pixels.shape)} are no mask")
    return np.where(pixels, 255, 0).astype(np.uint8)


def _is_binary(pixels: np.ndarray) -> bool:
    return pixels.dtype == bool or bool(((pixels == 0) | (pixels == 255)).all())


def _opened(data: bytes, what: str) -> Image.Image:
    try:
        return images.opened(data)
    except ImageError as error:
        raise ImageError(f"{what}: {error}") from error


def _sha256(contents: Sequence[bytes | np.ndarray]) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(content.tobytes() if isinstance(content, np.ndarray) else content)
    return digest.hexdigest()
