"""`.keras` files, made into the SavedModels that would be served of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import tasks
from pipelines.exports import find as find_format
from pipelines.exports import places

if TYPE_CHECKING:
    import numpy as np

    from pipelines.recipe import Recipe


@dataclass(frozen=True)
class Facts:
    """What a `.keras` file does not say, and its SavedModel has to.

    Attributes:
      task: what the network answers.
      names: of the classes; none where they are not known, or the task has none.
      preprocess, ingest: as recipes have them.
      mean: what is subtracted from pixels, float32 [H, W, C] or [C].
      imports: modules that the file needs.
      fully_convolutional: whether the SavedModel is to have the signature `dense`.
    """

    task: tasks.Task
    names: Sequence[str]
    preprocess: Mapping[str, Any]
    ingest: Mapping[str, Any]
    mean: np.ndarray
    imports: Sequence[str] = ()
    fully_convolutional: bool = False


def facts(path: Path) -> Facts:
    """What lies beside an exported `.keras` file (`convnets export --format keras`).

    Raises:
      ValueError: nothing does, or it is not what an export writes.
    """
    import numpy as np

    said = places.facts(find_format("keras"), path)
    if not said.is_file():
        raise ValueError(
            f"{path}: nothing says how its pictures are prepared: no {said.name} beside it, as "
            "`convnets export --format keras` writes it, and it is of no run of this --root"
        )
    try:
        content = json.loads(said.read_text(encoding="utf-8"))
        preprocess = dict(content["preprocess"])
        mean = content["normalize"]["mean"]
        values = np.load(path.with_name(mean)) if isinstance(mean, str) else np.array(mean)
        return Facts(
            task=tasks.find(content["task"]),
            names=content.get("classes", ()),
            ingest=preprocess.pop("ingest"),
            preprocess=preprocess,
            mean=values.astype(np.float32),
            imports=content.get("import_before_loading", ()),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{said} is not what an export writes: {error}") from error


def of_recipe(recipe: Recipe, mean: np.ndarray, names: Sequence[str]) -> Facts:
    """As a recipe prepares pictures.

    Args:
      recipe: the recipe.
      mean: what it subtracts from pixels.
      names: of the classes.
    """
    return Facts(
        task=tasks.find(recipe.task).bound(recipe.task_args),
        names=names,
        preprocess=recipe.preprocess,
        ingest=recipe.ingest,
        mean=mean,
        fully_convolutional=recipe.fully_convolutional,
    )


def as_saved_model(path: Path, known: Facts, folder: Path) -> None:
    """Writes the SavedModel that a pipeline would have made of a network.

    Args:
      path: the `.keras` file.
      known: what it does not say.
      folder: of the SavedModel.

    Raises:
      RecipeError: it needs a package that is not allowed.
      ValueError: Keras cannot read it, or it is no network for these pictures and this task.
    """
    import numpy as np

    from components import model_run
    from components.train.graph import check, functional
    from components.train.signatures import ServingModule

    network = model_run.read(path, known.imports)
    shape = (*known.preprocess["size"], known.preprocess["channels"])
    network = functional(network, shape, known.task)
    if known.task.one_picture and tuple(network.inputs[0].shape) != (None, *shape):
        found = " x ".join(map(str, network.inputs[0].shape[1:]))
        raise ValueError(
            f"{path} takes pictures of {found}, and these are prepared as "
            f"{' x '.join(map(str, shape))}: another recipe, or --set preprocess.size=[H,W]"
        )
    names = list(known.names)
    if known.task.has_classes and not names:
        names = [str(number) for number in range(network.outputs[0].shape[-1])]
    try:
        check(network, known.task, len(names) or None, (), known.fully_convolutional)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    recipe = {
        "task": known.task.name,
        "task_args": dict(known.task.arguments),
        # tf.Module puts objects of its own into what it is given.
        "preprocess": copy.deepcopy(dict(known.preprocess)),
        "ingest": copy.deepcopy(dict(known.ingest)),
        "features": (),
        "fully_convolutional": known.fully_convolutional,
    }
    mean = np.broadcast_to(known.mean, shape).astype(np.float32)
    ServingModule(network, None, mean, names, recipe).save(str(folder))
