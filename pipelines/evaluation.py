"""A model judged on the test split of any data, by the judge's protocols and figures."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import tasks
from components.ingest import sources
from components.ingest.sources import HELD_OUT, Source, SourceError
from components.judge import benchmarks, protocols, results
from components.settings import RecipeError, check_choice
from pipelines import judging, keras_files, models, recipes, served
from pipelines.paths import plain

if TYPE_CHECKING:
    from pipelines.recipe import Recipe

_TRAIN, _TEST = "train", "test"
_ONE_VIEW = "1-crop"
_SHOWN = 5


@dataclass(frozen=True)
class Evaluation:
    """What a model came to.

    Attributes:
      judgement: as the judge writes it (`components.judge.executor.Judged`). Its rows are the
        published figures of the same data and protocol.
      dead_letters: `{"id", "reason", "count"}` of each input that could not be used.
    """

    judgement: Mapping[str, Any]
    dead_letters: Sequence[Mapping[str, Any]]

    def __repr__(self) -> str:
        known = {k: v for k, v in self.judgement["metrics"].items() if v is not None}
        figures = ", ".join(f"{name}={value:.4g}" for name, value in known.items())
        about = f"{self.judgement['examples']} test images of {self.judgement['dataset']}"
        return f"<Evaluation on {about}: {figures}>"


def evaluate(
    model: Path,
    dataset: str,
    recipe: Recipe | None = None,
    protocol: str | None = None,
    root: Path = Path("runs"),
    say: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Judges a model on the test split alone.

    Args:
      model: a SavedModel or a `.keras` file, as `pipelines.models.find` gives it.
      dataset: what `--data` takes.
      recipe: how pictures are prepared, where a `.keras` file does not say; also whose protocol and
        published figures are taken. By default that of the run that made the model.
      protocol: the judge's; by default the recipe's, or one view of each picture.
      root: where that run is looked for.
      say: told what is being done.

    Raises:
      SourceError: there are no such data, none for the model's task, or no test split.
      RecipeError: a protocol that there is none of, or that the task does not have.
      ValueError: a model that cannot be read or asked by this protocol, or of other classes.
    """
    trained = None if recipe else _recipe_of(model, root)
    known = recipe or trained
    task = _task(model, recipe)
    protocol = protocol or (known.protocol if known else _ONE_VIEW)
    check_choice("protocol", protocol, task.protocols)
    source = sources.prepare(sources.resolve(dataset, task.name))
    if not {_TEST, "all"} & {split for split, _ in source.patterns}:
        raise SourceError(f"{dataset} has no test split")
    from components import examples
    from components.judge import executor

    with tempfile.TemporaryDirectory() as folder:
        images, saved = str(Path(folder, "examples")), Path(folder, "model")
        Path(images).mkdir()
        say("reading the pictures")
        _ingest(source, images, model, recipe, trained, task)
        dead = list(examples.dead_letters(images))
        _check_some(dataset, images, dead)
        names = examples.label_names(images)
        if model.is_dir():
            saved = model
        else:
            say("making a SavedModel of the network")
            facts = _facts(model, recipe, images, names)
            wants_all = any(each.signature == "dense" for each in protocols.find(protocol).parts)
            facts = dataclasses.replace(facts, fully_convolutional=wants_all)
            keras_files.as_saved_model(model, facts, saved)
        _check_classes(model, served.facts(saved)[1], names, task)
        say("judging")
        judged = executor.judge(
            [plain(str(saved.absolute()))],
            images,
            protocol,
            _figures(dataset, protocol, task, known),
            _of_judge(model, dataset, task, known, trained),
            report=lambda done, total: say(f"judging: {done:,} of {total:,} pictures"),
        )
    return Evaluation(judged.judgement, dead)


def _task(model: Path, recipe: Recipe | None) -> tasks.Task:
    if model.is_dir():
        task, _ = served.facts(model)
    elif recipe is None:
        task = keras_files.facts(model).task
    else:
        task = tasks.find(recipe.task)
    if recipe is not None and recipe.task != task.name:
        raise ValueError(f"{model} answers {task.name}, and {recipe.name} is of {recipe.task}")
    return task.bound(recipe.task_args) if recipe else task


