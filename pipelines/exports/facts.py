"""What a user has to know of an export: what goes in, how it is prepared, and what comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.preprocess.transform import stored_size
from pipelines.exports import Format, keras_file, places, weights
from pipelines.exports.original import Original

_FITS = {
    "pad": "shrink it, keeping its shape, where it is larger than {size}; centre it on black to "
    "{size}",
    "stretch": "resize it to {size}, whatever its shape",
    "crop": "resize it, keeping its shape, so that it just covers {size}; take the central {size}",
}


def needs(kind: Format, export: Path) -> tuple[str, ...]:
    """The modules that have to be imported before Keras reads an export."""
    return tuple(keras_file.needs(export)) if kind.name == "keras" else ()


def write(
    original: Original, kind: Format, precision: str, export: Path, needed: tuple[str, ...]
) -> None:
    """Writes the JSON file of an export, and what is subtracted where that is large."""
    described = {
        "format": kind.name,
        "precision": precision,
        "recipe": original.trained.name,
        "run": original.trained.run_id,
        "task": original.task.name,
        **_inside(original, kind),
        "input": _input(original, kind),
        "steps": _steps(original, kind),
        "preprocess": {**original.preprocess, "ingest": original.ingest},
    }
    if kind.takes == "normalized":
        described["normalize"] = _normalization(original, export)
        described["output"] = "the network's own numbers, before the task makes answers of them"
    else:
        described["output"] = _outputs(original, kind)
    if original.names:
        described["classes"] = original.names
    if kind.name == "keras":
        described["import_before_loading"] = list(needed)
    text = json.dumps(described, indent=1, ensure_ascii=False)
    places.facts(kind, export).write_text(text + "\n", encoding="utf-8")


def _inside(original: Original, kind: Format) -> Mapping[str, Any]:
    return {"network": weights.construction(original)} if kind.name == "weights" else {}


def _input(original: Original, kind: Format) -> Mapping[str, Any]:
    if kind.takes == "files":
        what = "bytes of PNG or JPEG files, or serialised tf.Examples with image/encoded"
        return {"name": "examples", "dtype": "string", "shape": [None], "values": what}
    value = {"pixels": "pixels, 0..255", "normalized": "normalised pixels"}[kind.takes]
    shape = [_batch(kind), *original.shape]
    return {"name": "image", "dtype": "float32", "shape": shape, "values": value}


def _outputs(original: Original, kind: Format) -> list[Mapping[str, Any]]:
    """The outputs as the task describes them; texts are in the SavedModel alone."""
    found = []
    for each in original.task.outputs:
        if each.name in original.task.measured or kind.takes == "files":
            shape = original.predict.structured_outputs[each.name].shape.as_list()
            shape[0] = _batch(kind)
            # Of the pixels that go in, no picture is known.
            own = each.is_place and kind.takes != "files"
            values = {"values": f"{each.unit}; the picture is the input" if own else each.unit}
            found.append({"name": each.name, "dtype": each.dtype, "shape": shape, **values})
    return found


def _batch(kind: Format) -> int | None:
    return 1 if kind.name == "tflite" else None


def _steps(original: Original, kind: Format) -> list[str]:
    """What is done to a file, in words."""
    if kind.takes == "files":
        return ["none: all is done inside"]
    settings = original.preprocess
    stored = "{} x {} pixels".format(*stored_size(settings))
    seen = "{} x {} pixels".format(*settings["size"])
    steps = ["decode the file; turn it upright by its EXIF orientation; lay transparency on white"]
    if original.ingest["shorter_side"] is not None:
        steps.append(f"resize it so that its shorter side has {original.ingest['shorter_side']}")
    steps.append("make it {}".format({1: "grey", 3: "RGB"}[settings["channels"]]))
    steps.append(f"{_FITS[settings['fit']].format(size=stored)} (height x width)")
    steps.append("round to whole numbers, 0 to 255")
    if stored != seen:
        steps.append(f"take the central {seen}")
    if kind.takes == "normalized":
        low, high = settings["range"]
        steps.append(f"(pixels - mean) * ({high:g} - {low:g}) / 255 + {low:g}")
    return steps


def _normalization(original: Original, export: Path) -> Mapping[str, Any]:
    """What is subtracted from pixels and where 0 and 255 go; a mean of each pixel is a file."""
    each = original.mean.reshape(-1, original.shape[-1])
    if np.all(each == each[0]):
        return {"mean": [float(value) for value in each[0]], "range": original.preprocess["range"]}
    np.save(places.mean(export), original.mean)
    return {"mean": places.mean(export).name, "range": original.preprocess["range"]}
