"""A recipe as text that people read and change: TOML and JSON, and where each key is in it.

TOML has no null. A key whose default is null is left out; another null is `{ null = true }`.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.recipe import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NULL = {"null": True}
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 100
_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_PATH = rf"({_KEY}(?:\s*\.\s*{_KEY})*)"
_TOML_LINE = re.compile(rf"\s*(?:\[\[?\s*{_PATH}\s*\]|{_PATH}\s*=)")
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,\n]')


class Malformed(ValueError):
    """What is no TOML or JSON; `line` is where, counted from 1, or None where that is not known."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


def to_json(recipe: Recipe) -> str:
    """The recipe as JSON for people: its keys in their usual order."""
    return json.dumps(_plain(recipe), indent=2, ensure_ascii=False) + "\n"


def to_toml(recipe: Recipe) -> str:
    """The recipe as TOML, a table for each key that is a mapping."""
    return "\n".join(_table((), _without_nulls(_plain(recipe)))) + "\n"


def from_json(text: str) -> Any:
    """The values in a text of JSON.

    Raises:
      Malformed: it is none, or has a key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise Malformed(f"the key {name!r} is there twice")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise Malformed(f"no JSON: {error.msg}", error.lineno) from error


def from_toml(text: str) -> Any:
    """The values in a text of TOML, as JSON has them.

    Raises:
      Malformed: it is none, or has a date, which no recipe has.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        line = int(place[1]) if place and place[1] else None
        raise Malformed(f"no TOML: {_TOML_PLACE.sub('', str(error))}", line) from error
    try:
        return _with_nulls(json.loads(json.dumps(values), parse_constant=_no_number))
    except TypeError as error:
        raise Malformed("a date or a time is no value of a recipe; write it as a text") from error


def lines_of_json(text: str) -> dict[str, int]:
    """The line of each key, by its path, such as `optimizer.learning_rate`; from 1."""
    found: dict[str, int] = {}
    # The keys on the way to where the text is, None for what is a list.
    path: list[str | None] = []
    line, last = 1, None
    for token in _JSON_TOKEN.findall(text):
        if token == "\n":
            line += 1
        elif token == ":" and last is not None and path:
            path[-1] = json.loads(last)
            if None not in path:
                found.setdefault(".".join(filter(None, path)), line)
        elif token in "{[":
            path.append("" if token == "{" else None)
        elif token in "}]" and path:
            path.pop()
        last = token if token.startswith('"') else None
    return found


def lines_of_toml(text: str) -> dict[str, int]:
    """The line of each key that begins one, by its path; from 1."""
    found: dict[str, int] = {}
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _TOML_LINE.match(line)
        if match is None:
            continue
        header, key = match.groups()
        if header is not None:
            table = path = _parts(header)
        else:
            path = [*table, *_parts(key)]
        for end in range(1, len(path) + 1):
            found.setdefault(".".join(path[:end]), number)
    return found


def _parts(path: str) -> list[str]:
    return [each.strip("\"'") for each in re.findall(_KEY, path)]


def _no_number(text: str) -> None:
    raise Malformed(f"{text} is no value of a recipe")


def _plain(recipe: Recipe) -> dict[str, Any]:
    values = json.loads(recipe.to_json())
    return {each.name: values[each.name] for each in dataclasses.fields(Recipe)}


def _without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys that are null where they are left out; other nulls are `_NULL`."""

    def there(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: there(each) for key, each in value.items() if each is not None}
        return value

    def marked(value: Any, default: Any) -> Any:
        if isinstance(value, Mapping):
            known = default if isinstance(default, Mapping) else {}
            return {
                key: marked(each, known.get(key))
                for key, each in value.items()
                if not (each is None and known.get(key, _NULL) is None)
            }
        if isinstance(value, list):
            return [marked(each, None) for each in value]
        return _NULL if value is None else value

    # A loss must be there, null or not.
    reread = Recipe(**{"loss": None, **there(values)})
    return marked(values, {**_plain(reread), "loss": _NULL})


def _with_nulls(value: Any) -> Any:
    if value == _NULL:
        return None
    if isinstance(value, Mapping):
        return {key: _with_nulls(each) for key, each in value.items()}
    return [_with_nulls(each) for each in value] if isinstance(value, list) else value


def _table(path: tuple[str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a table: its values, then the tables in it."""
    tables = {key: value for key, value in values.items() if _is_table(value)}
    if path and (len(tables) < len(values) or not values):
        yield from ("", f"[{'.'.join(map(_key, path))}]")
    for key, value in values.items():
        if key not in tables:
            yield from _assigned(key, value)
    for key, value in tables.items():
        yield from _table((*path, key), value)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and value != _NULL


def _assigned(key: str, value: Any) -> Iterator[str]:
    line = f"{_key(key)} = {_inline(value)}"
    if len(line) <= _WIDTH or not (isinstance(value, list) and value):
        yield line
        return
    yield f"{_key(key)} = ["
    yield from (f"    {_inline(each)}," for each in value)
    yield "]"


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {_inline(each)}" for key, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    # JSON's texts, numbers and truth values are TOML's but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


# By the name of the option that asks for it.
FORMS = {"toml": to_toml, "json": to_json}
