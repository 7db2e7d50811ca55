"""What runs came to."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convnets import arguments
from pipelines import models, process
from pipelines.history import allowed
from pipelines.recipe import Recipe

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from rich.console import Group

    from convnets.models import Answers, Images, Model
    from pipelines.exports.engine import Exported

# Of a summary, where things are, by the names that they have here.
_KEPT = {
    "model": "model",
    "pushed": "pushed",
    "model_run": "training",
    "examples": "examples",
    "data_verdict": "data_verdict",
    "judgement": "judgement",
    "report": "report",
    "probes": "probes",
}

_RUNS = "runs, as convnets.runs() gives them"
# Of a recipe, what says which it is and not what runs.
_ABOUT = ("name", "paper", "summary")


class RunFailed(RuntimeError):
    """A run that ended before its end; the text says why.

    Attributes:
      run: the run, as far as it came.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run.error)
        self.run = run


class Run:
    """One run of a recipe: its figures, its network, and where everything is.

    In a notebook it shows itself as the end of `convnets run` does.

    Attributes:
      summary: as `ROOT/runs/ID.json` has it.
      root: the folder of the run's artifacts, models and logs.
      tracked: where it was noted besides; None where that was not asked for.
    """

    def __init__(self, summary: Mapping[str, Any], root: Path) -> None:
        """
        Args:
          summary: as `ROOT/runs/ID.json` has it.
          root: the folder of the run's artifacts, models and logs.
        """
        arguments.check("summary", summary, Mapping, "what ROOT/runs/ID.json has")
        self.summary = summary
        self.root = arguments.root(root)
        self.tracked: str | None = None

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:.4g}" for name, value in self.figures.items())
        return f"<convnets.Run {self.id}: {self.error or shown or 'not judged'}>"

    @property
    def id(self) -> str:
        """The recipe's name and the time."""
        return self.summary["run_id"]

    @property
    def error(self) -> str | None:
        """Why the run failed; None where it did not."""
        return self.summary.get("error")

    @property
    def blessed(self) -> bool | None:
        """Whether the model may be served; None where the run did not come so far."""
        return self.summary.get("blessed")

    @property
    def why(self) -> Sequence[str]:
        """What evaluations and canary said of the model."""
        return self.summary.get("why") or []

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What was run.

        Raises:
          FileNotFoundError: the run's request has been removed.
        """
        request = self._process.request.read_text(encoding="utf-8")
        return Recipe.from_json(json.dumps(json.loads(request)["recipe"]))

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe as `--set` has it, by key such as `preprocess.fit`; empty where its request
        has been removed."""
        try:
            found = self.recipe.settings()
        except FileNotFoundError:
            return {}
        return {key: value for key, value in found.items() if key not in _ABOUT}

    @functools.cached_property
    def judgement(self) -> Mapping[str, Any] | None:
        """`judgement.json`: the figures, and the published ones beside them."""
        path = self.paths.get("judgement")
        return json.loads(path.read_text(encoding="utf-8")) if path else None

    @property
    def figures(self) -> dict[str, float]:
        """What was measured on the test split, by metric; rates are fractions."""
        metrics = self.judgement["metrics"] if self.judgement else {}
        return {name: value for name, value in metrics.items() if value is not None}

    @property
    def published(self) -> pd.DataFrame:
        """The published figures beside ours, a row each: `components.judge.results.COLUMNS`."""
        import pandas as pd

        return pd.DataFrame(self.judgement["rows"] if self.judgement else [])

    @property
    def history(self) -> pd.DataFrame:
        """The training, a row an epoch: loss, the task's metrics, learning rate, seconds.

        Raises:
          ValueError: the run did not come to the end of it.
        """
        import pandas as pd

        path = self._need("training") / "history.json"
        return pd.DataFrame(json.loads(path.read_text(encoding="utf-8"))).set_index("epoch")

    @property
    def report(self) -> Path | None:
        """The report, a page for a browser."""
        return self.paths.get("report")

    @property
    def paths(self) -> dict[str, Path]:
        """Where things are, of those that the run has come to and that are there still.

        `model` (SavedModel of the training), `pushed` (the served version), `training` (folder of
        the recipe, history and `model.keras`), `keras` (that file), `tensorboard`, `examples`,
        `judgement`, `predictions` (the judged answers), `report`, `log`.
        """
        found = {
            name: Path(self.summary[key]) for key, name in _KEPT.items() if self.summary.get(key)
        }
        if "training" in found:
            found["keras"] = found["training"] / "model.keras"
            found["tensorboard"] = found["training"] / "tensorboard"
        if "judgement" in found:
            found["predictions"] = found["judgement"].parent / "predictions.npz"
        found["log"] = self.log
        return {name: path for name, path in found.items() if path.exists()}

    def model(self) -> keras.Model:
        """The trained network, not compiled.

        Raises:
          ValueError: the run has trained none.
          RecipeError: it is of a package that is not allowed, and was not when it was run.
        """
        self._need("training")
        from components import imports

        imports.load("keras")
        from components import model_run

        with allowed.of_run(self.paths["training"]):
            return model_run.network(str(self.paths["training"]))

    def served(self) -> Model:
        """The model that is served, or would be: it takes images as they are.

        Raises:
          ValueError: the run has trained none.
        """
        return self._served

    @functools.cached_property
    def _served(self) -> Model:
        from convnets.models import Model

        # Loaded once, and not for each call of `predict`.
        return Model(models.of_run(self.summary))

    def predict(self, images: Images) -> Answers:
        """What the model answers about images: `convnets.Model.predict`."""
        return self.served().predict(images)

    def export(
        self,
        format: str,
        to: str | Path | None = None,
        precision: str | None = None,
        overwrite: bool = False,
    ) -> Exported:
        """Writes the network for other programs, once what was written answers as the model does.

        Args:
          format: `keras`, `savedmodel`, `weights`, `tflite` or `onnx`.
          to: the file to write, or a folder to write it into: one that is there, or with a `/` at
            its end; by default this folder.
          precision: of a `.tflite` file: `float16` or `int8`.
          overwrite: whether what is there may be replaced.

        Raises:
          ValueError: something is there already, or what was written answers otherwise.
        """
        from convnets.exporting import export

        arguments.check("format", format, str, "a text")
        arguments.optional_path("to", to)
        arguments.text("precision", precision)
        arguments.flag("overwrite", overwrite)
        return export(self.id, self.root, format, precision, to, overwrite)

    def _need(self, name: str) -> Path:
        if name not in self.paths:
            raise ValueError(f"{self.id} has no {name}: {self.error or 'it was removed'}")
        return self.paths[name]

    @property
    def log(self) -> Path:
        """What the libraries said."""
        return self._process.log

    @property
    def _process(self) -> process.Run:
        return process.Run(self.id, self.root)

    def __rich__(self) -> Group:
        from pipelines.console import screens

        return screens.end_screen(self.summary, (), self.log)

    def _repr_html_(self) -> str:
        from pipelines.console import html

        return html.of(self)


