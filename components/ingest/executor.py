"""The Beam job of ImageExampleGen."""

from __future__ import annotations

import json
import os
from typing import Any

import apache_beam as beam
import tensorflow as tf
from google.protobuf import json_format, struct_pb2
from tfx import types
from tfx.components.example_gen import base_example_gen_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from components.examples import dead_letters
from components.ingest import readers
from components.ingest.sources import SPLITS, Source, SourceError

# More unusable inputs than this share stop the run: something other than a few bad files is wrong.
MAX_DEAD_SHARE = 0.05
_NAMED_DEAD_LETTERS = 20


class Executor(base_example_gen_executor.BaseExampleGenExecutor):
    """Reads a source to examples, keeps the dead letters, and counts both."""

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        return _ReadSource

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        splits = super().GenerateExamplesByBeam(pipeline, exec_properties)
        for name, examples in splits.items():
            _write_count(examples, exec_properties["_uri"], name)
        return splits

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See the base class.

        Raises:
          SourceError: too many dead letters (the first are listed), or a split without examples.
        """
        artifact = artifact_utils.get_single_instance(output_dict["examples"])
        labels = readers.labels_of(_source(exec_properties))
        exec_properties.update(_uri=artifact.uri, _labels=labels)
        _write_lines(os.path.join(artifact.uri, "labels.txt"), labels)
        super().Do(input_dict, output_dict, exec_properties)
        counts = {name: _read_count(artifact.uri, name) for name in SPLITS}
        dead = list(dead_letters(artifact.uri))
        _check(counts, dead)
        artifact.set_int_custom_property("dead_letters", len(dead))
        for name, count in counts.items():
            artifact.set_int_custom_property(f"{name}_examples", count)


@beam.ptransform_fn
def _ReadSource(pipeline: beam.Pipeline, exec_properties: dict[str, Any], pattern: str):
    source = _source(exec_properties)
    # TFX's driver may have filled a span into the pattern, so the split is found by place.
    patterns = [entry.pattern for entry in _input_config(exec_properties).splits]
    split = source.patterns[patterns.index(pattern)][0]
    labels = exec_properties["_labels"]
    examples, dead = readers.read(pipeline, source, split, pattern, labels)
    folder = os.path.join(exec_properties["_uri"], "dead_letters")
    _ = dead | f"WriteDeadLetters[{split}]" >> beam.io.WriteToText(
        os.path.join(folder, split), file_name_suffix=".jsonl", num_shards=1
    )
    return examples


def _input_config(exec_properties: dict[str, Any]) -> example_gen_pb2.Input:
    return json_format.Parse(exec_properties["input_config"], example_gen_pb2.Input())


def _source(exec_properties: dict[str, Any]) -> Source:
    config = json_format.Parse(exec_properties["custom_config"], example_gen_pb2.CustomConfig())
    settings = struct_pb2.Struct()
    config.custom_config.Unpack(settings)
    values = json.loads(settings["source"])
    values["patterns"] = tuple(tuple(pair) for pair in values["patterns"])
    values["base"] = exec_properties["input_base"]
    return Source(**values)


def _write_lines(path: str, lines: list[str]) -> None:
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        file.write("".join(f"{line}\n" for line in lines))


def _write_count(examples: beam.PCollection, uri: str, split: str) -> None:
    _ = (
        examples
        | f"CountSplit[{split}]" >> beam.combiners.Count.Globally()
        | f"WriteCount[{split}]"
        >> beam.io.WriteToText(os.path.join(uri, "counts", split), num_shards=1)
    )


def _read_count(uri: str, split: str) -> int:
    (path,) = tf.io.gfile.glob(os.path.join(uri, "counts", f"{split}-*"))
    with tf.io.gfile.GFile(path) as file:
        return int(file.read())


def _check(counts: dict[str, int], dead: list[dict[str, str]]) -> None:
    total = sum(counts.values()) + len(dead)
    if len(dead) > MAX_DEAD_SHARE * total:
        named = [f"  {letter['id']}: {letter['reason']}" for letter in dead[:_NAMED_DEAD_LETTERS]]
        if len(dead) > _NAMED_DEAD_LETTERS:
            named.append(f"  and {len(dead) - _NAMED_DEAD_LETTERS} more")
        raise SourceError(
            f"{len(dead)} of {total} images cannot be used, more than "
            f"{MAX_DEAD_SHARE:.0%}:\n" + "\n".join(named)
        )
    for name, count in counts.items():
        if not count:
            raise SourceError(
                f"the {name} split has no images ({total} in all): add images, so that the "
                "split by content leaves some on both sides"
            )