def _recipe_of(model: Path, root: Path) -> Recipe | None:
    """The recipe by which a run has made a model; None where no run of it is known."""
    for run in reversed(models.runs_of(model, root)):
        with contextlib.suppress(RecipeError, OSError, ValueError, KeyError, TypeError):
            known = recipes.find(run["recipe"], run["size"])
            text = Path(run["model_run"], "recipe.json").read_text(encoding="utf-8")
            fields = {each.name for each in dataclasses.fields(known)}
            stored = {key: value for key, value in json.loads(text).items() if key in fields}
            return dataclasses.replace(known, **stored)
    return None


def _ingest(
    source: Source,
    folder: str,
    model: Path,
    recipe: Recipe | None,
    trained: Recipe | None,
    task: tasks.Task,
) -> None:
    """The test split, and the training split where the mean of its pictures is needed.

    A served model does what its recipe's `ingest` says, but for aligning: it is not shown points.
    """
    from components.preprocess import mean
    from pipelines import inspection

    needs_mean = not model.is_dir() and recipe and mean.is_of_pictures(recipe.preprocess)
    wanted = (_TRAIN, _TEST) if needs_mean else (_TEST,)
    encoding = {**(recipe.ingest if recipe else {}), "proposals": task.proposals}
    if trained and trained.ingest["align"]:
        encoding["align"] = trained.ingest["align"]
    inspection.ingest(source, folder, encoding, wanted)


def _check_some(dataset: str, folder: str, dead: Sequence[Mapping[str, Any]]) -> None:
    """Raises SourceError where there is no test picture."""
    from components import examples

    with contextlib.suppress(ValueError):
        if examples.count(examples.records(folder, _TEST).take(1)):
            return
    first = "".join(f"\n  {each['id']}: {each['reason']}" for each in dead[:_SHOWN])
    raise SourceError(f"{dataset}: there is no test picture{first}")


def _facts(
    model: Path, recipe: Recipe | None, folder: str, names: Sequence[str]
) -> keras_files.Facts:
    """What a `.keras` file does not say: a recipe does or, without one, what lies beside it."""
    from components.preprocess import mean

    if recipe is None:
        return keras_files.facts(model)
    return keras_files.of_recipe(recipe, mean.of_examples(folder, recipe.preprocess), names)


def _check_classes(
    model: Path, known: Sequence[str], names: Sequence[str], task: tasks.Task
) -> None:
    """Raises ValueError where the model's classes are not those of the data, in their order."""
    if not task.has_classes or not known or list(known) == list(names):
        return
    apart = sorted({*known} ^ {*names}) or [a for a, b in zip(known, names, strict=True) if a != b]
    more = f" and {len(apart) - _SHOWN:,} more" if len(apart) > _SHOWN else ""
    raise ValueError(
        f"{model} has other classes than the data, or another order of them; apart are "
        f"{', '.join(apart[:_SHOWN])}{more}. A labels.txt in a folder of data lists its classes"
    )


def _figures(dataset: str, protocol: str, task: tasks.Task, recipe: Recipe | None) -> list[str]:
    """The ids of the published figures of the same data, split and protocol.

    Args:
      dataset, protocol, task: of the evaluation.
      recipe: whose figures are taken, where it is known.
    """
    data = results.data_name(dataset)
    metrics = {each.name for each in (*task.metrics, *task.blessing)}
    wanted = recipe.benchmarks if recipe else benchmarks.all_benchmarks()
    return [
        figure.id
        for figure in benchmarks.find(wanted)
        if (figure.data, figure.protocol) == (data, protocol)
        and figure.split == HELD_OUT.get(data, _TEST)
        and figure.metric in metrics
    ]


def _of_judge(
    model: Path,
    dataset: str,
    task: tasks.Task,
    known: Recipe | None,
    trained: Recipe | None,
) -> dict[str, Any]:
    """What the judge has to know. The whole test split is judged, whatever was trained on."""
    facts: dict[str, Any] = {"name": model.name, "size": "", "full_data": True}
    if known is not None:
        facts = judging.judged(known)
    if trained is not None and results.data_name(trained.dataset) != results.data_name(dataset):
        facts["deviations"] = [*facts["deviations"], f"trained on {trained.dataset}"]
    return {**facts, "task": task.name, "task_args": dict(task.arguments), "dataset": dataset}
