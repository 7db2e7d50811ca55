"""A recipe: one paper's network on one data set, as pure data.

A recipe names everything that a run needs (data, network, augmentation, optimizer, protocol) and
nothing that a machine decides (paths, workers). It goes to JSON and back without loss, so that it
can travel inside a compiled pipeline and be stored beside the model that it made.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from components import tasks
from components.judge.benchmarks import all_benchmarks
from components.preprocess import steps
from components.settings import RecipeError, assign, check_choice, parse
from pipelines import data_names, fine_tuning, recipe_bounds, recipe_objects, tuning
from pipelines.optimizers import named
from pipelines.recipe_bounds import SIZES

__all__ = ["SIZES", "Recipe", "RecipeError"]

DATA_CHECKS = {
    "missing_classes": 0,
    "other_classes": 0,
    "skew": 0.1,
    "drift": 0.1,
    "image_drift": 0.3,
    "anomalies": 0,
}


@dataclass(frozen=True)
class Recipe:
    """One paper's network on one data set.

    Objects are named by import path (`"keras_models.classification.lenet:LeNet5"`), with their
    arguments beside them.

    Attributes:
      name: what the command line calls it.
      paper: the citation.
      summary: one line for `convnets list`.
      dataset: `"mnist"` (in the box), `"cifar10"` (fetched on the first use),
        `"rooms:train=2000,test=500,seed=0"` (generated), `"tfds:NAME"`, or a folder.
      full_data: whether the data set is used whole; a figure measured on a part is never
        compared with a published one.
      model: import path of a function `(input_shape, classes, **model_args) -> keras.Model` whose
        output is logits.
      preprocess: `size` [height, width] of the network's input in pixels, `resize` (pixels, or
        None), `channels` 1 or 3, `fit` ("pad", "stretch", or "crop" to the centre after the
        shorter side was resized), `range` [lowest, highest] that 0..255 is mapped to, and `mean`
        (the mean of the training images is subtracted "per_pixel", "per_channel", or "none"; or
        "imagenet", that of ImageNet's channels, which networks with its weights want). With
        `resize` the images are brought to that many pixels square, and `size` is cut out of
        them: at random in training, in the centre elsewhere.
      ingest: how images are stored: `shorter_side`, the pixels that it is brought to (None: as it
        is), `format` ("keep", "png" or "jpeg"), `quality` of JPEG, 1 to 95, and `align`, of faces
        in which points are marked the crop to which they are brought (None: as they are).
      augment: the random distortions of the training images, in order: `[{"step": NAME, ...}]`;
        the names and their arguments are those of `components.preprocess.steps`.
      distorted_copies: 0 distorts every image anew in each epoch; n makes n distorted copies of
        the training images once, and the epochs take turns over the images and the copies.
      task: what the network answers: one of `components.tasks`; `task_args` are its arguments.
      loss: `{"class": import path, ...arguments}`, of networks with named outputs one by name; None
        where the network computes its own.
      optimizer: `{"class": import path, ...arguments}`; its `learning_rate` may be
        such an object too (a schedule), in which `"$steps"` and `"$steps_per_epoch"` stand
        for the batches of the whole training and of one epoch. An optimizer may be a name of
        `pipelines.optimizers` instead, and may have `divide_on_plateau`, the arguments of
        `keras_models.optimizers.DivideOnPlateau`.
      weight_decay: adds weight_decay / 2 * w^2 to the loss for each weight of a kernel.
      freeze: `layers`, names or patterns (`"conv[12]_*"`) of the layers that do not learn, or
        "backbone" for all but those next to the outputs; `epochs`, after how many they do (None:
        never). Normalisations among them take their moving statistics.
      backbone_rate: what the learning rate is multiplied by for the backbone.
      class_weights: how much the examples of each class count in the loss: by the class's name (1
        for the others), "balanced" for as much as makes all classes count alike, or None.
      early_stopping: `patience`, after how many epochs without a better one by the task's
        `monitor` the training ends (None: never), with the weights of the best; `min_delta`, how
        much better. Epochs with layers that are frozen for a time are not waited for.
      auxiliary_weight: of the loss of each auxiliary classifier, where the model has some.
      steps_per_execution: batches per call of the compiled training function.
      validation_split: how much of the training split is held out, about: the training is validated
        on it after each epoch, and not on the test split. None: 0.05 in the small size and 0 in the
        paper size, because the papers train on all.
      protocol, benchmarks: how the judge measures and the ids of the published figures beside
        which it sets the result.
      thresholds: by the name of the first metric that blesses in the task, what a model has to
        reach (None: anything), and `change`, by how much less than the last blessed model's is let
        through (of accuracies 0.002 is two tenths of a percent). `chance`, of a recipe on other
        data than its own: a model has to reach more than the same answer about every image does,
        and by so much that in so many test images chance explains it this seldom (0.05: once in
        20 test splits); None: nothing of the kind is asked. See `components.constant`.
      fixed: data that stay the same, on whose test split a candidate is measured beside the served
        model, too; None for none. What `dataset` may be, with the same classes.
      window: of data in spans, how many the training takes: the newest, and those numbered before
        it; the newest alone is tested on.
      data_checks: what data may be like before the run stops: `missing_classes`, how many classes
        may lack images in a split; `other_classes`, how many may differ from those of the served
        model, which would be replaced; `skew` and `drift`, by how much the share of a class may
        differ between the splits and from the last run's; `image_drift`, how far (0 to 1,
        Jensen-Shannon) sizes and brightness may lie from the last run's; `anomalies`, how many TFDV
        may find against the schema.
      features: names of the layers whose outputs the `features` signature serves.
      fully_convolutional: whether the network is also exported fully convolutional, for protocols
        that apply it to whole images.
      transfer: of a recipe that retrains the top of another's network, or whose own starts from
        its weights (the model's argument `base` gets the file): `from`, the name of that
        recipe; `layers`, whose features are tried by linear classifiers; `examples_per_class`, of
        how many training images, ascending, both only where the task has one class an image;
        `benchmarks`, the ids of the published figures by
        layer and classifier. `model_run` and `transform_graph`, the folders that the other
        recipe's run left, are found when the recipe is run, or given.
      tune: a search for values before the training, see `pipelines.tuning`; with `trials` 0 it
        waits to be asked for.
      served_name: the name of the served model and of the pipeline's folders; None for the default,
        see `model_name`.
      data_origin: of a recipe on other data than its own, where these come from, see
        `pipelines.data_names`; None on its own.
    """

    name: str
    paper: str
    summary: str
    dataset: str
    model: str
    loss: Mapping[str, Any] | None
    optimizer: Mapping[str, Any]
    epochs: int
    batch_size: int
    preprocess: Mapping[str, Any]
    ingest: Mapping[str, Any] = field(default_factory=dict)
    size: str = "small"
    task: str = "classification"
    task_args: Mapping[str, Any] = field(default_factory=dict)
    full_data: bool = True
    model_args: Mapping[str, Any] = field(default_factory=dict)
    augment: tuple[Mapping[str, Any], ...] = ()
    distorted_copies: int = 0
    weight_decay: float = 0.0
    freeze: Mapping[str, Any] = field(default_factory=dict)
    backbone_rate: float = 1.0
    class_weights: str | Mapping[str, float] | None = None
    early_stopping: Mapping[str, Any] = field(default_factory=dict)
    auxiliary_weight: float = 0.3
    strategy: str = "one_device"
    mixed_precision: bool = False
    jit_compile: bool = False
    steps_per_execution: int = 1
    seed: int = 0
    validation_split: float | None = None
    protocol: str = "1-crop"
    benchmarks: tuple[str, ...] = ()
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    fixed: str | None = None
    window: int = 1
    data_checks: Mapping[str, float] = field(default_factory=lambda: dict(DATA_CHECKS))
    features: tuple[str, ...] = ()
    fully_convolutional: bool = False
    transfer: Mapping[str, Any] | None = None
    tune: Mapping[str, Any] | None = None
    served_name: str | None = None
    data_origin: str | None = None

    def __post_init__(self) -> None:
        recipe_bounds.check({key: getattr(self, key) for key in recipe_bounds.KEYS})
        task = tasks.find(self.task)
        check_choice("protocol", self.protocol, task.protocols)
        whole = self.preprocess["fit"] == "stretch" and not self.preprocess.get("resize")
        if task.whole_picture and not whole:
            raise RecipeError(
                f"{task.name} is answered about whole pictures: preprocess.fit must be stretch, "
                "and preprocess.resize null"
            )
        filled = {
            "task_args": recipe_bounds.task_args(self.task_args, task),
            "thresholds": recipe_bounds.thresholds(self.thresholds, task),
            "preprocess": {"resize": None, **self.preprocess},
            "ingest": {**_INGEST, **self.ingest},
            "data_checks": {**DATA_CHECKS, **self.data_checks},
            "freeze": {
                "epochs": None,
                **self.freeze,
                "layers": tuple(self.freeze.get("layers", ())),
            },
            "early_stopping": {"patience": None, "min_delta": 0.0, **self.early_stopping},
        }
        if isinstance(self.optimizer, str):
            filled["optimizer"] = named(self.optimizer)
        for key, value in filled.items():
            object.__setattr__(self, key, value)
        for benchmark in self.benchmarks:
            check_choice("benchmark", benchmark, all_benchmarks())
        if "divide_on_plateau" in (self.optimizer or ()) and not self.held_out:
            raise RecipeError(
                "optimizer.divide_on_plateau needs images that the training has not seen: set "
                "validation_split, to 0.05 for instance"
            )
        if "divide_on_plateau" in (self.optimizer or ()) and self.strategy == "multi_worker":
            raise RecipeError(
                "optimizer.divide_on_plateau needs the history of all epochs, which one of several "
                "workers alone has: give them the rates by steps"
            )
        fine_tuning.check(self)
        for key in ("augment", "benchmarks", "features"):
            object.__setattr__(self, key, tuple(getattr(self, key)))
        steps.check(self.augment, self.preprocess, self.distorted_copies)
        if self.transfer is not None:
            object.__setattr__(self, "transfer", _checked_transfer(self.transfer, task))
        if self.tune is not None:
            untuned = dataclasses.replace(self, tune=None)
            object.__setattr__(self, "tune", tuning.checked(self.tune, untuned.override))
            if tuning.is_on(self.tune) and self.strategy == "multi_worker":
                raise RecipeError(
                    "several workers would each make a search of their own; tune without "
                    "strategy=multi_worker, and give them the values found"
                )

    def _repr_html_(self) -> str:
        from pipelines.console import html, screens

        return html.of(screens.recipe_screen(self))

    @property
    def held_out(self) -> float:
        """The share of the training split that the training is validated on."""
        if self.validation_split is None:
            return 0.0 if self.size == "paper" else 0.05
        return self.validation_split

    @property
    def model_name(self) -> str:
        """The name of the served model, and of the pipeline's folders.

        Where `served_name` says nothing: the recipe's name on the recipe's own data, and on others
        the recipe's and the data's, such as `lenet-photos`.
        """
        if self.served_name is not None:
            return self.served_name
        called = [] if self.data_origin is None else [data_names.label(self.data_origin)]
        return "-".join([self.name, *called])

    @property
    def encoding(self) -> dict[str, Any]:
        """How ingestion stores pictures: arguments of `components.ingest.contract.Encoding`."""
        return {**self.ingest, "proposals": tasks.find(self.task).bound(self.task_args).proposals}

    def for_stage(self, stage: str) -> dict[str, Any]:
        """The keys that a stage reads, as plain data: to change another is no reason to run it.

        Args:
          stage: one of `STAGES`.
        """
        values = json.loads(self.to_json())
        kept = {key: values[key] for key in values if stage in _STAGES_OF[key]}
        return kept | ({"validation_split": self.held_out} if stage == "train" else {})

    def settings(self) -> dict[str, Any]:
        """The recipe by the keys that `--set` has, such as `preprocess.fit`: plain data."""
        found: dict[str, Any] = {}
        for key, value in json.loads(self.to_json()).items():
            parts = value.items() if isinstance(value, dict) else ()
            found |= {f"{key}.{part}": inner for part, inner in parts} or {key: value}
        return found

    def to_json(self) -> str:
        """The recipe as JSON, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe written by `to_json`.

        Raises:
          RecipeError: a key that recipes do not have, or a key that is missing.
        """
        values = renamed(json.loads(text))
        for key in values:
            check_choice("key", key, _KEYS)
        fields = dataclasses.fields(cls)
        needed = {
            each.name
            for each in fields
            if each.default is each.default_factory is dataclasses.MISSING
        }
        if missing := [each.name for each in fields if each.name in needed - {*values}]:
            raise RecipeError(f"not a whole recipe: it has no {' and no '.join(missing)}")
        return cls(**values)

    def on_data(self, dataset: str) -> Recipe:
        """The recipe on other images than its own.

        What the paper's data allow says nothing about them: what remains as a measure is the last
        blessed model, and what is reached without a look at any image, with what chance adds to it.
        """
        changed = dataclasses.replace(self, dataset=dataset)
        if self.data_origin is None and data_names.same(dataset, self.dataset):
            return changed
        return dataclasses.replace(
            changed,
            data_origin=data_names.origin(dataset),
            thresholds={tasks.CHANGE: self.thresholds[tasks.CHANGE], tasks.CHANCE: tasks.LEVEL},
        )

    def override(self, assignments: Iterable[str]) -> Recipe:
        """A copy with values changed, as `--set key=value` gives them.

        Args:
          assignments: with `model_args.weights` the recipe is first made one of fine-tuning, see
            `pipelines.fine_tuning`; texts such as `epochs=3`, `optimizer.learning_rate=0.01` or
            `model_args.classifier=softmax`; a value is JSON, or a plain string where it is not.

        Raises:
          RecipeError: an unknown key (near matches named), a value of the wrong type, or an object
            that is not there or does not take its arguments (`recipe_objects`).
        """
        assignments = [*assignments]
        values = dataclasses.asdict(fine_tuning.prepared(self, assignments))
        if any(map(_OTHERS_NETWORK.match, assignments)):
            # The layers, and the arguments, are the recipe's own network's.
            values |= {"features": (), "model_args": {}}
        for assignment in assignments:
            path, separator, text = assignment.partition("=")
            if not separator:
                raise RecipeError(f"--set takes key=value, not {assignment!r}")
            key, dot, rest = path.strip().partition(".")
            check_choice("key", key, _KEYS)
            path = f"{_RENAMED.get(key, key)}{dot}{rest}"
            if path in IDENTITY:
                raise RecipeError(
                    f"{path} says which recipe this is, and cannot be set; "
                    "--size and --data choose another"
                )
            assign(values, path, parse(text.strip()))
            if isinstance(values["optimizer"], str):
                # A later assignment may set a part of it.
                values["optimizer"] = named(values["optimizer"])
        values["loss"] = fine_tuning.smoothed(values["loss"])
        changed = Recipe(**values)
        recipe_objects.check(
            changed.model,
            changed.model_args,
            changed.loss,
            changed.optimizer,
            is_transfer=changed.transfer is not None,
            has_classes=tasks.find(changed.task).has_classes,
        )
        return changed


# The stages that read each key: what a new key is read by is decided here.
_TRAIN, _JUDGE, _OTHER = "train", "judge", "other"
STAGES = (_TRAIN, _JUDGE)
_STAGES_OF = {
    **dict.fromkeys(("name", "size", "dataset", "full_data", "seed", "preprocess"), STAGES),
    **dict.fromkeys(("task", "task_args"), STAGES),
    **dict.fromkeys(
        (
            *("paper", "summary", "model", "model_args", "loss", "optimizer", "epochs"),
            *("batch_size", "ingest", "augment", "distorted_copies", "weight_decay"),
            *("freeze", "backbone_rate", "class_weights", "early_stopping"),
            *("auxiliary_weight", "strategy", "mixed_precision", "jit_compile"),
            *(
                "steps_per_execution",
                "validation_split",
                "window",
                "features",
                "fully_convolutional",
            ),
        ),
        (_TRAIN,),
    ),
    **dict.fromkeys(
        (
            *("protocol", "benchmarks", "thresholds", "fixed", "data_checks", "transfer", "tune"),
            *("served_name", "data_origin"),
        ),
        (_OTHER,),
    ),
}
# Keys by the names that they had: recipes stored then, and people, still have them.
_RENAMED = {"dense": "fully_convolutional", "validation": "data_checks"}
_KEYS = (*(entry.name for entry in dataclasses.fields(Recipe)), *_RENAMED)
_INGEST = {"shorter_side": None, "format": "keep", "quality": 95, "align": None}
_OTHERS_NETWORK = re.compile(r'\s*model\s*=(?!\s*"?keras_models\.)')
# Set freely, they would let a run pass for another.
IDENTITY = ("name", "paper", "summary", "size", "task", "dataset", "full_data")
IDENTITY += ("data_origin",)


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as plain data, with the keys of today.

    Raises:
      RecipeError: a key is there under its old and its new name.
    """
    for old, new in _RENAMED.items():
        if old in values and new in values:
            raise RecipeError(f"{old} and {new} are the same key; one of them is enough")
    return {_RENAMED.get(key, key): value for key, value in values.items()}


def _checked_transfer(transfer: Mapping[str, Any], task: tasks.Task) -> dict[str, Any]:
    values = {"benchmarks": {}, "model_run": None, "transform_graph": None, **transfer}
    values |= recipe_bounds.probes(transfer, task)
    for figures in values["benchmarks"].values():
        for benchmark in figures.values():
            check_choice("benchmark", benchmark, all_benchmarks())
    numbers = values["examples_per_class"]
    if numbers != sorted(set(numbers)):
        raise RecipeError(
            f"transfer.examples_per_class must be ascending numbers from 1 on, not {numbers}"
        )
    return values
