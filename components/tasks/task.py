"""What a stage has to know of a task, as plain data. Imports nothing heavy.

A task is a folder of `components.tasks` with six modules, in every task of the same names and with
the same functions; `Task.part` imports them. The stages call these functions and no others:

`targets`
    `FEATURES`: the features of a tf.Example that hold the truth, as `tf.io.parse_example` takes
    them. `MOVES`: whether anything of it moves with the picture when that is cropped or mirrored.
    `placed(parsed, settings)`: of one example what moves, by the names of
    `components.preprocess.augment.augment_example`, at the size to which a recipe's `preprocess`
    brings pictures. `trained(parsed, placed)`: what the network is trained on, of one example or,
    where nothing moves, of a batch; a tensor or a mapping of tensors, whose first side may differ
    from example to example: in batches it is ragged then. `fitted(targets, model)`: the same for
    each output of a network, or as the network's own `compute_loss` takes it; never ragged.
    `sample(count, size, classes)`: made-up targets of so many examples, of the dtype and shape that
    `trained` gives, with which a loss is tried before a run. Of a task with classes
    `counts(parsed, classes)`: of a batch of examples, how much there is of each class; and
    `weights(targets, by_class)`: how much each target counts in the loss, in the form that `fitted`
    takes. `truths(features)`: for metrics, from NumPy arrays of N examples by feature; a feature of
    several values gives N arrays.
`answers`
    `check(model, classes)`: whether a network's outputs are such. `served(outputs, names, size)`:
    the network's outputs to what is served, by name, in the graph. `signatures(serve, names)`:
    further signatures of the served model. `finish(folder)`: the last change to the SavedModel.
`metrics`
    `rows(answers, truths, arguments)`: float64 [R, K], any number of rows an example.
    `figures(rows, arguments)`: by metric's name a figure, or None where the rows define none. Rows
    of several batches are concatenated. `constant(truths, names, arguments)`: the answer, about one
    example, of a model that knows the truths of the training split and no picture.
    `needed(rows, level, arguments)`: from the rows of that answer about the test split, what the
    first figure of `blessing` has to be for a model to know more, so that chance explains it in
    `level` at most of all such test splits, where the task can tell; and why in words. None where
    nothing can be said.
    `of_training(history, wanted)`: those of the wanted figures that the history of a training
    gives. Of a task whose answers are not averaged `combined(answers)`: one answer of several
    models, by output [N, ...].
`checks`
    `objections(answers, names)`: what a served answer must never be. `check(answers, truths,
    names)`: whether a model and examples belong together. Of a task whose answers are not averaged
    `apart(one, other)`: how far two answers to each of N questions differ, [N], where 1 is as far
    as can be.
`words`
    `columns()`: the headings under which an answer is shown on the screen. `row(answer, names)`: a
    text for each of them, of one answer by output, texts as str. `draw(picture, answer, names)`:
    the picture, a Pillow image in colour or grey, with the answer in it or beside it. For tables
    that programs read: `RANKED`, whether an answer ranks candidates; `fields(names, top)`, the
    columns of so many of them; `values(answer, names, top)`, a number, a text or None for each.
`pictures`
    Of the report, in the types of `components.report.evidence`: `headline(evidence)`; `facts(
    evidence)`, names and texts beside the run's own; `curves(history)`, by title what is drawn
    beside loss and learning rate; `sections(evidence)`, rendered from the `templates` in the task's
    folder, whose `task.css` joins the page's style.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

# In place of a number in a shape: as many as the data have classes.
CLASSES = "classes"
# Of a recipe's thresholds: how much worse than the last blessed model's a figure may be.
CHANGE = "change"
# And on other data than the recipe's own: how seldom chance may explain what a model has to reach.
CHANCE = "chance"
# Of such a one-sided test, as it is the custom.
LEVEL = 0.05
# Of arguments that say how boxes are found.
_FOUND = ("width", "smallest", "method")
# Of a served model's assets: what it answers, and the names of its classes.
TASK_ASSET = "task.json"
NAMES_ASSET = "labels.txt"
# Of a served model: what is asked about encoded pictures; of several inputs, about tf.Examples.
DEFAULT_SIGNATURE = "serving_default"
EXAMPLES_SIGNATURE = "examples"


@dataclass(frozen=True)
class Metric:
    """One figure.

    Attributes:
      name: as in the benchmark tables.
      title: in words.
      unit: in which it is measured: a key of `components.judge.results.SCALES`; "" for a rate, a
        fraction; "1" for a plain number.
      less_is_better: whether the better of two models has the lower figure.
      bound: what a model has to reach whatever the recipe asks for; None for nothing.
    """

    name: str
    title: str
    unit: str = ""
    less_is_better: bool = False
    bound: float | None = None

    def passes(self, value: float, bound: float) -> bool:
        """Whether a figure reaches a bound. NaN reaches none."""
        return value <= bound if self.less_is_better else value >= bound

    def enough(self, value: float | None, shown: str, least: Mapping[str, Any]) -> str:
        """Whether a figure is what has to be reached, and why.

        Args:
          value: the figure; None where it is not defined, which is not enough.
          shown: the same as it is printed.
          least: `value`, what has to be reached, and `text`, why.
        """
        enough = value is not None and self.passes(value, least["value"])
        return f"{self.title} {shown}, {'' if enough else 'not '}enough: {least['text']}"

    def text(self, value: float) -> str:
        """A figure as it is printed: a rate in percent, others in their unit."""
        if not self.unit:
            return f"{100 * value:.2f} %"
        return f"{value:.4f}" if self.unit == "1" else f"{value:.4f} {self.unit}"


@dataclass(frozen=True)
class Output:
    """One tensor that a served model gives, or that a network is trained on.

    Attributes:
      name: its key in the answer.
      dtype: as NumPy calls it.
      shape: of one example; None for any length, `CLASSES` for the number of classes.
      unit: in words.
      is_place: whether the values along the last axis are boxes (ymin, xmin, ymax, xmax) or points
        (y, x). `served` of a task's answers gives them in parts of the sides of the network's
        input; what is served is in pixels of the picture that was sent. Zeros stand for none.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    unit: str
    is_place: bool = False


