"""Gathers what a run left behind and sets it on one page."""

import datetime
import io
import json
import os
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any

import keras
import numpy as np
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components import examples, model_run, progress, tasks
from components.evaluate.verdict import conclusion
from components.judge import results
from components.report import augmentation, pages, pictures, trials
from components.report.evidence import Evidence

_STAGE = "Report"
# Of a history's entries, those about the images that were held out.
_VALIDATED = "val_"
_DEAD_LETTERS = 10


class Executor(base_executor.BaseExecutor):
    """Executor of `components.report.component.Report`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `index.html`.

        Args:
          input_dict: `examples`, `model_run` and `judgement`, one artifact each, and `probes`,
            `tuner_results` and `transform_graph` where there are some.
          output_dict: `report`; its folder gets `index.html`, which needs no other file.
          exec_properties: `thresholds`, as JSON, where there are `evaluations`, `blessings` and
            `infra_blessing`.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        page = render(
            artifact_utils.get_single_uri(input_dict["examples"]),
            artifact_utils.get_single_uri(input_dict["model_run"]),
            artifact_utils.get_single_uri(input_dict["judgement"]),
            datetime.datetime.now().astimezone(),
            _optional_uri(input_dict.get("probes", [])),
            _optional_uri(input_dict.get("tuner_results", [])),
            transform_uri=_optional_uri(input_dict.get("transform_graph", [])),
            verdict_uri=_optional_uri(input_dict.get("verdict", [])),
            push=_push(input_dict, exec_properties),
        )
        folder = artifact_utils.get_single_uri(output_dict["report"])
        with fileio.open(os.path.join(folder, "index.html"), "wb") as file:
            file.write(page.encode("utf-8"))


def _push(
    input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
) -> dict[str, Any] | None:
    """Whether the model replaces the served one, and why."""
    if not input_dict.get("evaluations"):
        return None
    evaluations = sorted(input_dict["evaluations"], key=_is_of_fixed)
    blessings = [*input_dict["blessings"], *input_dict["infra_blessing"]]
    return conclusion(
        [each.uri for each in evaluations],
        [each.get_int_custom_property("blessed") == 1 for each in blessings],
        artifact_utils.get_single_uri(input_dict["infra_blessing"]),
        tasks.find(
            model_run.recipe(artifact_utils.get_single_uri(input_dict["model_run"]))["task"]
        ),
        json.loads(exec_properties["thresholds"]),
    )


def _is_of_fixed(evaluation: types.Artifact) -> bool:
    return "-fixed/" in evaluation.uri


def _optional_uri(artifacts: list[types.Artifact]) -> str | None:
    return artifact_utils.get_single_uri(artifacts) if artifacts else None


def render(
    examples_uri: str,
    model_run_uri: str,
    judgement_uri: str,
    date: datetime.datetime,
    probes_uri: str | None = None,
    trials_uri: str | None = None,
    transform_uri: str | None = None,
    verdict_uri: str | None = None,
    push: Mapping[str, Any] | None = None,
) -> str:
    """The page about one run.

    Args:
      examples_uri, model_run_uri, judgement_uri: folders of the artifacts.
      date: when the page is made.
      probes_uri: folder of what the Probe found.
      trials_uri: folder of what the Tuner tried.
      transform_uri: folder of Transform's graph, for the contact sheet of the augmentation.
      verdict_uri: folder of the verdict on the data.
      push: whether the model replaces the served one, and the reasons.
    """
    judgement = _read_json(judgement_uri, "judgement.json")
    task = tasks.find(judgement["task"])
    own = task.part("pictures")
    recipe = model_run.recipe(model_run_uri)
    history = model_run.history(model_run_uri)
    probed = _read_json(probes_uri, "probes.json") if probes_uri else None
    evidence = Evidence(judgement, *_read_predictions(judgement_uri), examples_uri, history, probed)

    progress.report(_STAGE, 1, 4, "drawing curves and filters")
    model = model_run.network(model_run_uri)
    kernel = first_kernel(model)
    curves = pictures.curves(history, own.curves(history))
    progress.report(_STAGE, 2, 4, "drawing the augmentation")
    sheet = None
    if transform_uri:
        sheet = augmentation.contact_sheet(examples_uri, transform_uri, recipe)
    progress.report(_STAGE, 3, 4, "drawing answers")
    headline = own.headline(evidence)
    facts = [
        ("Data", ", ".join(filter(None, (recipe["dataset"], headline.data)))),
        ("Size", recipe["size"]),
        ("Seed", str(recipe["seed"])),
        ("Protocol", judgement["protocol"]),
        *own.facts(evidence),
        ("Parameters", f"{model.count_params():,}"),
        ("Training", f"{_epochs(len(history))}, {_duration(history)}"),
        *(("Note", note) for note in model_run.notes(model_run_uri)),
        ("Date", f"{date:%-d %b %Y, %H:%M}"),
    ]
    if line := results.needed_line(judgement):
        facts.append(("Needed", line))
    if verdict_uri:
        facts.append(("Data check", _read_json(verdict_uri, "verdict.json")["line"]))
    tried = _read_json(trials_uri, "trials.json") if trials_uri else None
    page = (
        pages.of_task(task.name)
        .get_template("index.html")
        .render(
            recipe={"summary": "", **recipe},
            recipe_json=json.dumps(recipe, indent=2, ensure_ascii=False),
            headline=headline,
            facts=facts,
            push=push,
            rows=[{**row, "text": results.row_text(row)} for row in judgement["rows"]],
            curves=curves,
            validated=any(key.startswith(_VALIDATED) for epoch in history for key in epoch),
            augmentation=sheet,
            trials=trials.section(tried, task) if tried else None,
            sections=own.sections(evidence),
            filters=None if kernel is None else pictures.filters(kernel),
            dead=_dead_letters(examples_uri),
            files=[
                ("Network", os.path.join(model_run_uri, "model.keras")),
                ("Predictions", os.path.join(judgement_uri, "predictions.npz")),
                ("TensorBoard", os.path.join(model_run_uri, "tensorboard")),
                ("Images", examples_uri),
            ],
        )
    )
    progress.report(_STAGE, 4, 4, "")
    return page


def first_kernel(model: keras.Model) -> np.ndarray | None:
    """The kernel [height, width, channels, filters] of the first convolution, if there is one."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            kernel = first_kernel(layer)
        else:
            kernel = getattr(layer, "kernel", None)
        if kernel is not None and len(kernel.shape) == 4:
            return keras.ops.convert_to_numpy(kernel)
    return None


def _read_json(uri: str, name: str) -> Any:
    with fileio.open(os.path.join(uri, name), "rb") as file:
        return json.loads(file.read())


def _read_predictions(uri: str) -> tuple[np.ndarray, list[str], dict[str, np.ndarray]]:
    """The metrics' rows, the ids of the images whose answers are kept, and these by output."""
    with fileio.open(os.path.join(uri, "predictions.npz"), "rb") as file:
        predictions = dict(np.load(io.BytesIO(file.read())))
    rows, ids = predictions.pop("rows"), predictions.pop("id")
    return rows, [str(each) for each in ids], predictions


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{number} epochs"


def _duration(history: Sequence[dict[str, float]]) -> str:
    seconds = round(sum(epoch.get("seconds", 0.0) for epoch in history))
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def _dead_letters(uri: str) -> dict[str, Any]:
    letters = examples.dead_letters(uri)
    first = list(islice(letters, _DEAD_LETTERS))
    return {"first": first, "number": sum(each["count"] for each in chain(first, letters))}
