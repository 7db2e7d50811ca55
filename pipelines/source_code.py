"""What the source of a function or a class says of its arguments, found without importing it.

A recipe names objects of Keras, which takes seconds to import; their source is parsed in
milliseconds. Imports are followed from module to module, `super().__init__(**kwargs)` and
`other(**kwargs)` to what they call. What cannot be told so (a decorator that may change the
arguments, a base class that is computed) raises `Undecided`.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.util
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TypeVar

# Of decorators, those that leave the arguments as they are.
_HARMLESS = ("keras_export", "tf_export", "register_keras_serializable")
_CHOICE = "checked_choice"  # keras_models.classification.building: argument, value, allowed ones
_LIBRARIES = ("keras", "keras_models")
# keras.Model, whose base classes are the backend's, and what it takes as a layer.
_MODEL = "keras.src.models.model:Model"
# Keras by another name, which TensorFlow computes.
_KERAS_ELSEWHERE = "tensorflow.keras"
_OF_MODELS = ("name", "trainable", "dtype", "autocast", "activity_regularizer")
_Found = TypeVar("_Found")
_OPTIONAL_PARTS = (ast.If, ast.Try, ast.ExceptHandler, ast.With)


def _remembered(function: Callable[[str], _Found]) -> Callable[[str], _Found]:
    """Remembers what libraries' sources say; one's own may change while a scheduler works."""
    remembering = functools.cache(function)

    @functools.wraps(function)
    def found(path: str) -> _Found:
        is_library = path.partition(".")[0] in _LIBRARIES
        return remembering(path) if is_library else function(path)

    return found


class Undecided(Exception):
    """The source does not say."""


class Missing(Exception):
    """There is no such module, or no such name in it; `known` are those that there are."""

    def __init__(self, what: str, name: str, known: Sequence[str] = ()) -> None:
        super().__init__(what, name)
        self.what, self.name, self.known = what, name, known


@dataclass(frozen=True)
class Arguments:
    """What a function or a class can be called with by name.

    Attributes:
      names: the arguments; `required`, those of them without a default.
      annotations: the types of those that state one.
      choices: the texts that an argument may be, of those whose source lists them.
    """

    names: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    annotations: dict[str, ast.expr] = field(default_factory=dict)
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Definition:
    """A function or a class, and the module in which the names in it have their meaning."""

    module: str
    node: ast.FunctionDef | ast.ClassDef


@_remembered
def arguments(path: str) -> Arguments:
    """The arguments of `"package.module:Name"`.

    Raises:
      Missing: there is no such module or name.
      Undecided: the source does not say.
    """
    module, _, name = path.partition(":")
    find(module)
    known = _names(module)
    if name not in known:
        raise Missing("name", name, public_names(module))
    try:
        return _either([_arguments_of(each) for each in _meanings(module, name)])
    except (Missing, RecursionError) as error:  # of what it is made of
        raise Undecided from error


def public_names(module: str) -> list[str]:
    """What a module defines or imports for others, sorted.

    Raises:
      Missing: there is no such module.
      Undecided: the source does not say.
    """
    return sorted(name for name in _names(module) if not name.startswith("_"))


@_remembered
def lineages(path: str) -> list[list[str]]:
    """Where what is at `"package.module:Name"` is defined, as such a path, and what a class is
    derived from.

    Several where it, or a base class, is defined in several ways.

    Raises:
      Missing: there is no such module.
      Undecided: the source does not say.
    """
    module, _, name = path.partition(":")
    found = []
    for meaning in _meanings(module, name):
        if isinstance(meaning, str):
            raise Undecided
        is_class = isinstance(meaning.node, ast.ClassDef)
        for line in _lineages(meaning) if is_class else [[meaning]]:
            found.append([f"{each.module}:{each.node.name}" for each in line])
    return found


def is_model_class(path: str) -> bool:
    """Whether a class derived from keras.Model is at a path, as far as the source says."""
    try:
        return all(_MODEL in line for line in lineages(path))
    except (Missing, Undecided, RecursionError):
        return False


def _either(found: Sequence[Arguments]) -> Arguments:
    """Of what is defined in several ways, for different backends for instance."""
    if len(found) == 1:
        return found[0]
    return Arguments(tuple(dict.fromkeys(name for each in found for name in each.names)))


def find(name: str) -> ModuleSpec:
    """Where a module is; unlike `importlib.util.find_spec` it imports no parent.

    Raises:
      Missing: there is none.
      Undecided: its package may look for it elsewhere.
    """
    top, *parts = name.split(".")
    try:
        # The process of a run has the current folder first on its path.
        spec = PathFinder.find_spec(top, [str(Path.cwd())]) or importlib.util.find_spec(top)
    except (ValueError, ImportError) as error:
        raise Undecided from error
    if spec is None:
        raise Missing("module", top)
    for part in parts:
        folders = list(spec.submodule_search_locations or ())
        inside = PathFinder.find_spec(f"{spec.name}.{part}", folders)
        if inside is None:
            if any(word in _text(spec) for word in ("__path__", "sys.modules")):
                raise Undecided  # The package may look for its modules elsewhere.
            raise Missing("module", f"{spec.name}.{part}", _modules(spec.name, folders))
        spec = inside
    return spec


def modules(package: str) -> list[str]:
    """All modules of a package, its own subpackages' among them; none where it is not there."""
    try:
        folders = list(find(package).submodule_search_locations or ())
    except (Missing, Undecided):
        return []
    files = [(Path(folder), file) for folder in folders for file in Path(folder).rglob("*.py")]
    parts = [file.relative_to(folder).with_suffix("").parts for folder, file in files]
    names = {each[:-1] if each[-1] == "__init__" else each for each in parts}
    return sorted(".".join([package, *each]) for each in names if each)


