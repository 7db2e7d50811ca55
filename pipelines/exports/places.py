"""Where an export is written, and what lies beside it."""

from __future__ import annotations

import os
from pathlib import Path

from components.settings import check_choice
from pipelines.exports import Format

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))
_FACTS = "preprocessing.json"


def chosen(kind: Format, name: str, precision: str | None, target: str | Path | None) -> Path:
    """The file or folder to write.

    Args:
      kind: the format.
      name: of the model.
      precision: one of the format's; None for its first.
      target: what the user asks for: the file or, there already or with a `/` at its end, a folder
        to write into; None is the current one.

    Raises:
      RecipeError: a precision that the format does not have.
      ValueError: an empty text, or a file of another suffix than the format's.
    """
    precision = checked_precision(kind, precision)
    file = kind.file_name(name, precision)
    if target is None:
        return Path().absolute() / file
    if not str(target):
        raise ValueError("a place to write to takes a path, not an empty text")
    is_folder = str(target).endswith(_SEPARATORS)
    target = Path(target)
    if not _is_an_export(kind, target) and (is_folder or target.is_dir()):
        return target.absolute() / file
    if kind.takes != "files" and not target.name.endswith(kind.suffix):
        raise ValueError(
            f"--to {target}: the name of such a file ends in {kind.suffix}, and that of a folder "
            f"that is to be made in {os.sep}"
        )
    return target.absolute()


def checked_precision(kind: Format, precision: str | None) -> str:
    """A precision that the format has; its first for None.

    Raises:
      RecipeError: it has no such precision.
    """
    precision = precision or kind.precisions[0]
    check_choice(f"precision of {kind.name}", precision, kind.precisions)
    return precision


def _is_an_export(kind: Format, folder: Path) -> bool:
    """Whether a folder is what such an export has written before."""
    return kind.takes == "files" and (folder / "saved_model.pb").is_file()


def facts(kind: Format, export: Path) -> Path:
    """The JSON file of an export: in a SavedModel's folder, beside a file."""
    inside = kind.takes == "files"
    return export / _FACTS if inside else export.with_name(f"{export.name}.{_FACTS}")


def mean(export: Path) -> Path:
    """The file of what is subtracted from pixels, where that is another value for each pixel."""
    return export.with_name(f"{export.name}.mean.npy")


def check_free(kind: Format, export: Path, overwrite: bool) -> None:
    """Raises ValueError where something is there already and is not to be replaced."""
    for each in (export, facts(kind, export), mean(export)):
        if (each.exists() or each.is_symlink()) and not overwrite:
            raise ValueError(f"{each} is there already; --overwrite replaces it")
