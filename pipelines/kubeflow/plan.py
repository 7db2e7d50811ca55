"""The first step of a run on Kubeflow: makes the values of all other steps.

`python -m pipelines.kubeflow.plan --executor-input JSON` is what its container runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from components.ingest.sources import Source
from pipelines.beam import Beam
from pipelines.kubeflow.inputs import Data
from pipelines.kubeflow.specification import INGEST, output_name, values
from pipelines.paths import Paths, of_cluster
from pipelines.recipe import Recipe, RecipeError

# Of data without versions; of a step for a span of the window that there is not.
_NO_NUMBER = -1


def main(arguments: list[str]) -> int:
    """Writes each value to the file that Kubeflow reads it from; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--executor-input", required=True, type=json.loads)
    executor_input = parser.parse_args(arguments).executor_input
    outputs = executor_input["outputs"]["parameters"]
    try:
        made = plan(executor_input["inputs"]["parameterValues"], outputs)
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    for name, output in outputs.items():
        path = Path(output["outputFile"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_text(made[name]), encoding="utf-8")
    return 0


def plan(parameters: Mapping[str, Any], expected: Collection[str]) -> dict[str, Any]:
    """The values of all steps.

    Args:
      parameters: `recipe` and `beam` as JSON, the pipeline's own; and what the run was given:
        `overrides`, a list of `KEY=VALUE`; `data`; and `root`.
      expected: the names of the values that the compiled pipeline takes.

    Raises:
      RecipeError: an override that no recipe takes, or one that changes which steps there are.
      ValueError: a network, an optimizer or a loss that could not be trained with.
      SourceError: data that cannot be trained on.
      NameTaken: another model is served under the recipe's name.
    """
    recipe = Recipe.from_json(parameters["recipe"])
    if parameters["data"] != recipe.dataset:
        recipe = recipe.on_data(parameters["data"])
    recipe = recipe.override(parameters["overrides"])
    paths = of_cluster(parameters["root"])
    recipe = _in_root(recipe, paths)
    _keep_downloads(paths)
    from pipelines import costs
    from pipelines.kubeflow.compiling import tfx_specification

    costs.check(recipe, is_here=False)
    data, steps = _data(recipe)
    _check_name(recipe, paths, data.newest)
    beam = Beam.from_plain(json.loads(parameters["beam"]))
    made = values(tfx_specification(recipe, data, paths, "", beam))
    for step, source in steps.items():
        made |= _files(step, source, made)
    if set(made) != set(expected):
        changed = sorted({name.partition(".")[0] for name in set(made) ^ set(expected)})
        raise RecipeError(
            f"the steps are not those that the pipeline was compiled with ({', '.join(changed)}): "
            "what was set changes them, or the image has another version of this package; "
            "compile it anew"
        )
    return made


def _in_root(recipe: Recipe, paths: Paths) -> Recipe:
    """As `names.in_root`, where the verdicts on the data say what has been run."""
    from components import served
    from components.validate import history
    from pipelines import data_names

    if recipe.served_name is not None or recipe.data_origin is None:
        return recipe
    before = history.dataset(paths.verdicts(recipe.name))
    if before is None or served.versions(paths.served(recipe.model_name)):
        return recipe
    place = data_names.origin(json.loads(before)["dataset"])
    is_of = data_names.same_place(place, recipe.data_origin)
    return dataclasses.replace(recipe, served_name=recipe.name) if is_of else recipe


def _check_name(recipe: Recipe, paths: Paths, newest: Source) -> None:
    """Whether the name is that of another model, before a step computes anything.

    Raises:
      NameTaken: it is.
    """
    from components import served
    from components.ingest.readers import reader
    from components.validate import history
    from pipelines import data_names
    from pipelines.history import names

    folder = paths.served(recipe.model_name)
    model = served.newest(folder)
    if model is None:
        return
    names.check_task(recipe, served.task(model))
    if before := history.dataset(paths.verdicts(recipe.model_name)):
        names.check_data(recipe, data_names.origin(json.loads(before)["dataset"]))
    names.check_classes(recipe, folder, reader(newest).labels)


def _keep_downloads(paths: Paths) -> None:
    """Data sets that TFDS prepares here are there for the next step, and the next run."""
    os.environ.setdefault("TFDS_DATA_DIR", f"{paths.root}/tensorflow_datasets")
    if "://" not in paths.root:
        os.environ.setdefault("XDG_CACHE_HOME", f"{paths.root}/cache")


def _data(recipe: Recipe) -> tuple[Data, dict[str, Source | None]]:
    """What is read; and by which step, with None for a span of the window that there is not."""
    from components.ingest.sources import prepare, resolve, window

    newest, *earlier = map(prepare, window(recipe.dataset, recipe.window, recipe.task))
    fixed = prepare(resolve(recipe.fixed, recipe.task)) if recipe.fixed else None
    absent = recipe.window - 1 - len(earlier)
    steps = {INGEST: newest}
    for place, source in enumerate([*earlier, *[None] * absent], 1):
        steps[f"{INGEST}-earlier-{place}"] = source
    if fixed:
        steps[f"{INGEST}-fixed"] = fixed
    return Data(newest, (*earlier, *[newest] * absent), fixed), steps


def _files(step: str, source: Source | None, made: Mapping[str, Any]) -> dict[str, Any]:
    """What the driver of ImageExampleGen finds out: which files there are, of which span."""
    from components.ingest.driver import decided

    if source is None:
        absent = {"span": _NO_NUMBER, "version": _NO_NUMBER, "input_fingerprint": ""}
        return {output_name(step, key): value for key, value in absent.items()}
    given = ("input_base", "input_config", "custom_config")
    found = decided({key: made[output_name(step, key)] for key in given}, source.span)
    if found["version"] is None:
        found["version"] = _NO_NUMBER
    return {output_name(step, key): value for key, value in found.items()}


def _text(value: Any) -> str:
    """As Kubeflow reads it back; protobuf's JSON has whole numbers with a fraction of 0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
