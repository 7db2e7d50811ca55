"""Judges data and keeps the verdict beside the anomalies that TFX finds."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components import examples, progress, served
from components.globs import escape
from components.ingest.spans import is_pattern
from components.settings import keeps_both
from components.validate import facts, history, verdict
from components.validate.checks import Problem
from components.validate.verdict import UnfitData, Verdict

STAGE = "ExampleValidator"
_SPAN = "span"


class Executor(executor.Executor):
    """Executor of `components.validate.component.DataValidator`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the anomalies as TFX's ExampleValidator does, and the verdict.

        Args:
          input_dict: `statistics` and `schema`, one artifact each; `examples`, one a span; and
            `previous`, the verdict on the data before, where there is one.
          output_dict: `anomalies`, and `verdict`, see `components.artifacts.DataVerdict`.
          exec_properties: `data_checks`, the limits as JSON; `dataset`; `served`, the folder of the
            served versions; and `history`, a folder of verdicts, where there is no `previous`.

        Raises:
          UnfitData: the data must not be trained on.
        """
        super().Do(input_dict, output_dict, exec_properties)
        spans = newest_first(input_dict["examples"])
        names = _labels(spans)
        progress.report(STAGE, 1, 3, "comparing splits and the data before")
        newest = facts.read(spans[0].uri)
        before = _previous(input_dict, exec_properties)
        anomalies = artifact_utils.get_single_instance(output_dict["anomalies"])
        found = verdict.judge(
            facts.window(newest, [span.uri for span in spans[1:]]),
            names,
            json.loads(exec_properties["data_checks"]),
            verdict.Training.read(before) if before else None,
            list(_anomalies(anomalies)),
            newest,
        )
        found = dataclasses.replace(
            found,
            spans=_spans(spans, exec_properties["dataset"]),
            problems=[*found.problems, *_of_the_served(names, exec_properties)],
        )
        progress.report(STAGE, 2, 3, "writing the verdict")
        artifact = artifact_utils.get_single_instance(output_dict["verdict"])
        _write(artifact.uri, found)
        artifact.set_string_custom_property("dataset", exec_properties["dataset"])
        artifact.set_int_custom_property("examples_id", spans[0].id)
        found.check()
        if exec_properties.get("history"):
            history.keep(*_place(input_dict, exec_properties), artifact.uri)


def _of_the_served(names: Sequence[str], exec_properties: Mapping[str, Any]) -> list[Problem]:
    """Other classes than those of the model that a training on these data would replace."""
    folder = exec_properties.get("served")
    limits = json.loads(exec_properties["data_checks"])
    if not folder or not names or not (found := served.objection(folder, names, limits)):
        return []
    text, setting = found
    both = keeps_both(os.path.basename(folder))
    return [Problem(f"{text}. {both}; this setting replaces it", setting)]


def newest_first(artifacts: Iterable[types.Artifact]) -> list[types.Artifact]:
    """Examples artifacts, that of the newest span first."""
    return sorted(artifacts, key=lambda each: -each.get_int_custom_property(_SPAN))


def _spans(artifacts: Iterable[types.Artifact], dataset: str) -> list[str]:
    """The spans' numbers and versions; none where the data are not in spans."""
    if not is_pattern(dataset):
        return []
    texts = []
    for each in artifacts:
        version = f" (version {each.get_int_custom_property('version')})"
        text = str(each.get_int_custom_property(_SPAN))
        texts.append(text + version * each.has_custom_property("version"))
    return texts


def _labels(spans: Sequence[types.Artifact]) -> list[str]:
    newest, *others = ([span, examples.label_names(span.uri)] for span in spans)
    for span, names in others:
        if names != newest[1]:
            numbers = [each.get_int_custom_property(_SPAN) for each in (newest[0], span)]
            apart = sorted({*newest[1]} ^ {*names})
            raise UnfitData(
                f"the spans {numbers[0]} and {numbers[1]} have not the same classes: "
                f"{', '.join(apart)} in one of them only. A window needs the same classes in each; "
                "--window 1 takes the newest span alone"
            )
    return newest[1]


def _anomalies(artifact: types.Artifact) -> Iterable[str]:
    """A sentence for each of TFX's anomalies."""
    for split in artifact_utils.decode_split_names(artifact.split_names):
        (path,) = fileio.glob(os.path.join(escape(artifact.uri), f"Split-{split}", "*.pb"))
        with fileio.open(path, "rb") as file:
            found = anomalies_pb2.Anomalies.FromString(file.read())
        for name, info in sorted(found.anomaly_info.items()):
            yield f"{name} of the {split} split: {info.description}"
        if found.HasField("dataset_anomaly_info"):
            yield f"the {split} split: {found.dataset_anomaly_info.description}"


def _place(
    input_dict: Mapping[str, list[types.Artifact]], exec_properties: Mapping[str, Any]
) -> tuple[str, str, str]:
    """Where the history has the verdict: folder, data set and examples."""
    examples = newest_first(input_dict["examples"])[0].uri
    return exec_properties["history"], exec_properties["dataset"], examples


def _previous(
    input_dict: Mapping[str, list[types.Artifact]], exec_properties: Mapping[str, Any]
) -> str | None:
    """Folder of the verdict on the data before, if there is one."""
    if exec_properties.get("history"):
        return history.newest(*_place(input_dict, exec_properties))
    previous = input_dict.get("previous")
    return artifact_utils.get_single_uri(previous) if previous else None


def _write(uri: str, found: Verdict) -> None:
    files = {
        "verdict.json": json.dumps(found.to_json(), indent=1),
        "duplicates.jsonl": _lines(found.duplicates),
        "leaks.jsonl": _lines(found.leaks),
    }
    for name, text in files.items():
        with fileio.open(os.path.join(uri, name), "wb") as file:
            file.write(text.encode("utf-8"))
    with fileio.open(os.path.join(uri, "statistics.pb"), "wb") as file:
        file.write(found.newest.statistics.SerializeToString())


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)
