"""TFX's Pusher, made safe against a full disk, a sudden end and models that were taken back."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import logging
from google.protobuf import json_format
from tfx import types
from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils

from components import served
from components.settings import keeps_both

# A version `17` that is not to be served is called `.17`: servers take names that are numbers.
WITHDRAWN = "."
_PARTIAL = ".partial"
_GRAPH = "saved_model.pb"
_COMPARED = (_GRAPH, "variables/variables.index", "variables/variables.data-00000-of-00001")


class PushError(OSError):
    """The model could not be written where servers watch for it."""


class Executor(executor.Executor):
    """Pushes like TFX's own executor, and

    - a version appears whole or not at all, however the push ends: on this machine it is renamed
      into its place, elsewhere `saved_model.pb` is written last;
    - all of several blessings are needed;
    - a served model of other classes stays, unless `custom_config` lets so many of them differ
      (`components.served.OTHER_CLASSES`);
    - a model that was taken back (`convnets rollback`) is not pushed again.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See the base class; of a model that is not pushed, the property `why` may say why.

        Raises:
          PushError: the disk is full or cannot be written; what was copied has been removed.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        model = self.GetModelPath(input_dict)
        folder = _destination(exec_properties)
        if why := _objection(model, folder, exec_properties):
            logging.warning("Not pushed: %s", why)
            self._MarkNotPushed(pushed)
            pushed.set_string_custom_property("why", why)
            return
        version = str(max([int(time.time()), *(number + 1 for number in _numbers(folder))]))
        try:
            # First: what is served has its copy and, but for an instant, its line in the metadata.
            io_utils.copy_dir(model, pushed.uri)
            _copy(model, folder, version)
        except (OSError, tf.errors.OpError) as error:
            _remove(folder, [f".{version}{_PARTIAL}", version])
            raise PushError(f"cannot push to {folder}: {_reason(error)}") from error
        self._MarkPushed(
            pushed, pushed_destination=os.path.join(folder, version), pushed_version=version
        )

    def CheckBlessing(self, input_dict: dict[str, list[types.Artifact]]) -> bool:
        """Whether every blessing was given, see the base class."""
        key = standard_component_specs.MODEL_BLESSING_KEY
        blessings = input_dict.get(key, [])
        each = [{**input_dict, key: [blessing]} for blessing in blessings] or [input_dict]
        return all(super(Executor, self).CheckBlessing(one) for one in each)


def _objection(model: str, folder: str, exec_properties: dict[str, Any]) -> str | None:
    """Why a blessed model is not pushed."""
    if (version := _withdrawn(model, folder)) is not None:
        return f"this very model was taken back, as version {version}, by convnets rollback"
    limits = json_utils.loads(exec_properties.get("custom_config") or "null") or {}
    if found := served.objection(folder, served.classes(model), limits):
        name = os.path.basename(folder)
        return f"{found[0]}. {keeps_both(name)}; --set {found[1]} replaces it"
    return None


def _destination(exec_properties: dict[str, Any]) -> str:
    destination = json_format.Parse(
        exec_properties["push_destination"], pusher_pb2.PushDestination()
    )
    return destination.filesystem.base_directory


def _names(folder: str) -> list[str]:
    if not tf.io.gfile.exists(folder):
        return []
    return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]


def _numbers(folder: str) -> Iterator[int]:
    """The versions that there are or were."""
    for name in _names(folder):
        number = name.removeprefix(WITHDRAWN).removesuffix(_PARTIAL)
        if number.isdigit():
            yield int(number)


def _copy(model: str, folder: str, version: str) -> None:
    if "://" in folder:
        # A bucket cannot rename; TensorFlow Serving and ours take a version by this file.
        place = os.path.join(folder, version)
        io_utils.copy_dir(model, place, deny_regex_patterns=[r"saved_model\.pb"])
        io_utils.copy_file(os.path.join(model, _GRAPH), os.path.join(place, _GRAPH))
        return
    _remove(folder, [name for name in _names(folder) if name.endswith(_PARTIAL)])
    partial = os.path.join(folder, f".{version}{_PARTIAL}")
    io_utils.copy_dir(model, partial)
    os.rename(partial, os.path.join(folder, version))


def _remove(folder: str, names: list[str]) -> None:
    for name in names:
        path = os.path.join(folder, name)
        if tf.io.gfile.exists(path):
            tf.io.gfile.rmtree(path)


def _withdrawn(model: str, folder: str) -> str | None:
    """The version as which this model was taken back, if it was."""
    for name in _names(folder):
        number = name.removeprefix(WITHDRAWN)
        if name != number and number.isdigit() and _same(model, os.path.join(folder, name)):
            return number
    return None


def _same(one: str, other: str) -> bool:
    """Whether two SavedModels have the same graph and weights, byte by byte."""
    return all(
        _digest(os.path.join(one, name)) == _digest(os.path.join(other, name)) for name in _COMPARED
    )


def _digest(path: str) -> str | None:
    if not tf.io.gfile.exists(path):
        return None
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    full = isinstance(error, tf.errors.ResourceExhaustedError)
    if full or getattr(error, "errno", None) == errno.ENOSPC:
        return "the disk is full; free some space and run again, the stages before are kept"
    return str(error)
