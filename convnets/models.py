"""Trained models, asked about images in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import tasks
from components.answers import readable
from convnets import arguments
from pipelines import models, served
from pipelines.predictions import answerers, engine, in_memory, pictures, tables
from pipelines.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.evaluation import Evaluation
    from pipelines.predictions.engine import Prediction

# A path, encoded bytes, an open file, pixels as an array, or Pillow's image.
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
        arguments.path("path", path)
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
          images: one or several: a path, encoded bytes, an open file, Pillow's image of any mode
            but floats, or pixels from 0 to 255, an array [H, W] or [H, W, C]. An array [N, H, W, C]
            stands for its N pictures, a folder for the images in it, however deep. A model of
            several inputs, such as pairs, is asked about so many at a time, in their order; they
            may also be given as tuples, one a question.
          batch_size: of questions that are computed at once, at most.

        Returns:
          an answer a question, in their order. One that could not be given has an `error`.

        Raises:
          ValueError: a folder without images, or none of the images could be used.
        """
        arguments.count("batch_size", batch_size, 1)
        asked = list(_pictures(images))
        found = [_in_text(each) for each in engine.predict(self._answerer(), asked, batch_size)]
        if found and all(each.answer is None for each in found):
            raise ValueError(found[0].message)
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
        arguments.path("data", data)
        recipes = (Recipe, type(None))
        arguments.check("recipe", recipe, recipes, "what convnets.recipe gives")
        arguments.text("protocol", protocol)
        root = arguments.root(root)
        served.quiet_libraries()
        from pipelines import evaluation

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
    numbers = itertools.count()
    given = [images] if _is_one(images) else images
    flat = (each for image in given for each in (image if isinstance(image, tuple) else (image,)))
    for image in flat:
        # An empty text is no path: it would be the current folder, with all that lies below.
        is_path = isinstance(image, (str, os.PathLike)) and os.fspath(image)
        if is_path and Path(image).is_dir():
            inside = [*pictures.found([Path(image)])]
            pictures.check_found([Path(image)], len(inside))
            yield from inside
            continue
        for each in image if in_memory.is_stack(image) else [image]:
            yield pictures.of(each, next(numbers))


def _is_one(images: Images) -> bool:
    """Whether this is a picture, or what stands for several, and no list of them."""
    if isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike)):
        return True
    # A list of paths may be an array, too, as a table's column is.
    is_list = getattr(images, "ndim", None) == 1
    is_picture = hasattr(images, "__array__") or hasattr(images, "__array_interface__")
    is_file = hasattr(images, "read")
    return is_file or (is_picture and not is_list) or not isinstance(images, Iterable)


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
