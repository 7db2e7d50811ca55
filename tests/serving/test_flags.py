"""The flags of `python -m serving` are those of tensorflow_model_server."""

import os
import re
import socket
import sys

import grpc
import pytest
from click.testing import CliRunner

from serving import flags
from serving.client import Client, ServingError
from serving.command import main
from serving.server import Server

# Those of tensorflow_serving/model_servers/main.cc, July 2026, with a value that each may have.
TENSORFLOW_MODEL_SERVER = """
    port=8500 grpc_socket_path=s rest_api_port=8501 rest_api_num_threads=4
    rest_api_timeout_in_ms=30000 rest_api_enable_cors_support=true enable_batching=true
    allow_version_labels_for_unavailable_models=true batching_parameters_file={file}
    enable_per_model_batching_parameters=false model_config_file={file}
    model_config_file_poll_wait_seconds=0 model_name=small model_base_path=/nowhere
    num_load_threads=0 num_unload_threads=0 max_num_load_retries=5
    load_retry_interval_micros=60000000 file_system_poll_wait_seconds=1
    flush_filesystem_caches=true tensorflow_session_parallelism=0
    tensorflow_session_config_file={file} tensorflow_intra_op_parallelism=0
    tensorflow_inter_op_parallelism=0 use_alts_credentials=false ssl_config_file={file}
    platform_config_file={file} per_process_gpu_memory_fraction=0.5 saved_model_tags=serve
    grpc_channel_arguments=grpc.max_connection_age_ms=2000 grpc_max_threads=4
    enable_model_warmup=true num_request_iterations_for_warmup=1 version=
    monitoring_config_file={file} remove_unused_fields_from_bundle_metagraph=true
    prefer_tflite_model=false num_tflite_pools=2 num_tflite_interpreters_per_pool=1
    enable_signature_method_name_check=true xla_cpu_compilation_enabled=false
    xla_gpu_compilation_enabled=false enable_profiler=true thread_pool_factory_config_file={file}
    mixed_precision=bfloat16 skip_initialize_tpu=true enable_grpc_healthcheck_service=true
    enable_serialization_as_tensor_content=true
"""


@pytest.fixture
def text(monkeypatch, caplog):
    """What the command says where its port is in use: all that is wrong comes before."""
    monkeypatch.setitem(sys.modules, "serving.server", None)

    def run(*arguments):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            base = ["--model_base_path=/nowhere", *arguments, f"--port={port}"]
            return CliRunner().invoke(main, base).output

    return run


def test_every_flag_is_known(text, caplog, tmp_path):
    file = tmp_path / "settings"
    file.touch()
    given = TENSORFLOW_MODEL_SERVER.format(file=file).split()
    known = {option.name for option in main.params}
    assert {flag.partition("=")[0] for flag in given} <= known

    without = [flag for flag in given if flag.partition("=")[0] in flags.WITHOUT_EFFECT]
    assert len(without) == len(flags.WITHOUT_EFFECT)
    assert "in use" in text(*(f"--{flag}" for flag in without), "--prefer_tflite_model")
    (message,) = caplog.messages
    assert re.findall("--([a-z_]+)", message) == sorted(flags.WITHOUT_EFFECT)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--enable_batching", "in use"),
        ("--enable_batching=true", "in use"),
        ("--enable_batching=false", "--batching_parameters_file needs --enable_batching"),
        ("--enable_batching=maybe", "'maybe' is not a valid boolean"),
        ("--use_alts_credentials", "--use_alts_credentials is not supported"),
        ("--use_alts_credentials=true", "--use_alts_credentials is not supported"),
        ("--no_such_flag=1", "No such option"),
        ("--grpc_channel_arguments=a=9999999999", "a=9999999999 in --grpc_channel_arguments"),
        ("--grpc_channel_arguments=a", "'a' in --grpc_channel_arguments is not NAME=VALUE"),
        ("--version", f"TensorFlow Library: {__import__('tensorflow').__version__}"),
    ],
)
def test_values_of_flags(text, tmp_path, flag, expected):
    file = tmp_path / "batching.config"
    file.touch()
    more = [f"--batching_parameters_file={file}"] if "batching" in flag else []
    assert expected in text(*more, flag)


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
@pytest.mark.parametrize("value", ["99999", "-1", "1.5"])
def test_a_port_that_is_none(flag, value):
    output = CliRunner().invoke(main, ["--model_base_path=/nowhere", f"--{flag}={value}"]).output
    assert f"Invalid value for '--{flag}'" in output


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        ("model_config_file_poll_wait_seconds", ["-1", "nan", "inf", "1e300"]),
        ("file_system_poll_wait_seconds", ["-1", "nan", "inf", "1e300"]),
        ("rest_api_timeout_in_ms", ["-5", "0", "99999999999"]),
        ("tensorflow_intra_op_parallelism", ["-1", "99999999999"]),
        ("tensorflow_inter_op_parallelism", ["-1", "99999999999"]),
        ("tensorflow_session_parallelism", ["-1", "99999999999"]),
        ("max_message_bytes", ["-1", "0", "99999999999"]),
        ("max_image_pixels", ["-1", "0"]),
    ],
)
def test_numbers_that_make_no_sense(text, flag, values):
    for value in values:
        assert f"Invalid value for '--{flag}'" in text(f"--{flag}={value}")


def test_numbers_that_do_make_sense(text):
    """Each flag with a number has a type that knows its range."""
    numbers = [option for option in main.params if "_RANGE" in option.type.name.upper()
               or option.type.name.upper() in ("INTEGER", "FLOAT", "SECONDS")]  # fmt: skip
    assert {option.name for option in numbers if option.type.name in ("integer", "float")} == set()
    assert "in use" in text(*(f"--{option.name}={option.default}" for option in numbers))


def test_threads_of_tensorflow(monkeypatch):
    names = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
    for name in names:
        monkeypatch.setenv(name, "9")
    flags.set_parallelism(0, 0, 0)
    assert [os.environ[name] for name in names] == ["9", "9"]
    flags.set_parallelism(1, 0, 0)
    assert [os.environ[name] for name in names] == ["1", "9"]
    flags.set_parallelism(0, 0, 3)
    assert [os.environ[name] for name in names] == ["3", "3"]
    with pytest.raises(ValueError, match="You cannot configure all"):
        flags.set_parallelism(1, 2, 3)


def test_a_socket_and_grpcs_own_arguments(tmp_path):
    arguments = flags.channel_arguments("grpc.max_receive_message_length=1000,grpc.a=b")
    assert arguments == {"grpc.max_receive_message_length": 1000, "grpc.a": "b"}
    path = tmp_path / "socket"
    with (
        Server({}, None, None, grpc_socket_path=str(path), grpc_options=arguments) as server,
        Client(f"unix:{path}", timeout=20) as client,
    ):
        assert server.grpc_port is None
        for name, code in (
            ("small", grpc.StatusCode.NOT_FOUND),
            ("a" * 2000, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            with pytest.raises(ServingError) as error:
                client.status(name)
            assert error.value.code is code


def test_a_socket_that_cannot_be_had(tmp_path):
    path = tmp_path / "no folder" / "socket"
    with pytest.raises(OSError, match="no folder"), Server({}, grpc_socket_path=str(path)):
        pass


@pytest.mark.parametrize("port", [99999, -1])
def test_a_server_on_a_port_that_is_none(port):
    for ports in ((port, None), (None, port)):
        with pytest.raises(OSError, match="ports are from 0 to 65535"), Server({}, *ports):
            pass
