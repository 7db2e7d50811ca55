"""Pascal VOC's folders: XML annotations, or pictures of classes, beside the images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import filterfalse
from typing import Any
from xml.etree import ElementTree

from pydantic import ValidationError

from components.ingest import images, regular_files, schemas
from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.labels import in_order, listed_labels
from components.ingest.layouts import IMAGE_SUFFIXES, has_class_maps, voc_lists
from components.ingest.readers import files
from components.ingest.schemas import VocObject, VocSize
from components.ingest.sources import Source
from components.ingest.walk import is_system

_ANNOTATIONS, _IMAGES, _CLASSES = "Annotations", "JPEGImages", "SegmentationClass"
_BACKGROUND = "background"
# VOC's own first; in capitals, as cameras write them.
_SUFFIXES = (".jpg", *IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES))


class VocReader:
    """Reads BASE/Annotations/NAME.xml, or BASE/SegmentationClass/NAME.png, and the image.

    A piece is a NAME. The splits are the lists in ImageSets; without any, all annotations are
    split by content.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._task = source.task
        self._has_maps = has_class_maps(source.task)
        names = listed_labels(source.base) or _named_classes(source.base)
        has_background = self._has_maps and _BACKGROUND not in names
        self.labels = [_BACKGROUND, *names] if has_background else names
        self._numbers = {name: number for number, name in enumerate(self.labels)}

    def roots(self, split: str) -> list[str]:
        lists = voc_lists(self._base, self._task)
        root = lists.get(split, _CLASSES if self._has_maps else _ANNOTATIONS)
        self._names(root)
        return [root]

    def pieces(self, root: str) -> Iterator[str]:
        yield from self._names(root)

    def _names(self, root: str) -> list[str]:
        path = os.path.join(self._base, root)
        if os.path.isdir(path):
            return [os.path.splitext(name)[0] for name in os.listdir(path) if not is_system(name)]
        lines = regular_files.text_lines(path)
        return [line.split()[0] for line in lines if line.strip()]

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        try:
            if self._has_maps:
                image = files.content(self._base, self._image_path(piece))
                classes = files.content(self._base, os.path.join(_CLASSES, f"{piece}.png"))
                features = {"image/encoded": image, "segmentation/encoded": classes}
            else:
                features = self._detection(piece)
        except ImageError as error:
            yield DeadLetter(piece, str(error))
            return
        yield Record(piece, features)

    def _detection(self, name: str) -> dict[str, Any]:
        path = os.path.join(_ANNOTATIONS, f"{name}.xml")
        root = _xml(self._base, path)
        objects = root.findall("object")
        if not objects:
            raise ImageError(f"{path} has no object")
        named = (root.findtext("filename") or "").strip()
        image = files.content(self._base, self._image_path(name, named))
        width, height = images.size(image)
        _check_size(path, root, width, height)
        checked = [_object(path, number, each) for number, each in enumerate(objects)]
        files.check_pixels([(each.xmax, each.ymax) for each in checked], width, height)
        labels = [self._label(path, each.name) for each in checked]
        return {
            "image/encoded": image,
            "objects/bbox": [side for each in checked for side in _sides(each, width, height)],
            "objects/label": labels,
            "objects/label/text": [self.labels[label] for label in labels],
            "objects/difficult": [int(each.findtext("difficult") == "1") for each in objects],
        }

    def _label(self, path: str, name: str) -> int:
        if name not in self._numbers:
            raise ImageError(f"{path}: unknown class {name!r}")
        return self._numbers[name]

    def _image_path(self, name: str, named: str = "") -> str:
        """The image of the annotation's own name, as in VOC; else the one that it names.

        Raises:
          ImageError: both are there, and they are two: which is annotated cannot be told.
        """
        # Of a.png and a.jpg the one that it names.
        first = [named] if os.path.splitext(named)[0] == name else []
        own = self._first_image([*first, *(f"{name}{suffix}" for suffix in _SUFFIXES)])
        other = named and self._first_image([named, *(f"{named}{suffix}" for suffix in _SUFFIXES)])
        if own and other and not self._same(own, other):
            raise ImageError(
                f"{_ANNOTATIONS}/{name}.xml names {named}, which is there, and so is {own}: "
                "correct its filename, or name the annotation as its image is named"
            )
        return os.path.join(_IMAGES, own or other or named or f"{name}.jpg")

    def _first_image(self, names: list[str]) -> str:
        """The first that is there; "" where none is."""
        folder = os.path.join(self._base, _IMAGES)
        return next((name for name in names if os.path.isfile(os.path.join(folder, name))), "")

    def _same(self, name: str, other: str) -> bool:
        paths = (os.path.join(self._base, _IMAGES, each) for each in (name, other))
        return os.path.samefile(*paths)


def _xml(base: str, path: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(files.content(base, path))
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        # Of an encoding that is unknown, or that the parser does not take, Python says so itself.
        raise ImageError(f"{path} is no XML: {error}") from error


def _text(found: ElementTree.Element, path: str) -> str | None:
    text = found.findtext(path)
    return text.strip() if text is not None else None


def _check_size(path: str, root: ElementTree.Element, width: int, height: int) -> None:
    said = {side: _text(root, f"size/{side}") for side in ("width", "height")}
    if not all(said.values()):
        return
    try:
        size = VocSize.model_validate(said)
    except ValidationError as error:
        raise ImageError(f"{path}: size: {schemas.fault(error)}") from error
    if (size.width, size.height) not in ((width, height), (0, 0)):
        raise ImageError(
            f"{path} is for an image of {said['width']} x {said['height']} pixels, "
            f"and it has {width} x {height}"
        )


def _object(path: str, number: int, found: ElementTree.Element) -> VocObject:
    given = {side: _text(found, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")}
    given["name"] = _text(found, "name")
    try:
        return VocObject.model_validate(given)
    except ValidationError as error:
        raise ImageError(f"{path}: object {number}: {schemas.fault(error)}") from error


def _sides(found: VocObject, width: int, height: int) -> list[float]:
    """ymin, xmin, ymax, xmax in 0..1."""
    return [
        (found.ymin - 1) / height,
        (found.xmin - 1) / width,
        found.ymax / height,
        found.xmax / width,
    ]


def _named_classes(base: str) -> list[str]:
    """The classes that VOC has a list of images for; else those that the annotations name."""
    folder = os.path.join(base, "ImageSets", "Main")
    lists = os.listdir(folder) if os.path.isdir(folder) else []
    lists = [name for name in lists if not is_system(name)]
    names = {name.rpartition("_")[0] for name in lists if name.endswith("_train.txt")}
    names |= {name.rpartition("_")[0] for name in lists if name.endswith("_trainval.txt")}
    if names:
        return in_order(names)
    for name in filterfalse(is_system, os.listdir(os.path.join(base, _ANNOTATIONS))):
        try:
            root = _xml(base, os.path.join(_ANNOTATIONS, name))
        except ImageError:
            continue  # `load` says so of the one image.
        names |= {_text(each, "name") or "" for each in root.iterfind("object")}
    return in_order(names - {""})
