"""The settings files of tensorflow_model_server that tensorflow-serving-api has no classes for.

Text protos, so read by protobuf's own parser, from a description of their fields:
BatchingParameters (session_bundle_config.proto), SSLConfig (ssl_config.proto) and MonitoringConfig
(monitoring_config.proto).
"""

from __future__ import annotations

import dataclasses
import os
import re
import ssl
import tempfile
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

METRICS_PATH = "/monitoring/prometheus/metrics"
# Room for a batch of camera photographs. TensorFlow Serving takes up to 2 GiB, protobuf's own
# limit.
MAX_MESSAGE_BYTES = 256 << 20
REST_TIMEOUT = 30.0  # TensorFlow Serving's default
_PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----")
# Of TensorFlow, too: each is a thread of the system.
_MOST_THREADS = 10_000
_POSITIVE = ("max_batch_size", "num_batch_threads", "max_enqueued_batches")

_Field = descriptor_pb2.FieldDescriptorProto
# Message: field: type, or the name of a message; a list is repeated.
_MESSAGES: Mapping[str, Mapping[str, Any]] = {
    "Int64Value": {"value": _Field.TYPE_INT64},
    "StringValue": {"value": _Field.TYPE_STRING},
    "BoolValue": {"value": _Field.TYPE_BOOL},
    "BatchingParameters": {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "thread_pool_name": "StringValue",
        "allowed_batch_sizes": [_Field.TYPE_INT64],
        "pad_variable_length_inputs": _Field.TYPE_BOOL,
        "enable_large_batch_splitting": "BoolValue",
        "max_execution_batch_size": "Int64Value",
    },
    "SSLConfig": {
        "server_key": _Field.TYPE_STRING,
        "server_cert": _Field.TYPE_STRING,
        "custom_ca": _Field.TYPE_STRING,
        "client_verify": _Field.TYPE_BOOL,
    },
    "PrometheusConfig": {"enable": _Field.TYPE_BOOL, "path": _Field.TYPE_STRING},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
}


@dataclasses.dataclass(frozen=True)
class BatchingParameters:
    """TensorFlow Serving's batching parameters; the defaults are its own.

    max_batch_size: most rows in a request, and in a batch.
    batch_timeout_micros: how long a batch waits for more while there is a thread for it.
    num_batch_threads: how many batches are computed at once.
    max_enqueued_batches: how many wait, for each signature; a request beyond is refused at once.
    allowed_batch_sizes: sizes to which batches are filled up; the last is max_batch_size, or
      max_execution_batch_size.
    pad_variable_length_inputs: whether rows of different shapes share a batch, the smaller ones
      filled up with their first value.
    enable_large_batch_splitting: whether a request may be larger than a batch, and go into several.
    max_execution_batch_size: most rows in a batch where that is so; max_batch_size without it.

    Raises ValueError where a value makes no sense.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    num_batch_threads: int = os.cpu_count() or 1
    max_enqueued_batches: int = 10
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int | None = None

    @property
    def rows(self) -> int:
        """Most rows in a batch."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size is not None:
            return self.max_execution_batch_size
        return self.max_batch_size

    def __post_init__(self) -> None:
        positive = {name: getattr(self, name) for name in _POSITIVE}
        for name, value in {**positive, "max_execution_batch_size": self.rows}.items():
            if value < 1:
                raise ValueError(f"{name} must be positive; was {value}")
        if self.num_batch_threads > _MOST_THREADS:
            raise ValueError(
                f"num_batch_threads must be at most {_MOST_THREADS}; was {self.num_batch_threads}"
            )
        if self.rows > self.max_batch_size:
            raise ValueError(
                "max_batch_size must be greater than or equal to max_execution_batch_size; were "
                f"{self.max_batch_size} and {self.rows}"
            )
        if self.batch_timeout_micros < 0:
            raise ValueError(
                f"batch_timeout_micros must be non-negative; was {self.batch_timeout_micros}"
            )
        sizes = self.allowed_batch_sizes
        if not sizes:
            return
        if sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
            raise ValueError(f"allowed_batch_sizes must be positive and increase; were {sizes}")
        if sizes[-1] not in (self.max_batch_size, self.rows):
            raise ValueError(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                f"{sizes[-1]}; expected {self.rows}"
            )


