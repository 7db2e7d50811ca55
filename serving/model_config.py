"""Which models are served, from where and in which versions: ModelServerConfig."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from google.protobuf import text_format

from serving.errors import ServingError, invalid
from serving.protos import model_server_config_pb2

_PLATFORM = "tensorflow"
_URI = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
# What a path of the REST API cannot carry, and what no path should.
_BAD_NAME = re.compile(r"[/:%\\\x00-\x1f\x7f]|^\.{1,2}$")

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One model. Of its versions the `latest` newest are served, all for None; or `specific` ones.

    labels: version numbers by label.
    """

    name: str
    base_path: str
    latest: int | None = 1
    specific: frozenset[int] = frozenset()
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def by_path(models: Mapping[str, str | os.PathLike[str]]) -> list[ModelConfig]:
    """The newest version of each, from the directory that holds its versions."""
    return [ModelConfig(name, os.fspath(path)) for name, path in models.items()]


def read_model_config(path: str | os.PathLike[str]) -> list[ModelConfig]:
    """The models of a ModelServerConfig in text format.

    Raises ValueError that names the file where it cannot be read or asks for what cannot be.
    """
    return _parsed(Path(path).read_bytes(), path)


class ConfigFile:
    """A ModelServerConfig in text format whose changes are followed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._applied = b""

    def read(self) -> list[ModelConfig]:
        """The models in the file. Raises ValueError as `read_model_config` does."""
        content = self._path.read_bytes()
        models = _parsed(content, self._path)
        self._applied = content
        return models

    def follow(
        self,
        seconds: float,
        reload: Callable[[Sequence[ModelConfig]], None],
        stopping: threading.Event,
    ) -> None:
        """Looks each `seconds`, until `stopping`, and has other models than were read served.

        What cannot be read or served is logged once, and tried again at each look.
        """
        problem = ""
        while not stopping.wait(seconds):
            try:
                self._reload_if_changed(reload)
                problem = ""
            except (OSError, ValueError, ServingError) as error:
                if not stopping.is_set() and str(error) != problem:
                    problem = str(error)
                    _log.error("the change of %s has not been made: %s", self._path, problem)

    def _reload_if_changed(self, reload: Callable[[Sequence[ModelConfig]], None]) -> None:
        content = self._path.read_bytes()
        if content != self._applied:
            reload(_parsed(content, self._path))
            self._applied = content


def _parsed(content: bytes, path: str | os.PathLike[str]) -> list[ModelConfig]:
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(content.decode(), config)
        return from_proto(config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a ModelServerConfig: {error}") from error
    except ServingError as error:
        raise ValueError(f"{path}: {error.message}") from error


def from_proto(config: model_server_config_pb2.ModelServerConfig) -> list[ModelConfig]:
    """The models of a ModelServerConfig.

    Raises ServingError(INVALID_ARGUMENT) with TensorFlow Serving's message where it has one.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    models = [_model(proto) for proto in config.model_config_list.config]
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Illegal to list model {name} multiple times in config list")
    return models


def _model(proto: model_server_config_pb2.ModelConfig) -> ModelConfig:
    name, path = proto.name, proto.base_path
    if not name or _BAD_NAME.search(name):
        raise invalid(f"{name!r} cannot be the name of a model")
    if proto.model_platform not in ("", _PLATFORM) or proto.model_type > 1:
        raise invalid(f"model {name}: the platform has to be {_PLATFORM}")
    if not (proto.model_platform or proto.model_type):
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) "
            "nor ModelServerConfig::model_platform."
        )
    if not (os.path.isabs(path) or _URI.match(path)) or "\0" in path:
        raise invalid(
            f"Expected model {name} to have an absolute path or URI; got base_path()={path}"
        )
    if ".." in path.split("/"):
        raise invalid(f"model {name}: the base path {path} leads upwards")
    if proto.HasField("logging_config"):
        raise invalid(f"model {name}: logging_config is not supported by the embedded server")
    latest, specific = _policy(proto)
    return ModelConfig(name, path, latest, specific, dict(proto.version_labels))


def _policy(proto: model_server_config_pb2.ModelConfig) -> tuple[int | None, frozenset[int]]:
    policy = proto.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return None, frozenset()
    if kind == "specific":
        if not policy.specific.versions:
            raise invalid(f"model {proto.name}: the specific policy names no version")
        return None, frozenset(policy.specific.versions)
    return max(policy.latest.num_versions, 1), frozenset()


def to_proto(models: Sequence[ModelConfig]) -> model_server_config_pb2.ModelServerConfig:
    """The message that says the same."""
    config = model_server_config_pb2.ModelServerConfig()
    for model in models:
        proto = config.model_config_list.config.add(
            name=model.name, base_path=model.base_path, model_platform=_PLATFORM
        )
        if model.specific:
            proto.model_version_policy.specific.versions.extend(sorted(model.specific))
        elif model.latest is None:
            proto.model_version_policy.all.SetInParent()
        else:
            proto.model_version_policy.latest.num_versions = model.latest
        proto.version_labels.update(model.labels)
    return config
