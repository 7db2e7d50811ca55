"""Puts in order what a run left that was killed, before the next one begins."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Collection, Iterable
from pathlib import Path

from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto

from pipelines.paths import Paths

_WAIT_SECONDS = 60.0
_PUSHER = "components.push.component.Pusher"
_PARTIAL = ".{}.partial"
_LOG = logging.getLogger(__name__)


class MetadataLocked(OSError):
    """Another program holds the metadata's file."""


def recover(paths: Paths) -> None:
    """Ends the executions that a killed run left as running, and removes what they had begun.

    Nobody else works on the root: whoever runs on it holds its lock. Of a killed Pusher, a version
    that is whole, but of which ML Metadata knows nothing, is removed, too: it will be pushed again.

    Raises:
      MetadataLocked: the metadata cannot be written for a minute.
    """
    path = Path(paths.metadata)
    if not path.exists():
        return
    wait_until_writable(path, _WAIT_SECONDS)
    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READWRITE
    try:
        store = metadata_store.MetadataStore(config)
        # Not by a query: ML Metadata from 1.21 on has none.
        known = store.get_executions()
    except errors.NotFoundError:
        # Killed before the tables were there; whoever comes next makes them.
        return
    left = [each for each in known if each.last_known_state == proto.Execution.RUNNING]
    if not left:
        return
    for execution in left:
        _LOG.warning("Execution %d (%s) was left running", execution.id, execution.type)
        execution.last_known_state = proto.Execution.FAILED
        execution.custom_properties["error"].string_value = "the run was ended in the middle of it"
        _remove_outputs(Path(paths.root, "pipelines"), execution.id)
    _remove_unknown_versions(store, Path(paths.serving), left)
    # Last: should this be killed, too, the next begins anew.
    store.put_executions(left)


def wait_until_writable(path: Path, seconds: float) -> None:
    """Returns once an SQLite file can be written.

    Raises:
      MetadataLocked: not within `seconds`.
    """
    with contextlib.closing(sqlite3.connect(path, timeout=seconds, isolation_level=None)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise MetadataLocked(
                f"{path} is locked by another program, and was for {seconds:g} seconds; close it "
                "(a database browser, a copy in progress, a run on another machine) and run again"
            ) from error


def _remove_outputs(pipelines: Path, execution: int) -> None:
    """The folders are called PIPELINE/STAGE/OUTPUT/EXECUTION, and those of TFX's own alike."""
    for folder in pipelines.glob(f"*/*/*/{execution}"):
        shutil.rmtree(folder, ignore_errors=True)


def _remove_unknown_versions(
    store: metadata_store.MetadataStore, serving: Path, left: Iterable[proto.Execution]
) -> None:
    pushers = [each for each in left if each.type == _PUSHER]
    if not pushers:
        return
    begun = min(each.create_time_since_epoch for each in pushers) // 1000
    known = {
        push.custom_properties["pushed_destination"].string_value
        for push in store.get_artifacts_by_type("PushedModel")
    }
    for version in serving.glob("*/*"):
        if _is_new(version, begun) and not _is_known(version, known):
            _LOG.warning("%s was pushed by a run that was killed; removed", version)
            hidden = version.with_name(_PARTIAL.format(version.name))
            version.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)


def _is_new(version: Path, begun: int) -> bool:
    return version.name.isdigit() and int(version.name) >= begun


def _is_known(version: Path, known: Collection[str]) -> bool:
    return str(version) in known or str(version.absolute()) in known