@dataclasses.dataclass(frozen=True)
class TlsSettings:
    """PEM texts: the server's key and certificate, and the authority its clients are signed by."""

    server_key: str
    server_cert: str
    custom_ca: str = ""
    client_verify: bool = False

    def credentials(self) -> grpc.ServerCredentials:
        """What gRPC takes. A client has to show a certificate where `client_verify` is true."""
        pair = (self.server_key.encode(), self.server_cert.encode())
        return grpc.ssl_server_credentials(
            [pair], self.custom_ca.encode() or None, self.client_verify
        )


def read_batching_parameters(path: str | os.PathLike[str]) -> BatchingParameters:
    """The BatchingParameters in a text file. Raises ValueError that names the file."""
    message = _read("BatchingParameters", path)
    wrapped = (
        *_POSITIVE,
        "batch_timeout_micros",
        "enable_large_batch_splitting",
        "max_execution_batch_size",
    )
    values = {name: getattr(message, name).value for name in wrapped if message.HasField(name)}
    try:
        return BatchingParameters(
            allowed_batch_sizes=tuple(message.allowed_batch_sizes),
            pad_variable_length_inputs=message.pad_variable_length_inputs,
            **values,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_tls_settings(path: str | os.PathLike[str]) -> TlsSettings:
    """The SSLConfig in a text file. Raises ValueError that names the file."""
    message = _read("SSLConfig", path)
    if not (message.server_key and message.server_cert):
        raise ValueError(f"{path}: server_key and server_cert have to be set")
    if message.client_verify and not message.custom_ca:
        raise ValueError(f"{path}: client_verify needs custom_ca, which signed the clients")
    # gRPC itself says no more of them than that it cannot listen.
    if not _PRIVATE_KEY.search(message.server_key):
        raise ValueError(f"{path}: server_key is no private key in PEM")
    for name in ("server_cert", "custom_ca"):
        if getattr(message, name) and not _is_certificate(getattr(message, name)):
            raise ValueError(f"{path}: {name} is no certificate in PEM")
    _check_pair(path, message.server_key, message.server_cert)
    return TlsSettings(
        message.server_key, message.server_cert, message.custom_ca, message.client_verify
    )


def _check_pair(path: str | os.PathLike[str], key: str, certificate: str) -> None:
    # Only files are read by it; the key stays readable for nobody else.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{key}\n{certificate}\n")
        file.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file.name, password=str)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ValueError(f"{path}: server_key does not belong to server_cert") from None
            why = error.reason or "they cannot be read, or the key has a password"
            raise ValueError(f"{path}: server_key and server_cert: {why}") from None


def _is_certificate(text: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        return False
    return True


def read_metrics_path(path: str | os.PathLike[str]) -> str | None:
    """Where the MonitoringConfig in a text file wants the metrics; None for not at all.

    Raises ValueError that names the file.
    """
    config = _read("MonitoringConfig", path).prometheus_config
    if not config.enable:
        return None
    if config.path and not config.path.startswith("/"):
        raise ValueError(f"{path}: the path {config.path!r} does not begin with /")
    return config.path or METRICS_PATH


def _read(name: str, path: str | os.PathLike[str]) -> Any:
    message = _CLASSES[name]()
    try:
        with open(path, encoding="utf-8") as file:
            text_format.Parse(file.read(), message)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no {name}: {error}") from error
    return message


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="settings.proto", package="convnets", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            repeated = isinstance(kind, list)
            kind = kind[0] if repeated else kind
            message.field.add(
                name=field,
                number=number,
                label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
                type=_Field.TYPE_MESSAGE if isinstance(kind, str) else kind,
                type_name=f".convnets.{kind}" if isinstance(kind, str) else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    # The function changed its name in protobuf 4.
    get = getattr(message_factory, "GetMessageClass", None)
    get = get or message_factory.MessageFactory(pool).GetPrototype
    return {name: get(pool.FindMessageTypeByName(f"convnets.{name}")) for name in _MESSAGES}


_CLASSES = _classes()
