"""The Beam job of ImageExampleGen."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from absl import logging
from tfx import types
from tfx.components.example_gen import write_split
from tfx.components.example_gen.utils import (
    FINGERPRINT_PROPERTY_NAME,
    SPAN_PROPERTY_NAME,
    VERSION_PROPERTY_NAME,
)
from tfx.components.util import examples_utils
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components import progress
from components.examples import dead_letters
from components.ingest import engine, readers
from components.ingest.driver import settings
from components.ingest.sources import SPLITS, SourceError

# More unusable inputs than this share stop the run: something other than a few bad files is wrong.
MAX_DEAD_SHARE = 0.05
_NAMED_DEAD_LETTERS = 20
_DIRECT = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_FORKING = "--runner=components.ingest.forking_runner.ForkingRunner"
# What one process takes, as benchmarks/ingestion.py has it for thumbnails and JPEG decoders need
# for photographs. A worker takes some seconds to start, and next to none where it is forked.
_SECONDS_A_FILE, _SECONDS_A_BYTE = 3e-4, 3e-8
# Thousands of thumbnails to a file, and perhaps not compressed; of rooms a byte is a pixel.
_SECONDS_A_BYTE_OF = {"idx": 4e-7, "rooms": 2e-6}
_WORTH_SECONDS, _WORTH_SECONDS_FORKED = 12.0, 3.0


class Executor(BaseBeamExecutor):
    """Reads a source to examples, keeps the dead letters, and counts both."""

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
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(output_dict["examples"])
        source, encoding = settings(exec_properties)
        reader = readers.reader(source)
        _write_lines(os.path.join(artifact.uri, "labels.txt"), reader.labels)
        shard_records = readers.SHARD_RECORDS.get(source.kind, engine.SHARD_RECORDS)
        fingerprint = exec_properties.get(FINGERPRINT_PROPERTY_NAME, "")
        self._beam_pipeline_args += direct_arguments(
            self._beam_pipeline_args, fingerprint, source.kind
        )
        with self._make_beam_pipeline() as pipeline:
            shards = [
                pipeline
                | f"Ingest[{split}]"
                >> engine.Ingest(reader, split, encoding, artifact.uri, shard_records)
                for split, _ in source.patterns
            ]
            if len(shards) > 1:
                # Dask's runner computes what leads to the last transform, and nothing else.
                _ = shards | beam.Flatten()
        fileio.rmtree(os.path.join(artifact.uri, engine.UNFINISHED))
        counts = engine.total_counts(artifact.uri)
        for name, count in sorted(counts.items()):
            logging.info("ingested: %s: %d", name, count)
        text = f"{counts['read']:,} read, {counts['dead_letters']:,} of them dead letters"
        progress.report(engine.STAGE, counts["read"], counts["read"], text)
        _check(counts, artifact.uri)
        _describe(artifact, counts, exec_properties)


def direct_arguments(beam_arguments: Sequence[str], fingerprint: str, kind: str) -> list[str]:
    """Arguments for the direct runner to use all cores, where that pays.

    Args:
      beam_arguments: so far; whoever names a number of workers in them has decided.
      fingerprint: what the driver says of the files, their number and bytes among it.
      kind: of source, a key of `readers.READERS`.
    """
    names = {argument.partition("=")[0] for argument in beam_arguments}
    # The pipeline's come first, then the component's; the last one counts.
    runners = [argument for argument in beam_arguments if argument.startswith("--runner=")]
    if runners[-1:] != [_DIRECT]:
        return []
    forks = kind not in readers.USE_TENSORFLOW
    runner = [_FORKING] if forks else []
    if "--direct_num_workers" in names:
        return runner
    files, size = (
        sum(map(int, re.findall(rf"{key}:(\d+)", fingerprint)))
        for key in ("num_files", "total_bytes")
    )
    cores = len(os.sched_getaffinity(0))
    worth = _WORTH_SECONDS_FORKED if forks else _WORTH_SECONDS
    seconds_a_byte = _SECONDS_A_BYTE_OF.get(kind, _SECONDS_A_BYTE)
    if cores < 2 or files * _SECONDS_A_FILE + size * seconds_a_byte < worth:
        return runner
    more = ["--direct_running_mode=multi_processing", f"--direct_num_workers={cores}"]
    return runner + more


def _describe(
    artifact: types.Artifact, counts: Mapping[str, int], exec_properties: Mapping[str, Any]
) -> None:
    """Tells those that read the artifact what TFX' own ExampleGens tell them, and the counts."""
    artifact.split_names = artifact_utils.encode_split_names(list(SPLITS))
    examples_utils.set_payload_format(artifact, exec_properties["output_data_format"])
    file_format = write_split.to_file_format_str(exec_properties["output_file_format"])
    examples_utils.set_file_format(artifact, file_format)
    # On Kubeflow no driver has told the artifact which span it is; without one there are none.
    for name in (SPAN_PROPERTY_NAME, VERSION_PROPERTY_NAME):
        number = exec_properties.get(name)
        if number is not None and number >= 0:
            artifact.set_int_custom_property(name, number)
    artifact.set_int_custom_property("dead_letters", counts["dead_letters"])
    for split in SPLITS:
        artifact.set_int_custom_property(f"{split}_examples", counts[split])


def _write_lines(path: str, lines: list[str]) -> None:
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path, "w") as file:
        file.write("".join(f"{line}\n" for line in lines))


def _check(counts: Mapping[str, int], uri: str) -> None:
    dead, total = counts["dead_letters"], counts["read"]
    if dead > MAX_DEAD_SHARE * total:
        letters = list(itertools.islice(dead_letters(uri), _NAMED_DEAD_LETTERS))
        named = [f"  {letter['id']}: {letter['reason']}" for letter in letters]
        if more := dead - sum(letter["count"] for letter in letters):
            named.append(f"  and {more} more")
        raise SourceError(
            f"{dead} of {total} images cannot be used, more than "
            f"{MAX_DEAD_SHARE:.0%}:\n" + "\n".join(named)
        )
    for split in SPLITS:
        if not counts[split]:
            raise SourceError(
                f"the {split} split has no images ({total} in all): add images, so that the "
                "split by content leaves some on both sides"
            )
