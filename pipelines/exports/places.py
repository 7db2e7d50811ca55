"""Where an export is written, and what lies beside it."""

from __future__ import annotations

from pathlib import Path

from components.settings import check_choice
from pipelines.exports import Format

_FACTS = "preprocessing.json"


def chosen(kind: Format, name: str, precision: str | None, target: Path | None) -> Path:
    """The file or folder to write.

    Args:
      kind: the format.
      name: of the model.
      precision: one of the format's; None for its first.
      target: what the user asks for; an existing folder is written into, None is the current one.

    Raises:
      RecipeError: a precision that the format does not have.
    """
    precision = checked_precision(kind, precision)
    file = kind.file_name(name, precision)
    if target is None or (target.is_dir() and not _is_an_export(kind, target)):
        return (target or Path()).absolute() / file
    if kind.takes != "files" and not target.name.endswith(kind.suffix):
        raise ValueError(f"--to {target}: the name of such a file ends in {kind.suffix}")
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