class Comparison:
    """Runs side by side.

    Attributes:
      table: a pandas.DataFrame, a row a run: when it was, its data, the figures on the test split,
        and of their recipes the keys in which they differ.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        """
        Args:
          runs: as `convnets.runs` gives them.

        Raises:
          TypeError: something else.
        """
        import pandas as pd

        arguments.check("runs", runs, Iterable, _RUNS)
        runs = [*runs]
        for run in runs:
            arguments.check("runs", run, Run, _RUNS)

        rows = [_facts(run) | run.figures for run in runs]
        recipes = [run.settings for run in runs]
        differing = [
            key
            for key in dict.fromkeys(key for each in recipes for key in each)
            if len({json.dumps(each.get(key)) for each in recipes}) > 1
        ]
        for row, recipe in zip(rows, recipes, strict=True):
            row |= {key: recipe.get(key) for key in differing if key not in row}
        self.table = pd.DataFrame(rows, index=pd.Index([run.id for run in runs], name="run"))

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def _facts(run: Run) -> dict[str, Any]:
    summary = run.summary
    return {
        "recipe": summary["recipe"],
        "size": summary["size"],
        "dataset": summary["dataset"],
        "started": summary.get("started"),
        "seconds": summary.get("seconds"),
        "blessed": run.blessed,
    }
