"""The objects that a recipe names by import path, checked by their source before Keras is loaded.

What the source does not say (see `source_code`) is found when the network is built, which a run
does before anything else.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from components import bounds, trusted
from components.bounds import Bound
from components.settings import RecipeError, check_choice, near_matches
from components.train.objects import ARGUMENTS, INPUT_SHAPE, KINDS, OF_THE_RUN
from pipelines import near_objects, source_code
from pipelines.recipe_bounds import OPTIMIZER
from pipelines.source_code import Arguments

# Of an optimizer, what goes to a callback of this class instead.
_CALLBACKS = {"divide_on_plateau": "keras_models.optimizers:DivideOnPlateau"}
# Whose arguments have the meaning that their names have there.
_LIBRARIES = ("keras", "keras_models")
_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    **dict.fromkeys(("tuple", "list", "Sequence", "Collection", "Iterable"), (list, tuple)),
    **dict.fromkeys(("dict", "Mapping"), (Mapping,)),
}


def check(
    model: str,
    model_args: Mapping[str, Any],
    loss: Any,
    optimizer: Any,
    is_transfer: bool = False,
    has_classes: bool = True,
) -> None:
    """Whether these entries of a recipe name what there is, with arguments that it takes.

    Args:
      model, model_args, loss, optimizer: the recipe's.
      is_transfer: whether the run gives the network more arguments than to others.
      has_classes: whether the run gives it the number of classes.

    Raises:
      RecipeError: an unknown module, name or argument (the near matches are named), a package that
        is not trusted, an object of another kind than wanted, a missing argument, or a value of
        another type or choice than the source states.
    """
    of_the_model = _arguments("model", model)
    if of_the_model is not None:
        of_the_run = OF_THE_RUN if has_classes else OF_THE_RUN[:1]
        absent = [name for name in of_the_run if name not in of_the_model.names]
        if source_code.is_model_class(model):
            # Models with a `call` of their own find the shape of their input by themselves.
            absent = [name for name in absent if name != INPUT_SHAPE]
        if absent:
            raise RecipeError(f"model: {model} takes no {' and no '.join(absent)}")
        given = () if is_transfer else of_the_run
        _check_values("model_args", model_args, of_the_model, given, not is_transfer)
    for where, spec in _losses(loss):
        _check_spec(where, spec, "loss")
    if not isinstance(optimizer, Mapping):
        _check_spec("optimizer", optimizer, "optimizer")
    callbacks = {key: value for key, value in optimizer.items() if key in _CALLBACKS}
    _check_spec(
        "optimizer", {k: v for k, v in optimizer.items() if k not in callbacks}, "optimizer"
    )
    for key, value in callbacks.items():
        found = _arguments(f"optimizer.{key}", _CALLBACKS[key])
        if isinstance(value, Mapping) and found is not None:
            _check_values(f"optimizer.{key}", value, found)


def _losses(loss: Any) -> list[tuple[str, Any]]:
    """Each loss with its place in the recipe: one, none, or one by the name of an output."""
    if loss is None:
        return []
    if (
        isinstance(loss, Mapping)
        and loss
        and all(isinstance(each, Mapping) for each in loss.values())
    ):
        return [(f"loss.{name}", each) for name, each in loss.items()]
    return [("loss", loss)]


def _check_spec(where: str, spec: Any, kind: str) -> None:
    """Of `{"class": path, ...arguments}`, which is to be of a kind of `KINDS`."""
    if not isinstance(spec, Mapping) or not isinstance(spec.get("class"), str):
        meant = _meant(near_objects.specs(where, spec) if isinstance(spec, str) else [])
        raise RecipeError(f'{where} must be {{"class": "MODULE:NAME", ...}}, not {spec!r}{meant}')
    found = _arguments(f"{where}.class", spec["class"])
    _check_kind(f"{where}.class", spec["class"], kind)
    values = {key: value for key, value in spec.items() if key != "class"}
    for key, value in values.items():
        _check_inner(f"{where}.{key}", value, ARGUMENTS[kind])
        if "optimizer" in kind and key in OPTIMIZER and _is_of_a_library(spec["class"]):
            _check_bound(f"{where}.{key}", value, OPTIMIZER[key])
    if found is not None:
        _check_values(where, values, found)


def _is_of_a_library(path: str) -> bool:
    return path.partition(":")[0].partition(".")[0] in _LIBRARIES


def _check_bound(where: str, value: Any, bound: Bound) -> None:
    """Of a plain value; an object, or what stands for a number of the run, is found when built."""
    if not (isinstance(value, Mapping) or (isinstance(value, str) and value.startswith("$"))):
        bounds.check(where, value, bound)


def _check_inner(where: str, value: Any, kind: str) -> None:
    """The objects in an argument."""
    if isinstance(value, Mapping) and "class" in value:
        _check_spec(where, value, kind)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_inner(where, each, kind)


def _check_kind(where: str, path: str, kind: str) -> None:
    """Whether the class at a path is of a kind, as far as its source says."""
    try:
        bases = {line[0] for base in KINDS[kind] for line in source_code.lineages(base)}
        is_one = all(bases & set(line) for line in source_code.lineages(path))
    except (source_code.Undecided, source_code.Missing, RecursionError):
        return
    if not is_one:
        raise RecipeError(f"{where}: {path} is no Keras {kind}")


def _check_trusted(where: str, path: str) -> None:
    """Whether the packages are trusted of which an object, and the module that names it, are."""
    module = path.partition(":")[0]
    if not trusted.is_allowed(module):
        source_code.find(module.partition(".")[0])  # A misspelt package is said to be none.
        trusted.check(where, module)
    with contextlib.suppress(source_code.Undecided, source_code.Missing, RecursionError):
        for line in source_code.lineages(path):
            trusted.check(f"{where} {path}", line[0].partition(":")[0])


def _arguments(where: str, path: str) -> Arguments | None:
    """Of the object at a path; None where its source does not say."""
    module, _, name = path.partition(":")
    if not module or not name:
        meant = near_objects.of_name(where.removesuffix(".class"), path)
        raise RecipeError(f"{where} must be package.module:Name, not {path!r}{_meant(meant)}")
    try:
        _check_trusted(where, path)
        return source_code.arguments(path)
    except source_code.Undecided:
        return None
    except source_code.Missing as error:
        what = f"module {error.name!r}" if error.what == "module" else f"{name!r} in {module}"
        near = f": {near_matches(error.name, error.known)}" if error.known else ""
        if error.what == "module":
            near = _meant(near_objects.of_path(path)) or near
        raise RecipeError(f"{where}: there is no {what}{near}") from error


def _meant(paths: Sequence[str]) -> str:
    return f": did you mean {' or '.join(paths)}?" if paths else ""


def _check_values(
    where: str,
    values: Mapping[str, Any],
    found: Arguments,
    given: Sequence[str] = (),
    is_whole: bool = True,
) -> None:
    known = [f"{where}.{name}" for name in found.names if name not in OF_THE_RUN]
    for name, value in values.items():
        check_choice("key", f"{where}.{name}", known)
        if name in found.choices and isinstance(value, str):
            check_choice(f"{where}.{name}", value, found.choices[name])
        annotation = found.annotations.get(name)
        if annotation is not None and not _fits(value, annotation):
            raise RecipeError(f"{where}.{name} takes {ast.unparse(annotation)}, not {value!r}")
    missing = [name for name in found.required if name not in (*values, *given)]
    if missing and is_whole:
        raise RecipeError(f"{where} needs {' and '.join(missing)}")


def _fits(value: Any, annotation: ast.expr) -> bool:
    """Whether a value may be of a type; of types that are not known here, it may."""
    stands_for_another = isinstance(value, str) and value.startswith("$")
    if stands_for_another or (isinstance(value, Mapping) and "class" in value):
        return True
    match annotation:
        case ast.Constant(value=None):
            return value is None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _fits(value, left) or _fits(value, right)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=parts)):
            return _is_sequence(value, parts)
        case ast.Subscript(value=kind):
            return _fits(value, kind)
        case ast.Name(id=name) if name in _TYPES:
            types = _TYPES[name]
            return isinstance(value, types) and (bool in types or not isinstance(value, bool))
    return True


def _is_sequence(value: Any, parts: Sequence[ast.expr]) -> bool:
    """Of `tuple[int, int]` and `tuple[int, ...]`."""
    if not isinstance(value, list | tuple):
        return False
    if isinstance(parts[-1], ast.Constant) and parts[-1].value is ...:
        parts = [parts[0]] * len(value)
    return len(value) == len(parts) and all(map(_fits, value, parts))
