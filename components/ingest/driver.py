"""The driver of ImageExampleGen: which span is read, and what its data are known by."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf import json_format, struct_pb2
from tfx.components.example_gen import driver
from tfx.components.example_gen.utils import (
    FINGERPRINT_PROPERTY_NAME,
    SPAN_PROPERTY_NAME,
    VERSION_PROPERTY_NAME,
)
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2
from tfx.types.standard_component_specs import INPUT_BASE_KEY, INPUT_CONFIG_KEY

from components.ingest import identity, spans
from components.ingest.contract import Encoding
from components.ingest.sources import Source


class Driver(driver.FileBasedDriver):
    """Looks at the files as this package does.

    TFX's own knows data by the number of the files, their bytes and the sum of their times: files
    that have exchanged their names, or their classes, are the same to it. And it reads folders
    with `[`, `*` or `?` in their names as patterns.
    """

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo | None,
        component_info: data_types.ComponentInfo | None,
    ) -> dict[str, Any]:
        """See the base class."""
        exec_properties.update(decided(exec_properties))
        return exec_properties


def decided(properties: Mapping[str, Any], span: int | None = None) -> dict[str, Any]:
    """The execution properties that follow from the files that are there.

    Args:
      properties: of ImageExampleGen, as the component has them.
      span: which one, where the source names none; else the newest.

    Returns:
      `input_config` with the patterns of the span that is read, `span`, `version` (None where
      there are none) and `input_fingerprint`.

    Raises:
      SpanError: there is no such span.
      OSError: files that cannot be looked at.
    """
    source, _ = settings(properties)
    config = _input_config(properties)
    number, version = 0, None
    if source.pattern:
        wanted = span if source.span is None else source.span
        below = config.splits[0].pattern.removesuffix(source.patterns[0][1])
        chosen = _span(os.path.join(properties[INPUT_BASE_KEY], below), wanted)
        number, version = chosen.number, chosen.version
        below = chosen.folder.removeprefix(properties[INPUT_BASE_KEY]).lstrip("/")
        for split, (_, pattern) in zip(config.splits, source.patterns, strict=True):
            split.pattern = os.path.join(below, pattern)
        source = replace(source, base=chosen.folder)
    known = identity.of_source(source)
    return {
        INPUT_CONFIG_KEY: json_format.MessageToJson(config, sort_keys=True),
        SPAN_PROPERTY_NAME: number,
        VERSION_PROPERTY_NAME: version,
        FINGERPRINT_PROPERTY_NAME: (
            f"num_files:{known.files},total_bytes:{known.size},sha256:{known.sha256}"
        ),
    }


def _span(pattern: str, number: int | None) -> spans.Span:
    """The span of a number, or the newest."""
    found = {each.number: each for each in spans.find(pattern)}
    if number is None:
        return found[max(found)]
    if number not in found:
        raise spans.SpanError(f"{pattern}: span {number} is gone")
    return found[number]


def settings(properties: Mapping[str, Any]) -> tuple[Source, Encoding]:
    """The source, in the span that the properties name, and how images are stored."""
    config = json_format.Parse(properties["custom_config"], example_gen_pb2.CustomConfig())
    kept = struct_pb2.Struct()
    config.custom_config.Unpack(kept)
    values = json.loads(kept["source"])
    values["patterns"] = tuple(tuple(pair) for pair in values["patterns"])
    values["base"] = properties[INPUT_BASE_KEY]
    if values["pattern"]:
        # The driver has filled in which span and version it is.
        first = _input_config(properties).splits[0].pattern
        folder = first.removesuffix(values["patterns"][0][1])
        values["base"] = os.path.join(values["base"], folder.rstrip("/"))
    return Source(**values), Encoding(**json.loads(kept["encoding"]))


def _input_config(properties: Mapping[str, Any]) -> example_gen_pb2.Input:
    return json_format.Parse(properties[INPUT_CONFIG_KEY], example_gen_pb2.Input())
