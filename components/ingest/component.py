"""ImageExampleGen: the ExampleGen of this package."""

from __future__ import annotations

import dataclasses
import json
import os

from google.protobuf import json_format, struct_pb2
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2, range_config_pb2

from components.ingest import spans
from components.ingest.contract import Encoding
from components.ingest.driver import Driver
from components.ingest.executor import Executor
from components.ingest.sources import SPLITS, Source

_AS_FOUND = Encoding()


class ImageExampleGen(FileBasedExampleGen):
    """Reads images of any supported source on Beam and writes them as tf.Examples.

    Inputs: none. Output `examples`: splits `train` and `test` of gzipped TFRecords (the features
    are those of `components.ingest.contract`), with `labels.txt`, `facts/`, `dead_letters/` and
    `counts/` beside them (`components.ingest.engine`). The run stops if more than 5 % of the
    input cannot be used.

    Unchanged files (`components.ingest.identity`) come from the cache. Of a span the newest version
    is taken; both numbers are properties of the artifact.
    """

    DRIVER_CLASS = Driver
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, source: Source, encoding: Encoding = _AS_FOUND):
        """Makes the component.

        Args:
          source: a prepared source (`components.ingest.sources`).
          encoding: how images are stored.
        """
        base, below = spans.divided(source.pattern) if source.pattern else (source.base, "")
        splits = [
            example_gen_pb2.Input.Split(name=name, pattern=os.path.join(below, pattern))
            for name, pattern in source.patterns
        ]
        settings = {
            name: json.dumps(dataclasses.asdict(value), sort_keys=True)
            for name, value in (("source", source), ("encoding", encoding))
        }
        custom_config = example_gen_pb2.CustomConfig()
        custom_config.custom_config.Pack(json_format.ParseDict(settings, struct_pb2.Struct()))
        super().__init__(
            input_base=base,
            input_config=example_gen_pb2.Input(splits=splits),
            output_config=_output_config(source),
            custom_config=custom_config,
            range_config=_range_config(source),
        )


def _range_config(source: Source) -> range_config_pb2.RangeConfig | None:
    """The one span; without it, TFX takes the newest."""
    if source.span is None:
        return None
    only = range_config_pb2.StaticRange(start_span_number=source.span, end_span_number=source.span)
    return range_config_pb2.RangeConfig(static_range=only)


def _output_config(source: Source) -> example_gen_pb2.Output:
    """The names of the splits; where one input is split, engine.split_of decides."""
    if len(source.patterns) > 1:
        return example_gen_pb2.Output()
    split_config = example_gen_pb2.SplitConfig
    splits = [split_config.Split(name=name, hash_buckets=1) for name in SPLITS]
    return example_gen_pb2.Output(split_config=split_config(splits=splits))
