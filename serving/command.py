"""The embedded server as a command, with tensorflow_model_server's flag names."""

from __future__ import annotations

import functools
import logging
import os
from typing import TYPE_CHECKING

import click

from serving import flags, ports, settings
from serving.images import MAX_IMAGE_PIXELS
from serving.model_config import ConfigFile, by_path
from serving.settings import MAX_MESSAGE_BYTES, REST_TIMEOUT

if TYPE_CHECKING:
    from serving.server import Server

_log = logging.getLogger(__name__)
_FILE = click.Path(exists=True, dir_okay=False)


def _print_version(context: click.Context, option: click.Parameter, value: bool) -> None:
    if value:
        click.echo(flags.version())
        context.exit()


@click.command()
@flags.others
@click.option(
    "--port", default=8500, type=flags.PORT, show_default=True, help="gRPC port; 0 leaves gRPC out."
)
@click.option("--grpc_socket_path", help="UNIX socket on which gRPC is answered, too.")
@click.option("--rest_api_port", default=0, type=flags.PORT, help="REST port; 0 leaves REST out.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--model_name", default="default", show_default=True, help="Name of the model.")
@click.option("--model_base_path", help="Directory that holds its numbered versions.")
@click.option(
    "--model_config_file",
    type=_FILE,
    help="ModelServerConfig in text format: several models, their versions and labels.",
)
@click.option(
    "--model_config_file_poll_wait_seconds",
    default=0.0,
    type=flags.Seconds(),
    show_default=True,
    help="Time between two looks for changes of --model_config_file; 0: it is read once.",
)
@click.option(
    "--file_system_poll_wait_seconds",
    default=1.0,
    type=flags.Seconds(),
    show_default=True,
    help="Time between two looks for newer versions; 0: none but the first.",
)
@flags.boolean("enable_batching", help="Compute requests together.")
@click.option(
    "--batching_parameters_file",
    type=_FILE,
    help="BatchingParameters in text format; without it TensorFlow Serving's own defaults.",
)
@click.option(
    "--ssl_config_file", type=_FILE, help="SSLConfig in text format: gRPC over TLS alone."
)
@click.option(
    "--monitoring_config_file",
    type=_FILE,
    help="MonitoringConfig in text format.  [default: metrics at " + settings.METRICS_PATH + "]",
)
@click.option(
    "--rest_api_timeout_in_ms",
    default=int(REST_TIMEOUT * 1000),
    type=click.IntRange(1, (1 << 31) - 1),
    show_default=True,
    help="Time that a REST request may take.",
)
@flags.boolean("rest_api_enable_cors_support", help="Let scripts of any web page ask over REST.")
@click.option(
    "--tensorflow_intra_op_parallelism",
    default=0,
    type=flags.THREADS,
    help="Threads of an operation.",
)
@click.option(
    "--tensorflow_inter_op_parallelism", default=0, type=flags.THREADS, help="Operations at once."
)
@click.option(
    "--tensorflow_session_parallelism", default=0, type=flags.THREADS, help="Both of these."
)
@click.option("--grpc_channel_arguments", default="", help="gRPC's own: NAME=VALUE,NAME=VALUE.")
@click.option(
    "--max_message_bytes",
    default=MAX_MESSAGE_BYTES,
    type=flags.MESSAGE_BYTES,
    show_default=True,
    help="Largest request that is read.",
)
@click.option(
    "--max_image_pixels",
    default=MAX_IMAGE_PIXELS,
    type=click.IntRange(1),
    show_default=True,
    help="Width times height of the largest image that is decoded.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Print what this is, and end.",
)  # fmt: skip
def main(
    port: int,
    grpc_socket_path: str | None,
    rest_api_port: int,
    host: str,
    model_name: str,
    model_base_path: str | None,
    model_config_file: str | None,
    model_config_file_poll_wait_seconds: float,
    file_system_poll_wait_seconds: float,
    enable_batching: bool,
    batching_parameters_file: str | None,
    ssl_config_file: str | None,
    monitoring_config_file: str | None,
    rest_api_timeout_in_ms: int,
    rest_api_enable_cors_support: bool,
    tensorflow_intra_op_parallelism: int,
    tensorflow_inter_op_parallelism: int,
    tensorflow_session_parallelism: int,
    grpc_channel_arguments: str,
    max_message_bytes: int,
    max_image_pixels: int,
) -> None:
    """Serves SavedModels over TensorFlow Serving's gRPC and REST API until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if ignored := flags.given():
        _log.warning("without effect here: %s", ", ".join(f"--{name}" for name in sorted(ignored)))
    if not (port or rest_api_port or grpc_socket_path):
        raise click.UsageError(
            "at least one of --port, --rest_api_port and --grpc_socket_path has to be set"
        )
    if not (model_config_file or model_base_path):
        raise click.UsageError("--model_base_path or --model_config_file has to be given")
    if batching_parameters_file and not enable_batching:
        raise click.UsageError("--batching_parameters_file needs --enable_batching")
    try:
        file = ConfigFile(model_config_file) if model_config_file else None
        models = file.read() if file else by_path({model_name: model_base_path})
        batching = _batching(enable_batching, batching_parameters_file)
        tls = settings.read_tls_settings(ssl_config_file) if ssl_config_file else None
        metrics_path = _metrics_path(monitoring_config_file)
        flags.set_parallelism(
            tensorflow_intra_op_parallelism,
            tensorflow_inter_op_parallelism,
            tensorflow_session_parallelism,
        )
        grpc_options = flags.channel_arguments(grpc_channel_arguments)
        ports.check(host, (port, rest_api_port))
        # TensorFlow is loaded here, once nothing of what was asked is wrong.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from serving.server import Server, run

        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        server = Server(
            models,
            port or None,
            rest_api_port or None,
            host=host,
            poll_seconds=file_system_poll_wait_seconds,
            max_message_bytes=max_message_bytes,
            max_image_pixels=max_image_pixels,
            batching=batching,
            tls=tls,
            metrics_path=metrics_path,
            rest_timeout=rest_api_timeout_in_ms / 1000,
            rest_cors=rest_api_enable_cors_support,
            grpc_socket_path=grpc_socket_path,
            grpc_options=grpc_options,
        )
        names = ", ".join(model.name for model in models)
        follow = None
        if file and model_config_file_poll_wait_seconds > 0:
            follow = functools.partial(
                file.follow, model_config_file_poll_wait_seconds, server.reload
            )
        run(server, lambda: click.echo(f"serving {names} on {host}, {_ports(server)}"), follow)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(error.strerror or str(error)) from error


def _batching(enabled: bool, file: str | None) -> settings.BatchingParameters | None:
    if not enabled:
        return None
    return settings.read_batching_parameters(file) if file else settings.BatchingParameters()


def _metrics_path(file: str | None) -> str | None:
    return settings.read_metrics_path(file) if file else settings.METRICS_PATH


def _ports(server: Server) -> str:
    found = {"gRPC": server.grpc_port, "REST": server.rest_port}
    shown = [f"{api} port {port}" for api, port in found.items() if port]
    return ", ".join([*shown, *([server.grpc_socket_path] if server.grpc_socket_path else [])])
