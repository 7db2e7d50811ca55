"""tensorflow_model_server's flags: how they are written, and those that change nothing here.

As of tensorflow_serving/model_servers/main.cc in July 2026.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

# About threads, files, caches, TensorFlow Lite, TPUs and XLA, of which the embedded server has none
# or needs no setting.
WITHOUT_EFFECT = (
    "allow_version_labels_for_unavailable_models", "enable_grpc_healthcheck_service",
    "enable_model_warmup", "enable_per_model_batching_parameters", "enable_profiler",
    "enable_serialization_as_tensor_content", "enable_signature_method_name_check",
    "flush_filesystem_caches", "grpc_max_threads", "load_retry_interval_micros",
    "max_num_load_retries", "mixed_precision", "num_load_threads",
    "num_request_iterations_for_warmup", "num_tflite_interpreters_per_pool", "num_tflite_pools",
    "num_unload_threads", "per_process_gpu_memory_fraction", "platform_config_file",
    "prefer_tflite_model", "remove_unused_fields_from_bundle_metagraph", "rest_api_num_threads",
    "saved_model_tags", "skip_initialize_tpu", "tensorflow_session_config_file",
    "thread_pool_factory_config_file", "use_alts_credentials", "xla_cpu_compilation_enabled",
    "xla_gpu_compilation_enabled",
)  # fmt: skip
_GIVEN = f"{__name__}.given"
_INT32 = range(-(1 << 31), 1 << 31)

PORT = click.IntRange(0, 65535)
# More than a machine has; TensorFlow makes all that it is told.
THREADS = click.IntRange(0, 10_000)
# Protobuf takes no larger message.
MESSAGE_BYTES = click.IntRange(1, (1 << 31) - 1)


class Seconds(click.FloatRange):
    """A time that can be waited for, from `min` on. NaN is none."""

    name = "seconds"

    def __init__(self, min: float = 0.0) -> None:
        super().__init__(min, threading.TIMEOUT_MAX)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Fails for what is no such time."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is no time.", param, ctx)
        return seconds


def boolean(name: str, help: str) -> Callable[[_Command], _Command]:
    """An option that is true alone, and as it says with `=true` or `=false`."""
    return click.option(
        f"--{name}", is_flag=False, flag_value="true", default=False, type=click.BOOL,
        metavar="[=true|false]", help=help,
    )  # fmt: skip


def others(command: _Command) -> _Command:
    """Takes the flags of `WITHOUT_EFFECT`, too; see `given`."""
    for name in WITHOUT_EFFECT:
        command = click.option(
            f"--{name}", is_flag=False, flag_value="true", hidden=True, expose_value=False,
            callback=_note,
        )(command)  # fmt: skip
    return command


def _note(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta.setdefault(_GIVEN, {})[option.name] = value


def given() -> dict[str, str]:
    """The flags without effect that the running command was given.

    Raises click.UsageError for one that cannot be left out.
    """
    found = click.get_current_context().meta.get(_GIVEN, {})
    if found.get("use_alts_credentials", "false") != "false":
        # Whoever asks for it does not want to be served without encryption.
        raise click.UsageError("--use_alts_credentials is not supported; --ssl_config_file is")
    return found


def set_parallelism(intra_op: int, inter_op: int, session: int) -> None:
    """Has TensorFlow, once it is loaded, use so many threads; 0 leaves it to TensorFlow.

    Raises ValueError where all three are given.
    """
    if intra_op > 0 and inter_op > 0 and session > 0:
        raise ValueError(
            "Either configure tensorflow_session_parallelism or (tensorflow_intra_op_parallelism, "
            "tensorflow_inter_op_parallelism) separately. You cannot configure all."
        )
    for name, own in (("INTRAOP", intra_op), ("INTEROP", inter_op)):
        if threads := own or session:
            os.environ[f"TF_NUM_{name}_THREADS"] = str(threads)


def channel_arguments(text: str) -> dict[str, int | str]:
    """gRPC's options by name, from `NAME=VALUE,NAME=VALUE`. Raises ValueError for anything else."""
    found: dict[str, int | str] = {}
    for argument in filter(None, text.split(",")):
        name, equals, value = argument.partition("=")
        if not (name and equals):
            raise ValueError(f"{argument!r} in --grpc_channel_arguments is not NAME=VALUE")
        found[name] = int(value) if re.fullmatch(r"-?\d{1,10}", value) else value
        if isinstance(found[name], int) and found[name] not in _INT32:
            raise ValueError(f"{argument} in --grpc_channel_arguments is not in the range of int32")
    return found


def version() -> str:
    """What --version prints."""
    ours, library = map(_version, ("convnets", "tensorflow"))
    return f"TensorFlow ModelServer: embedded, convnets {ours}\nTensorFlow Library: {library}"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "of no package"
