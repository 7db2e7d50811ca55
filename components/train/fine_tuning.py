"""What a pretrained network is trained with: frozen layers, and a smaller rate for its backbone.

The head are the layers with weights next to the outputs; all others are the backbone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import keras

from components.settings import near_matches
from components.train import fitting
from keras_models.optimizers import CurvatureOptimizer, with_smaller_rate

BACKBONE = "backbone"
# Of recipes from before there were these keys.
_NOT_FROZEN: Mapping[str, Any] = {"layers": (), "epochs": None}


def slow_down(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, recipe: Mapping[str, Any]
) -> None:
    """Gives the backbone the part `backbone_rate` of the learning rate.

    Args:
      model: built.
      optimizer: with which it is compiled.
      recipe: plain data.

    Raises:
      ValueError: an optimizer that updates all variables at once, or a network without a backbone.
    """
    factor = recipe.get("backbone_rate", 1.0)
    if factor == 1.0:
        return
    _check_optimizer(optimizer, "backbone_rate")
    slow = [variable for layer in _backbone(model) for variable in layer.trainable_variables]
    with_smaller_rate(optimizer, slow, factor)


def check(model: keras.Model, recipe: Mapping[str, Any]) -> None:
    """Whether a network has the layers that a recipe's `freeze` and `backbone_rate` mean.

    Args:
      model: built.
      recipe: plain data.

    Raises:
      ValueError: it has not, or nothing would learn.
    """
    _frozen(model, recipe)
    if recipe.get("backbone_rate", 1.0) != 1.0:
        _backbone(model)


class Freezing(keras.callbacks.Callback):
    """Freezes the layers of a recipe's `freeze`, and has them learn after so many epochs.

    A frozen layer's weights do not change, and a normalisation that is frozen takes its moving
    statistics, in training too. What depends on it is the epoch alone: a training that goes on
    from a checkpoint begins with the layers frozen that its next epoch has.
    """

    def __init__(self, model: keras.Model, recipe: Mapping[str, Any], steps: int):
        """Freezes the layers.

        Args:
          model: compiled, its optimizer built with all variables that will learn at some time.
          recipe: plain data.
          steps: of an epoch.

        Raises:
          ValueError: a pattern that matches no layer with weights, layers without which nothing
            learns, or an optimizer that updates all variables at once.
        """
        super().__init__()
        self._epochs = (recipe.get("freeze") or _NOT_FROZEN)["epochs"]
        self._steps = steps
        self._frozen = _frozen(model, recipe)
        if self._frozen:
            _check_optimizer(model.optimizer, "freeze")
        for layer in self._frozen:
            layer.trainable = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if not self._frozen or self._epochs is None or epoch < self._epochs:
            return
        self._thaw()
        fitting.retrace(self.model, self._steps)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        # The model that is saved may be trained by others, who have not frozen it.
        self._thaw()

    def _thaw(self) -> None:
        for layer in self._frozen:
            layer.trainable = True
        self._frozen = []


def _frozen(model: keras.Model, recipe: Mapping[str, Any]) -> list[keras.Layer]:
    """The layers that a recipe freezes, of those that learn."""
    freeze = recipe.get("freeze") or _NOT_FROZEN
    found = [layer for layer in _matching(model, freeze["layers"]) if layer.trainable]
    still = {id(variable) for layer in found for variable in layer.trainable_variables}
    if found and still.issuperset(map(id, model.trainable_variables)):
        raise ValueError("freeze.layers leaves no layer that learns")
    return found


def _matching(model: keras.Model, patterns: Sequence[str]) -> list[keras.Layer]:
    """The layers whose names match one of the patterns, each once."""
    layers = _weighted(model)
    found = []
    for pattern in patterns:
        if pattern == BACKBONE:
            found += _backbone(model)
            continue
        matching = [layer for layer in layers if fnmatchcase(layer.name, pattern)]
        if not matching:
            known = [BACKBONE, *(layer.name for layer in layers)]
            raise ValueError(
                f"freeze.layers: no layer with weights is called {pattern!r}: "
                f"{near_matches(pattern, known)}"
            )
        found += matching
    return list({id(layer): layer for layer in found}.values())


def _weighted(model: keras.Model) -> list[keras.Layer]:
    """The layers with weights, those of the models among them in their place."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += _weighted(layer)
        elif layer.weights:
            found.append(layer)
    return found


def _backbone(model: keras.Model) -> list[keras.Layer]:
    head = _head(model)
    found = [layer for layer in _weighted(model) if id(layer) not in head]
    if not found:
        raise ValueError(f"{model.name} has no {BACKBONE}: all its weights are next to its outputs")
    return found


def _head(model: keras.Model) -> set[int]:
    """The ids of the layers with weights that are next to the outputs."""
    head, seen = set(), set()
    waiting = list(model.outputs)
    while waiting:
        operation, node, _ = waiting.pop()._keras_history
        if (id(operation), node) in seen:
            continue
        seen.add((id(operation), node))
        if getattr(operation, "weights", ()):
            members = _weighted(operation) if isinstance(operation, keras.Model) else [operation]
            head |= {id(layer) for layer in members}
        else:
            waiting += operation._inbound_nodes[node].input_tensors
    return head


def _check_optimizer(optimizer: keras.optimizers.Optimizer, key: str) -> None:
    if isinstance(optimizer, CurvatureOptimizer):
        raise ValueError(
            f"{key} is for optimizers that update layer by layer, and "
            f"{type(optimizer).__name__} updates all at once"
        )
