"""What data are called in the name of the model that is trained on them. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import unicodedata

from components.ingest import generated, sources, spans
from components.ingest.sources import SourceError
from components.judge.results import data_name

# Kubeflow takes a pipeline's name of these letters alone, and TensorFlow Serving's paths end a
# model's name at `:` and `/`.
_OTHERS = re.compile(r"[^a-z0-9]+")
_MOST = 40  # letters of what data are called


def origin(dataset: str) -> str:
    """Where data come from, the same for each of their spans and versions.

    Args:
      dataset: as `--data` takes it.

    Returns:
      A name (that of a generated or a TFDS data set), a URI, or an absolute path, in which links
      are left as they are: a link that is moved to newer data goes on to name the same. Of data in
      spans it is the folder above the first part with a name in braces.
    """
    if generated.is_named(dataset):
        return generated.kind(dataset)
    if sources.is_name(dataset):
        return data_name(dataset)
    if "://" not in dataset:
        dataset = os.path.abspath(os.path.expanduser(dataset))
    if spans.is_pattern(dataset):
        dataset = re.split(r"/[^/]*\{", dataset, maxsplit=1)[0]
    return dataset.rstrip("/") or "/"


def label(place: str) -> str:
    """What an `origin` is called in a name: its last part, in small letters, digits and hyphens.

    Of a last part without any of these, such as one in another script, it is a hash.
    """
    last = place.rpartition("/")[2] if place.startswith("/") or "://" in place else place
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode().lower()
    found = _OTHERS.sub("-", plain).strip("-")[:_MOST].strip("-")
    return found or f"data-{hashlib.sha256(last.encode('utf-8', 'replace')).hexdigest()[:8]}"


def same(dataset: str, other: str) -> bool:
    """Whether two `dataset`s name the same data, whoever has them: `tfds:mnist` and `mnist`.

    Generated sets are the same with the same values, whether these are named or the defaults.
    """
    if generated.is_named(dataset) and generated.is_named(other):
        # What has wrong values is refused when it is read.
        with contextlib.suppress(SourceError):
            return generated.parse(dataset) == generated.parse(other)
        return False
    return data_name(dataset) == data_name(other) or same_place(origin(dataset), origin(other))


def same_place(place: str, other: str) -> bool:
    """Whether two `origin`s are one, by whatever links."""
    return place == other or (
        place.startswith("/") and os.path.realpath(place) == os.path.realpath(other)
    )
