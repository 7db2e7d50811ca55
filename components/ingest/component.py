"""ImageExampleGen: the ExampleGen of this package."""

from __future__ import annotations

import dataclasses
import json

from google.protobuf import json_format, struct_pb2
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.proto import example_gen_pb2

from components.ingest.executor import Executor
from components.ingest.sources import Source

# Unsplit data: four fifths to train, one fifth to test, told apart by the hash of the file's
# content, so that equal files never lie on both sides and more data moves no image across.
_TRAIN_BUCKETS, _TEST_BUCKETS = 4, 1


class ImageExampleGen(FileBasedExampleGen):
    """Reads images of any supported source on Beam and writes them as tf.Examples.

    Inputs: none. Output `examples`: splits `train` and `test` of gzipped TFRecords (image/encoded,
    image/height, image/width, image/sha256, image/id, label, label/text), with `labels.txt`,
    `dead_letters/` and `counts/` beside them. The run stops if more than 5 % of the input
    cannot be used.

    The driver is that of TFX's file based ExampleGens: unchanged files come from the cache.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, source: Source):
        """Makes the component.

        Args:
          source: a prepared source (`components.ingest.sources`).
        """
        splits = [
            example_gen_pb2.Input.Split(name=name, pattern=pattern)
            for name, pattern in source.patterns
        ]
        settings = json.dumps(dataclasses.asdict(source), sort_keys=True)
        custom_config = example_gen_pb2.CustomConfig()
        custom_config.custom_config.Pack(
            json_format.ParseDict({"source": settings}, struct_pb2.Struct())
        )
        super().__init__(
            input_base=source.base,
            input_config=example_gen_pb2.Input(splits=splits),
            output_config=_output_config(source),
            custom_config=custom_config,
        )


def _output_config(source: Source) -> example_gen_pb2.Output:
    if len(source.patterns) > 1:
        return example_gen_pb2.Output()
    split_config = example_gen_pb2.SplitConfig
    return example_gen_pb2.Output(
        split_config=split_config(
            splits=[
                split_config.Split(name="train", hash_buckets=_TRAIN_BUCKETS),
                split_config.Split(name="test", hash_buckets=_TEST_BUCKETS),
            ],
            partition_feature_name="image/sha256",
        )
    )
