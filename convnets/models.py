"""Trained models, asked about images in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import tasks
from components.answers import readable
from pipelines import models, served
from pipelines.predictions import answerers, engine, pictures, tables

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.evaluation import Evaluation
    from pipelines.predictions.engine import Prediction
    from pipelines.recipe import Recipe

# A path, encoded bytes, pixels as a NumPy array, uint8 [H, W] or [H, W, 3], or Pillow's image.
Image = Any
Images = Image | Iterable[Image]


class Model:
    """A trained model: it takes images as they are, of any size.

    It is loaded when it is first asked.

    Attributes:
      path: the SavedModel's folder, or the `.keras` file.
      task: what it answers, a `components.tasks.Task`.
      names: of its classes; empty where its task has none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """
        Args:
          path: of a SavedModel of this package, of a folder of versions, of which the newest is
            taken, or of a `.keras` file with `convnets export`'s note beside it.

        Raises:
          ValueError: there is no such model, or it answers a task that is not known here.
        """
        self.path = models.of_path(Path(path)).absolute()
        self.task: tasks.Task
        self.names: Sequence[str]
        self.task, self.names = answerers.facts(self.path)
        self._loaded: answerers.Answerer | None = None

    def __repr__(self) -> str:
        return f"<convnets.Model of {self.task.name}: {self.path}>"

    def predict(self, images: Images, batch_size: int = engine.BATCH) -> Answers:
        """What the model answers about images.

        Args:
          images: one or several: a path, encoded bytes, pixels, uint8 [H, W] or [H, W, 3] from 0 to
            255, or Pillow's image; a folder stands for the images in it, however deep. A model of
            several inputs, such as pairs, is asked about so many at a time, in their order; they
            may also be given as tuples, one a question.
          batch_size: of questions that are computed at once, at most.

        Returns:
          an answer a question, in their order. One that could not be given has an `error`.

        Raises:
          ValueError: something that is no image, or none of them could be read.
        """
        asked = list(_pictures(images))
        found = [_in_text(each) for each in engine.predict(self._answerer(), asked, batch_size)]
        if found and all(each.answer is None for each in found):
            raise ValueError(found[0].told)
        return Answers(found, self.task, self.names)

    def evaluate(
        self,
        data: str | os.PathLike[str],
        recipe: Recipe | None = None,
        protocol: str | None = None,
        root: str | os.PathLike[str] = "runs",
    ) -> Evaluation:
        """Judges the model on the test split of any data, as a run judges its own.

        Args:
          data: a folder of images, `"tfds:NAME"`, or the name of bundled data.
          recipe: whose protocol and published figures are taken; by default that of the run that
            made the model.
          protocol: how one image becomes one answer, such as `"10-crop"`; by default the recipe's.
          root: where that run is looked for.

        Raises:
          SourceError: there are no such data, none for the model's task, or no test split.
          ValueError: the data have other classes, or the model cannot be asked so.
        """
        served.quiet_libraries()
        from pipelines import evaluation

        root = Path(root).absolute()
        return evaluation.evaluate(self.path, os.fspath(data), recipe, protocol, root)

    def _answerer(self) -> answerers.Answerer:
        if self._loaded is None:
            served.quiet_libraries()
            stack = contextlib.ExitStack()
            self._loaded = stack.enter_context(answerers.of_path(self.path))
            weakref.finalize(self, stack.close)
        return self._loaded


def _in_text(prediction: Prediction) -> Prediction:
    if prediction.answer is None:
        return prediction
    return dataclasses.replace(prediction, answer=readable(prediction.answer))


def _pictures(images: Images) -> Iterator[pictures.Picture]:
    several = isinstance(images, Iterable) and not hasattr(images, "__array_interface__")
    if isinstance(images, (str, bytes, os.PathLike)) or not several:
        images = [images]
    flat = (each for image in images for each in (image if isinstance(image, tuple) else (image,)))
    for number, image in enumerate(flat):
        if isinstance(image, (str, os.PathLike)) and Path(image).is_dir():
            yield from pictures.found([Path(image)])
        else:
            yield pictures.of(image, number)


class Answers(Sequence["Prediction"]):
    """What a model answered, question by question; in a notebook a table.

    Each has `names`, of its images; `answer`, by output a NumPy array, a number or a text, None
    where there is none; and `error`, why there is none.
    """

    def __init__(
        self, predictions: Sequence[Prediction], task: tasks.Task, names: Sequence[str]
    ) -> None:
        """
        Args:
          predictions: the answers.
          task: of the model.
          names: of its classes.
        """
        self._predictions = predictions
        self._form = tables.Form(task, names)

    def __getitem__(self, place: Any) -> Any:
        return self._predictions[place]

    def __len__(self) -> int:
        return len(self._predictions)

    @property
    def table(self) -> pd.DataFrame:
        """A row a question: its images, the answer in the task's fields, and the error."""
        import pandas as pd

        table = pd.DataFrame(map(self._row, self._predictions))
        # The first may be one without an answer.
        return table[sorted(table.columns, key="error".__eq__)]

    def _row(self, prediction: Prediction) -> dict[str, Any]:
        row: dict[str, Any] = dict(zip(self._form.columns(), prediction.names, strict=False))
        if prediction.answer is not None:
            row |= self._form.row(prediction.answer)
        return row | {"error": prediction.error}

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()
