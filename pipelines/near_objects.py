"""Import paths that a recipe may have meant, where the one that it names leads nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from components.settings import likeness, near
from pipelines import source_code

# Where an object called by its bare name is looked for, by the entry of the recipe.
_HOMES = {
    "model": ("keras_models.classification",),
    "loss": ("keras.losses", "keras_models.losses"),
    "optimizer": ("keras.optimizers", "keras_models.optimizers"),
    "optimizer.learning_rate": ("keras.optimizers.schedules",),
}
_MODULES, _MOST, _LEAST = 5, 8, 0.6


def of_name(entry: str, name: str) -> list[str]:
    """Paths of objects that may be meant by a bare name, the likest first.

    Args:
      entry: of the recipe, such as `loss`.
      name: such as `crossentropy`.
    """
    return _likest(name, _HOMES.get(entry, ()))


def specs(entry: str, text: str) -> list[str]:
    """Of an entry such as `{"class": path, ...}`, what may be meant by a name or a path alone."""
    paths = [text] if ":" in text else of_name(entry, text)
    return [json.dumps({"class": path, **_logits(path)}) for path in paths]


def _logits(path: str) -> dict[str, bool]:
    """What a loss has to be told: networks give logits."""
    try:
        known = source_code.arguments(path).names
    except (source_code.Missing, source_code.Undecided):
        return {}
    return {"from_logits": True} if "from_logits" in known else {}


def of_path(path: str) -> list[str]:
    """Paths that `"package.module:Name"` may have meant whose module is not there, likest first.

    The module may be another one of its package, at any depth.
    """
    module, _, name = path.partition(":")
    modules = source_code.modules(module.partition(".")[0])
    last = module.rpartition(".")[2]

    def like(known: str) -> float:
        return likeness(module, known) + likeness(last, known.rpartition(".")[2])

    places = sorted(modules, key=lambda known: (-like(known), known))[:_MODULES]
    return _likest(name, [place for place in places if like(place) > 2 * _LEAST])


def _likest(name: str, modules: Sequence[str]) -> list[str]:
    found = {each: module for module in reversed(modules) for each in _objects(module)}
    return [f"{found[each]}:{each}" for each in near(name, found, _MOST)]


def _objects(module: str) -> Iterable[str]:
    """Classes and networks: their names begin with a capital letter, and constants have a line."""
    try:
        names = source_code.public_names(module)
    except (source_code.Missing, source_code.Undecided):
        return []
    return [name for name in names if name[0].isupper() and "_" not in name]