@dataclass(frozen=True)
class Input:
    """One picture, or one stack of pictures, that a network is shown.

    Attributes:
      name: of the network's input, and of the served model's.
      feature: of the example contract, which holds the encoded picture or pictures.
      frames: of a stack, the name of the argument among `task_args` that says how many pictures it
        has: so many of the feature's, evenly spread. "" for one picture, which is no stack.
    """

    name: str
    feature: str
    frames: str = ""


@dataclass(frozen=True)
class Boxes:
    """Boxes beside the pictures, which a network is shown where a recipe asks for them.

    Of the arguments of the task the one of this name says how many a network is shown: 0 for a
    network without them; `NAME_width`, `NAME_smallest` and `NAME_method` say how ingestion finds
    them in examples that come without any (`components.ingest.proposals`).

    Attributes:
      name: of the network's input, and of the served model's: [N, boxes, 4], of zeros where there
        are fewer; ymin, xmin, ymax, xmax in 0..1 of the picture's sides.
      feature: of the example contract.
    """

    name: str
    feature: str


_IMAGE = Input("image", "image/encoded")


@dataclass(frozen=True)
class Task:
    """A kind of answer.

    Attributes:
      name: as recipes and ingestion call it.
      features: of the example contract, those that hold the truth.
      inputs: what a network is shown. Of one picture it is the picture itself, [N, H, W, C]; of
        others a mapping, by name, of [N, H, W, C] and of stacks [N, F, H, W, C].
      boxes: what a network may be shown beside them; None for nothing.
      alike: whether all inputs of an example are cropped, mirrored and distorted by one draw, as
        views of one scene have to be; else each has a draw of its own.
      outputs: what is served.
      averages: whether the mean of several answers about a picture, of its views or of several
        models, is an answer, and two that are alike are so number by number. Else `combined` of the
        task's metrics and `apart` of its checks are asked, and only whole pictures are shown.
      metrics: the figures that are judged, and shown.
      blessing: those that decide whether a model may be served; a recipe's `thresholds` name the
        first.
      training_metrics: figures of the history of a training, which a paper may publish.
      monitor: the entry of a training's history that tuner and plateau watch.
      monitor_less_is_better: whether that is better the lower it is.
      watched: metrics of Keras that the first output is compiled with, by which progress is told.
      protocols: names of `components.judge.protocols`.
      one_class: whether the truth of an example is the number of one class, int64, which
        classifiers on a network's features can learn (`components.probe`).
      has_classes: whether its examples have named classes; a network takes their number.
      whole_picture: whether answers are compared with truths pixel by pixel, so that a network has
        to see the whole picture: `preprocess.fit` stretch, and no `resize`.
      kept: of how many test examples, the worst ones, the answers are kept; None for all.
      arguments: the defaults of a recipe's `task_args`.
    """

    name: str
    features: tuple[str, ...]
    outputs: tuple[Output, ...]
    metrics: tuple[Metric, ...]
    blessing: tuple[Metric, ...]
    monitor: str
    monitor_less_is_better: bool
    watched: tuple[str, ...] = ()
    training_metrics: tuple[Metric, ...] = ()
    protocols: tuple[str, ...] = ("1-crop",)
    averages: bool = True
    one_class: bool = False
    has_classes: bool = False
    whole_picture: bool = False
    kept: int | None = None
    inputs: tuple[Input, ...] = (_IMAGE,)
    boxes: Boxes | None = None
    alike: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of the outputs that are judged and compared: of floats, which have a mean;
        where answers are not averaged, of all numbers.
        """
        kinds = ("float",) if self.averages else ("float", "int", "uint", "bool")
        return tuple(each.name for each in self.outputs if each.dtype.startswith(kinds))

    @property
    def one_picture(self) -> bool:
        """Whether a network is shown one picture, and no mapping."""
        return self.inputs == (_IMAGE,) and not self.box_counts

    @property
    def box_counts(self) -> dict[str, int]:
        """By the name of an input of boxes how many it has; empty where there is none."""
        wanted = self.arguments[self.boxes.name] if self.boxes else 0
        return {self.boxes.name: wanted} if self.boxes and wanted else {}

    @property
    def proposals(self) -> dict[str, Any] | None:
        """How ingestion finds the boxes, as `ingest.proposals.finding.Proposals`; or None."""
        if not (self.boxes and self.box_counts):
            return None
        name = self.boxes.name
        settings = {part: self.arguments[f"{name}_{part}"] for part in _FOUND}
        return {"most": self.arguments[name], **settings}

    @property
    def probed(self) -> bool:
        """Whether the Probe can try what the layers of a network know of its pictures."""
        return self.one_class and self.one_picture

    @property
    def stacks(self) -> dict[str, int]:
        """By the name of each input how many pictures it stacks; 0 of one picture."""
        return {each.name: self.arguments.get(each.frames, 0) for each in self.inputs}

    @property
    def examples_signature(self) -> str:
        """The signature of a served model that takes serialised tf.Examples."""
        return DEFAULT_SIGNATURE if self.one_picture else EXAMPLES_SIGNATURE

    def bound(self, arguments: Mapping[str, Any]) -> Task:
        """The task with a recipe's `task_args` in the place of its defaults."""
        if not arguments:
            return self
        return dataclasses.replace(self, arguments={**self.arguments, **arguments})

    def part(self, module: str) -> ModuleType:
        """One of the task's modules, imported when it is asked for."""
        return importlib.import_module(f"{__package__}.{self.name}.{module}")

    def served_facts(self) -> dict[str, Any]:
        """What `assets/task.json` of a served model says: plain data."""
        outputs = [dataclasses.asdict(each) for each in self.outputs]
        facts = {"task": self.name, "outputs": outputs}
        if self.one_picture:
            return facts
        # Whoever asks has to send so many pictures; the arguments are for the task itself.
        inputs = [{"name": name, "frames": frames} for name, frames in self.stacks.items()]
        return {**facts, "inputs": inputs, "arguments": dict(self.arguments)}
