"""What annotations and descriptions have to look like, as pydantic models, and what is wrong else.

A record that is wrong is a dead letter, a file that is wrong as a whole one sentence: `fault` makes
either out of what pydantic finds first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from components.ingest import regular_files
from components.ingest.regular_files import SourceError

# Bytes: the annotations of the largest public sets have two thousand million.
_MOST_JSON = 1 << 33
_MOST_SHOWN = 80  # characters of a value


def json_file(path: Path | str) -> Any:
    """What a JSON file holds.

    Raises:
      SourceError: it is no regular file, or no JSON; it is named.
    """
    try:
        return json.loads(regular_files.read(path, _MOST_JSON))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise SourceError(f"{path}: no JSON that can be read: too many brackets in one") from error
    except ValueError as error:
        raise SourceError(f"{path}: no JSON: {error}") from error


def fault(error: ValidationError) -> str:
    """The first thing that is wrong: where, what, and the value."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    value = shown(first["input"])
    if first["type"] == "missing":
        return f"no {where}"
    text = first["msg"].removeprefix("Value error, ")
    return f"{where}: {text}, not {value}" if where else f"{text}, not {value}"


def shown(value: Any) -> str:
    """A value of a file as a message has it: of a long one, the beginning."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # Too deep; a number of too many digits.
        text = f"a {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def distinct(names: Sequence[str]) -> Sequence[str]:
    """Names of classes, checked.

    Raises:
      ValueError: one is empty, or occurs twice.
    """
    seen = set()
    for name in names:
        if not name.strip():
            raise ValueError("a name is empty")
        if name in seen:
            raise ValueError(f"{name!r} occurs twice")
        seen.add(name)
    return names


# COCO. Ids are numbers as a rule, and texts in the files of some tools.


def coco_id(value: Any) -> int | str:
    """An id as it is compared with others.

    Raises:
      ValueError: it is neither a whole number nor a text.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("Input should be a whole number or a text")
    return value


_Id = Annotated[Any, AfterValidator(coco_id)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Name = Annotated[str, Field(strict=True, min_length=1)]


class CocoCategory(BaseModel):
    """A class."""

    id: _Id
    name: _Name


class CocoImage(BaseModel):
    """An image; its size may be left out."""

    id: _Id
    file_name: _Name
    width: int | None = None
    height: int | None = None


class CocoAnnotation(BaseModel):
    """An object: x, y, width and height in pixels; polygons, or run lengths; pixels."""

    image_id: _Id
    category_id: _Id
    bbox: Annotated[list[_Number], Field(min_length=4, max_length=4)]
    iscrowd: bool | None = None
    segmentation: list[list[_Number]] | dict[str, Any] | None = None
    area: _Number | None = None


class CocoFile(BaseModel):
    """A file as a whole; what the two long lists hold is checked one by one."""

    images: list[Any]
    annotations: list[Any]
    categories: Annotated[list[CocoCategory], Field(min_length=1)]


# VOC, whose numbers are texts.


class VocSize(BaseModel):
    """Of the image that the annotation is of; 0 and 0 where nobody has written it down."""

    width: FiniteFloat
    height: FiniteFloat


class VocObject(BaseModel):
    """An object; pixels are counted from 1, and both ends belong to the box."""

    name: _Name
    xmin: FiniteFloat
    ymin: FiniteFloat
    xmax: FiniteFloat
    ymax: FiniteFloat


# dataset.json.


_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class CameraDescription(BaseModel):
    """Of `components.ingest.normals.Camera`, in pixels."""

    model_config = ConfigDict(strict=True, extra="forbid")

    size: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=2, max_length=2)]
    focal: Annotated[list[_Positive], Field(min_length=2, max_length=2)]
    centre: Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]


class TfrecordDescription(BaseModel):
    """Of TFRecord files."""

    model_config = ConfigDict(strict=True)

    task: str = "classification"
    files: dict[str, _Name] = {"all": "*.tfrecord*"}
    features: dict[str, str | list[str]] = {}
    labels: Annotated[list[str], AfterValidator(distinct)] = []
    camera: CameraDescription | None = None


class VideoDescription(BaseModel):
    """Of videos: how many frames are taken of each."""

    model_config = ConfigDict(strict=True)

    # About what the networks on video look at, of clips of some seconds.
    frames_per_second: Annotated[float, Field(gt=0, le=1000)] = 5.0
    max_frames: Annotated[int, Field(gt=0, le=100_000)] = 64


class BoxesDescription(BaseModel):
    """Of a table of boxes: in what its numbers are."""

    model_config = ConfigDict(strict=True)

    boxes: Literal["pixels", "fractions"] = "pixels"


def chosen(value: Any) -> list[str] | float:
    """Those who are for the test, by their names or as a share of all.

    Raises:
      ValueError: it is neither.
    """
    if isinstance(value, float) and 0 < value < 1:
        return value
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return [*distinct(value)]
    raise ValueError("Input should be a list of names, or a share above 0 and below 1")


class People(BaseModel):
    """Of a folder of people: who is for the test, and how many pairs are made.

    Attributes:
      test: the names of the people of the test, or the share of all people who are drawn for it.
      paired: likewise of the others: of whose pictures the pairs of the training are made, while
        identification leaves them out. None: all others are for both.
      seed: of all that is drawn.
      train_pairs, test_pairs: how many pairs of one person at most, and as many of two. Those of
        the test are by default as many as Labeled Faces in the Wild has.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    test: Annotated[Any, AfterValidator(chosen)] = 0.25
    paired: Annotated[Any, AfterValidator(chosen)] = None
    seed: Annotated[int, Field(ge=0)] = 0
    train_pairs: Annotated[int, Field(gt=0)] = 5000
    test_pairs: Annotated[int, Field(gt=0)] = 3000


class PeopleDescription(BaseModel):
    """Of a folder of people."""

    model_config = ConfigDict(strict=True)

    people: People


DESCRIPTIONS: dict[str, type[BaseModel]] = {
    "boxes": BoxesDescription,
    "people": PeopleDescription,
    "tfrecord": TfrecordDescription,
    "video": VideoDescription,
}