def _modules(package: str, folders: Sequence[str]) -> list[str]:
    files = [file for folder in folders for file in Path(folder).iterdir()]
    names = {file.stem for file in files if file.suffix == ".py" or (file / "__init__.py").exists()}
    return [f"{package}.{name}" for name in sorted(names) if not name.startswith("_")]


def _text(spec: ModuleSpec) -> str:
    """The source; "" of a folder without `__init__.py`."""
    if spec.origin is None:
        return ""
    if not spec.origin.endswith(".py"):
        raise Undecided
    return Path(spec.origin).read_text(encoding="utf-8")


@_remembered
def _body(module: str) -> list[ast.stmt]:
    """A module's statements, those inside of `if` and `try` among them."""

    def every(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
        for node in body:
            yield node
            if isinstance(node, _OPTIONAL_PARTS):
                for part in ("body", "handlers", "orelse", "finalbody"):
                    yield from every(getattr(node, part, ()))

    try:
        return list(every(ast.parse(_text(find(module))).body))
    except (SyntaxError, ValueError) as error:
        raise Undecided from error


def _names(module: str) -> set[str]:
    """What a module defines or imports. Undecided where that depends on what it computes."""
    found = set()
    for node in _body(module):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            found |= {
                each.id
                for each in ast.walk(node)
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
            }
            computed = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            if computed & {"globals", "setattr", "vars"}:
                raise Undecided
    if found & {"*", "__getattr__"}:
        raise Undecided
    return found


def _meanings(module: str, name: str) -> list[_Definition | str]:
    """What a name of a module stands for: definitions, or the name of a module."""
    if f"{module}.{name}" == _KERAS_ELSEWHERE:
        return ["keras"]
    if f"{module}.".startswith(f"{_KERAS_ELSEWHERE}."):
        module = f"keras{module.removeprefix(_KERAS_ELSEWHERE)}"
    found: list[_Definition | str] = []
    for node in _body(module):
        match node:
            case ast.FunctionDef(name=defined) | ast.ClassDef(name=defined) if defined == name:
                found.append(_Definition(module, node))
            case ast.Import():
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    if name == (alias.asname or top):
                        found.append(alias.name if alias.asname else top)
            case ast.ImportFrom():
                for alias in node.names:
                    if name == (alias.asname or alias.name):
                        found += _imported(module, _source(module, node), alias.name)
            case ast.Assign(targets=[ast.Name(id=assigned)]) if assigned == name:
                found += _of_expression(module, node.value)
    if not found:
        find(f"{module}.{name}")
        found.append(f"{module}.{name}")
    return found


def _imported(module: str, source: str, name: str) -> list[_Definition | str]:
    if source == module:  # a package that imports a module of its own
        find(f"{source}.{name}")
        return [f"{source}.{name}"]
    return _meanings(source, name)


def _source(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    is_package = find(module).submodule_search_locations is not None
    parents = module.split(".")
    parents = parents[: len(parents) - node.level + is_package]
    return ".".join([*parents, *([node.module] if node.module else [])])


def _of_expression(module: str, node: ast.expr) -> list[_Definition | str]:
    """What `Adam` or `keras.optimizers.Adam` stands for."""
    if isinstance(node, ast.Name):
        return _meanings(module, node.id)
    if not isinstance(node, ast.Attribute):
        raise Undecided
    found = []
    for each in _of_expression(module, node.value):
        if not isinstance(each, str):
            raise Undecided
        found += _meanings(each, node.attr)
    return found


def _arguments_of(meaning: _Definition | str) -> Arguments:
    if isinstance(meaning, str):
        raise Undecided
    if isinstance(meaning.node, ast.ClassDef):
        return _either([_initializer(lineage) for lineage in _lineages(meaning)])
    return _called(meaning, lambda: Arguments())


def _lineages(of: _Definition | str) -> list[list[_Definition]]:
    """A class and those it is derived from, in the order in which a method is looked for.

    Several where a base class is defined in several ways.
    """
    if isinstance(of, str) or not isinstance(of.node, ast.ClassDef):
        raise Undecided
    if _is_model(of):
        return [[of]]
    ways = []
    for base in of.node.bases:
        if isinstance(base, ast.Name) and base.id == "object":
            continue
        if isinstance(base, ast.Name) and base.id in vars(builtins):
            raise Undecided
        meant = _of_expression(of.module, base)
        ways.append([lineage for each in meant for lineage in _lineages(each)])
    lineages = []
    for way in itertools.product(*ways):
        last_first = dict.fromkeys(reversed(list(itertools.chain(*way))))
        lineages.append([of, *reversed(last_first)])
    return lineages


def _initializer(lineage: Sequence[_Definition]) -> Arguments:
    if not lineage:
        return Arguments()
    first, *others = lineage
    if _is_model(first):
        return Arguments(_OF_MODELS)
    _check_decorators(first.node)
    for node in first.node.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return _called(_Definition(first.module, node), lambda: _initializer(others), True)
    return _initializer(others)


def _is_model(of: _Definition) -> bool:
    return f"{of.module}:{of.node.name}" == _MODEL


def _check_decorators(node: ast.FunctionDef | ast.ClassDef) -> None:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name not in _HARMLESS:
            raise Undecided


def _called(
    of: _Definition, initializer: Callable[[], Arguments], is_method: bool = False
) -> Arguments:
    """The arguments of a function; `initializer` gives those of what its `super()` calls."""
    _check_decorators(of.node)
    given = of.node.args
    positional = given.args[is_method:]
    optional = positional[len(positional) - len(given.defaults) :] if given.defaults else []
    required = [each.arg for each in positional if each not in optional]
    required += [
        each.arg
        for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
        if default is None
    ]
    own = [*positional, *given.kwonlyargs]
    names = [each.arg for each in own]
    if given.kwarg is not None:
        names += _passed_on(of, given.kwarg.arg, initializer)
    return Arguments(
        names=tuple(dict.fromkeys(names)),
        required=tuple(required),
        annotations={each.arg: each.annotation for each in own if each.annotation},
        choices=_choices(of),
    )


def _passed_on(of: _Definition, kwargs: str, initializer: Callable[[], Arguments]) -> list[str]:
    """What may be among `**kwargs`: what is taken out of them, and what they are passed to."""
    names: list[str] = []
    understood = 0
    for node in ast.walk(of.node):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=target), attr="pop" | "get"),
                args=[ast.Constant(value=str(name)), *_],
            ) if target == kwargs:
                names.append(name)
                understood += 1
            case ast.Call() if any(_is(each.value, kwargs) for each in node.keywords):
                names += _target(of, node.func, initializer).names
                understood += 1
            case ast.If(test=ast.Name(id=target), body=[ast.Raise(), *_]) if target == kwargs:
                understood += sum(_is(each, kwargs) for each in ast.walk(node))
    if understood != sum(_is(each, kwargs) for each in ast.walk(of.node)):
        raise Undecided
    return names


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _target(of: _Definition, function: ast.expr, initializer: Callable[[], Arguments]) -> Arguments:
    match function:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
            return initializer()
    return _either([_arguments_of(each) for each in _of_expression(of.module, function)])


def _choices(of: _Definition) -> dict[str, tuple[str, ...]]:
    """The texts that the function itself, unconditionally, lets an argument be."""
    found = {}
    for statement in of.node.body:
        if not isinstance(statement, ast.Expr | ast.Assign | ast.Return):
            continue
        for node in ast.walk(statement):
            match node:
                case ast.Call(
                    func=ast.Name(id=name),
                    args=[ast.Constant(value=argument), ast.Name(id=value), ast.Name(id=allowed)],
                ) if name == _CHOICE and argument == value:
                    texts = _texts(of.module, allowed)
                    if texts:
                        found[value] = texts
    return found


def _texts(module: str, name: str) -> tuple[str, ...]:
    """The texts of a module's constant: a tuple, or the keys of a mapping. () where not known."""
    for node in _body(module):
        match node:
            case ast.Assign(targets=[ast.Name(id=assigned)]) if assigned == name:
                items = getattr(node.value, "elts", None) or getattr(node.value, "keys", None) or ()
                if all(isinstance(i, ast.Constant) and isinstance(i.value, str) for i in items):
                    return tuple(i.value for i in items)
    return ()
