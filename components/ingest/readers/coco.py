"""COCO's folders: one JSON file of annotations a split, and the images."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.ingest import images, masks, schemas
from components.ingest.class_folders import folder_names
from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.layouts import SourceError, coco_files
from components.ingest.readers import files
from components.ingest.schemas import CocoAnnotation, CocoCategory, CocoFile, CocoImage
from components.ingest.sources import Source

_SHOWN = 8  # classes
_PARTS = 5  # of `_object`


class CocoReader:
    """Reads BASE/annotations/*.json and the images that it names.

    A piece is an image with its annotations, or what is wrong with one, as JSON: so no worker that
    loads has to read the whole file of annotations. Class numbers are those of the training file's
    categories in the order of their ids, which leave gaps. Each file's ids are its own: another
    file's categories are the classes of the same names. An image without annotations is an example
    without objects, as COCO's protocol counts it; one of whose annotations one is wrong is no
    example.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._files = coco_files(Path(source.base))
        # Of the training file alone: one of COCO's takes a process ten seconds and some gigabytes.
        root = next(iter(self._files.values()))
        found = _read(source.base, root)
        self._read_already = root
        self.labels = list(_names(os.path.join(source.base, root), found.categories).values())

    def roots(self, split: str) -> list[str]:
        root = self._files[split]
        if root != self._read_already:
            self._numbers(root, _read(self._base, root))
        return [root]

    def pieces(self, root: str) -> Iterator[str]:
        found = _read(self._base, root)
        numbers = self._numbers(root, found)
        objects: dict[int | str | None, list[list[Any]]] = defaultdict(list)
        wrong: dict[int | str | None, list[str]] = defaultdict(list)
        for place, each in enumerate(found.annotations):
            try:
                annotation = CocoAnnotation.model_validate(each)
                objects[annotation.image_id].append(_object(annotation, numbers))
            except (ImageError, ValidationError) as error:
                reason = f"annotations[{place}]: {_reason(error)}"
                wrong[_id(each, "image_id")].append(reason)
        # Whose image cannot be told.
        for reason in wrong.pop(None, []):
            yield json.dumps({"path": root, "reason": reason})
        yield from self._images(root, found.images, objects, wrong)

    def _numbers(self, root: str, found: CocoFile) -> dict[int | str, int]:
        """The class numbers by the ids that a file gives its categories.

        Raises:
          SourceError: it has objects of a category that the training file does not name.
        """
        path = os.path.join(self._base, root)
        names = _names(path, found.categories)
        numbers = {name: number for number, name in enumerate(self.labels)}
        if set(names.values()) - set(numbers):
            used = {_id(each, "category_id") for each in found.annotations}
            for identifier, name in names.items():
                if name not in numbers and identifier in used:
                    raise SourceError(
                        f"{path}: objects of the category {name!r}, which {self._read_already} "
                        f"does not have: it has {', '.join(self.labels[:_SHOWN])}"
                        f"{', ...' * (len(self.labels) > _SHOWN)}"
                    )
        return {each: numbers[name] for each, name in names.items() if name in numbers}

    def _images(
        self,
        root: str,
        found: list[Any],
        objects: dict[int | str | None, list[list[Any]]],
        wrong: dict[int | str | None, list[str]],
    ) -> Iterator[str]:
        folder = _image_folder(self._base, root)
        ids = Counter(_id(each, "id") for each in found)
        for each in found:
            identifier = _id(each, "id")
            own, faults = objects.pop(identifier, []), wrong.pop(identifier, [])
            try:
                image = CocoImage.model_validate(each)
                if ids[identifier] > 1:
                    raise ImageError(f"{ids[identifier]} images have its id, {identifier!r}")
                if faults:
                    raise ImageError(faults[0])
            except (ImageError, ValidationError) as error:
                yield json.dumps({"path": _path(folder, each, root), "reason": _reason(error)})
                continue
            path = os.path.join(folder, image.file_name)
            yield json.dumps({"path": path, "size": [image.width, image.height], "objects": own})
        for identifier in {**objects, **wrong}:
            number = len(objects.get(identifier, [])) + len(wrong.get(identifier, []))
            reason = f"{number} annotations of an image that {root} does not list"
            yield json.dumps({"path": f"image {identifier}", "reason": reason})

    def load(self, piece: str) -> Iterator[Record | DeadLetter]:
        found = json.loads(piece)
        try:
            if "reason" in found:
                raise ImageError(found["reason"])
            features = self._features(found)
        except ImageError as error:
            yield DeadLetter(found["path"], str(error))
            return
        yield Record(found["path"], features)

    def _features(self, found: Mapping[str, Any]) -> dict[str, Any]:
        image = files.content(self._base, found["path"])
        size = images.size(image)
        if any(said not in (None, is_) for said, is_ in zip(found["size"], size, strict=True)):
            raise ImageError(
                f"annotated as {found['size'][0]} x {found['size'][1]} pixels, "
                f"and it has {size[0]} x {size[1]}"
            )
        files.check_pixels([_corner(each[0]) for each in found["objects"]], *size)
        objects = found["objects"]
        boxes, labels, crowds, areas, outlines = (
            [each[part] for each in objects] for part in range(_PARTS)
        )
        features = {
            "image/encoded": image,
            "objects/bbox": [number for box in boxes for number in _sides(box, *size)],
            "objects/label": labels,
            "objects/label/text": [self.labels[label] for label in labels],
            "objects/crowd": crowds,
        }
        # Of an image all objects have one, or none is given: it would be of another object.
        if None not in areas:
            features["objects/area"] = areas
        if all(outlines):
            features["objects/mask"] = [masks.mask(each, size) for each in outlines]
        return features


def _object(annotation: CocoAnnotation, numbers: Mapping[int | str, int]) -> list[Any]:
    """Box, class, whether it is a crowd, area and outline."""
    category = annotation.category_id
    if category not in numbers:
        raise ImageError(f"unknown category {schemas.shown(category)}")
    crowd = int(bool(annotation.iscrowd))
    return [annotation.bbox, numbers[category], crowd, annotation.area, annotation.segmentation]


def _corner(box: Sequence[float]) -> tuple[float, float]:
    """The right lower one."""
    x, y, wide, high = box
    return x + wide, y + high


def _sides(box: Sequence[float], width: int, height: int) -> list[float]:
    """COCO's x, y, width, height in pixels to ymin, xmin, ymax, xmax in 0..1."""
    x, y, wide, high = box
    return [y / height, x / width, (y + high) / height, (x + wide) / width]


def _id(found: Any, key: str) -> int | str | None:
    """None where it cannot be told."""
    with contextlib.suppress(ValueError):
        return schemas.coco_id(found.get(key)) if isinstance(found, dict) else None
    return None


def _path(folder: str, found: Any, root: str) -> str:
    """What names an image whose entry is wrong."""
    name = found.get("file_name") if isinstance(found, dict) else None
    if isinstance(name, str) and name:
        return os.path.join(folder, name)
    identifier = _id(found, "id")
    return root if identifier is None else f"image {identifier}"


def _reason(error: ImageError | ValidationError) -> str:
    return schemas.fault(error) if isinstance(error, ValidationError) else str(error)


def _image_folder(base: str, root: str) -> str:
    """Where the images of an annotation file are: BASE/images/train2017, BASE/train2017, ..."""
    name = os.path.splitext(os.path.basename(root))[0].rpartition("_")[2]
    for above, wanted in (("", name), ("images", name), ("", "images")):
        folder = os.path.join(base, above)
        found = sorted(folder_names(folder)) if os.path.isdir(folder) else []
        same = [each for each in found if each.lower() == wanted.lower()]
        if same:
            return os.path.join(above, wanted if wanted in same else same[0])
    return ""


def _read(base: str, root: str) -> CocoFile:
    path = os.path.join(base, root)
    try:
        return CocoFile.model_validate(schemas.json_file(path))
    except ValidationError as error:
        text = schemas.fault(error)
        raise SourceError(f"{path}: no annotations as COCO has them: {text}") from error


def _names(path: str, categories: Sequence[CocoCategory]) -> dict[int | str, str]:
    """The classes' names by their ids, in the order of these."""
    names = {each.id: each.name for each in categories}
    if len(names) < len(categories):
        raise SourceError(f"{path}: two categories have one id")
    number = Counter(names.values())
    if double := [name for name in number if number[name] > 1]:
        ids = ", ".join(repr(each) for each, name in names.items() if name == double[0])
        raise SourceError(f"{path}: the categories {ids} are all called {double[0]!r}")
    if len({type(each) for each in names}) > 1:
        raise SourceError(f"{path}: the ids of the categories are numbers and texts, mixed")
    return {each: names[each] for each in sorted(names)}
