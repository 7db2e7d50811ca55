"""COCO's folders: one JSON file of annotations a split, and the images."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.ingest import images
from components.ingest.contract import DeadLetter, Record
from components.ingest.images import ImageError
from components.ingest.layouts import SourceError, coco_files
from components.ingest.readers import files
from components.ingest.sources import Source


class CocoReader:
    """Reads BASE/annotations/*.json and the images that it names.

    A piece is an image with its annotations, or what is wrong with one, as JSON: so no worker that
    loads has to read the whole file of annotations. Class numbers are those of the categories in
    the order of their ids, which leave gaps. An image without annotations is an example without
    objects, as COCO's protocol counts it.
    """

    piece_records = 1

    def __init__(self, source: Source) -> None:
        self._base = source.base
        self._files = coco_files(Path(source.base))
        # Of the training file alone: one of COCO's takes a process ten seconds and some gigabytes.
        categories = _read(source.base, next(iter(self._files.values())))["categories"]
        names = {each["id"]: each["name"] for each in categories}
        self.labels = [names[each] for each in sorted(names)]
        self._numbers = {each: number for number, each in enumerate(sorted(names))}

    def roots(self, split: str) -> list[str]:
        return [self._files[split]]

    def pieces(self, root: str) -> Iterator[str]:
        found = _read(self._base, root)
        by_image = defaultdict(list)
        for annotation in found["annotations"]:
            category = self._numbers.get(annotation.get("category_id"))
            by_image[annotation.get("image_id")].append(
                [annotation.get("bbox"), category, int(bool(annotation.get("iscrowd")))]
            )
        folder = _image_folder(self._base, root)
        for image in found["images"]:
            objects = by_image.pop(image.get("id"), [])
            path = os.path.join(folder, image.get("file_name", ""))
            size = [image.get("width"), image.get("height")]
            yield json.dumps({"path": path, "size": size, "objects": objects})
        for identifier, objects in by_image.items():
            count = f"{len(objects)} annotations of an image that {root} does not list"
            yield json.dumps({"path": f"image {identifier}", "reason": count})

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
        width, height = images.opened(image).size
        if found["size"] not in ([width, height], [None, None]):
            raise ImageError(
                f"annotated as {found['size'][0]} x {found['size'][1]} pixels, "
                f"and it has {width} x {height}"
            )
        boxes = [_box(number, box, width, height) for number, (box, *_) in _objects(found)]
        labels = [label for _, (_, label, _) in _objects(found)]
        if None in labels:
            raise ImageError(f"annotation {labels.index(None)} has an unknown category")
        return {
            "image/encoded": image,
            "objects/bbox": [number for box in boxes for number in box],
            "objects/label": labels,
            "objects/label/text": [self.labels[label] for label in labels],
            "objects/difficult": [crowd for _, (_, _, crowd) in _objects(found)],
        }


def _objects(found: Mapping[str, Any]) -> Iterator[tuple[int, list[Any]]]:
    return enumerate(found["objects"])


def _box(number: int, box: Any, width: int, height: int) -> list[float]:
    """COCO's x, y, width, height in pixels to ymin, xmin, ymax, xmax in 0..1."""
    if not isinstance(box, list) or len(box) != 4:
        raise ImageError(f"annotation {number} has no bbox of four numbers")
    x, y, wide, high = box
    return [y / height, x / width, (y + high) / height, (x + wide) / width]


def _image_folder(base: str, root: str) -> str:
    """Where the images of an annotation file are: BASE/images/train2017, BASE/train2017, ..."""
    name = os.path.splitext(os.path.basename(root))[0].rpartition("_")[2]
    choices = [name, os.path.join("images", name), "images", ""]
    return next(each for each in choices if os.path.isdir(os.path.join(base, each)))


def _read(base: str, root: str) -> Mapping[str, Any]:
    path = os.path.join(base, root)
    with open(path, "rb") as file:
        try:
            found = json.load(file)
        except ValueError as error:
            raise SourceError(f"{path}: no JSON: {error}") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(found, dict) or key not in found:
            raise SourceError(f"{path}: no annotations as COCO has them: no {key}")
    return found
