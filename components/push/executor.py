"""TFX's Pusher, made safe against a full disk."""

from __future__ import annotations

import errno
import os
from typing import Any

import tensorflow as tf
from google.protobuf import json_format
from tfx import types
from tfx.components.pusher import executor
from tfx.proto import pusher_pb2


class PushError(OSError):
    """The model could not be written where servers watch for it."""


class Executor(executor.Executor):
    """Pushes like TFX's own executor; a push that fails leaves nothing half written.

    TFX copies `saved_model.pb` last, so that no server takes a version before it is whole.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See the base class.

        Raises:
          PushError: the disk is full or cannot be written; what was copied has been removed.
        """
        folder = _destination(exec_properties)
        before = _versions(folder)
        try:
            super().Do(input_dict, output_dict, exec_properties)
        except (OSError, tf.errors.OpError) as error:
            for version in _versions(folder) - before:
                tf.io.gfile.rmtree(os.path.join(folder, version))
            raise PushError(f"cannot push to {folder}: {_reason(error)}") from error


def _destination(exec_properties: dict[str, Any]) -> str:
    destination = json_format.Parse(
        exec_properties["push_destination"], pusher_pb2.PushDestination()
    )
    return destination.filesystem.base_directory


def _versions(folder: str) -> set[str]:
    if not tf.io.gfile.exists(folder):
        return set()
    return {name.rstrip("/") for name in tf.io.gfile.listdir(folder)}


def _reason(error: Exception) -> str:
    full = isinstance(error, tf.errors.ResourceExhaustedError)
    if full or getattr(error, "errno", None) == errno.ENOSPC:
        return "the disk is full; free some space and run again, the stages before are kept"
    return str(error)
