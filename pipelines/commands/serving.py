"""`convnets serve` and `convnets load-test`."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import convnets
from pipelines import served
from pipelines.commands.common import GivenPath, console, root_option, status, user_errors
from pipelines.served import GRPC_PORT, REST_PORT

if TYPE_CHECKING:
    from collections import Counter

    import numpy as np
    from rich.table import Table

_PORT = click.IntRange(0, 65535)


@click.command("serve")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@root_option
@click.option(
    "--port", default=GRPC_PORT, type=_PORT, show_default=True, help="gRPC port; 0: a free one."
)
@click.option(
    "--rest-port",
    default=REST_PORT,
    type=_PORT,
    show_default=True,
    help="REST port; 0: a free one.",
)
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--engine",
    type=click.Choice(["embedded", "tfserving"]),
    default="embedded",
    show_default=True,
    help="tfserving: tensorflow_model_server, from PATH.",
)
@click.option(
    "--batching",
    type=GivenPath(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Compute requests together: TensorFlow Serving's batching parameters.",
)
@click.option(
    "--ssl_config_file",
    "--ssl-config-file",
    "ssl_config",
    type=GivenPath(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="gRPC over TLS alone: TensorFlow Serving's SSLConfig.",
)
def serve(
    names: Sequence[str],
    root: Path,
    port: int,
    rest_port: int,
    host: str | None,
    engine: str,
    batching: Path | None,
    ssl_config: Path | None,
) -> None:
    """Serves the pushed models, all or those named, over gRPC and REST.

    A model that is pushed later takes the place of its older version at once.
    """
    if engine == "tfserving" and host is not None:
        raise click.UsageError("tensorflow_model_server listens on every address; leave --host out")
    with user_errors():
        models = served.pushed(root, names)
        if engine == "tfserving":
            config = root.absolute() / "models.config"
            served.replace_by_tensorflow_serving(
                models, port, rest_port, config, batching, ssl_config
            )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    screen = console()
    with user_errors(), contextlib.ExitStack() as stack:
        with status(screen, "loading TensorFlow and the models"):
            server = stack.enter_context(
                convnets.serve(
                    names,
                    root,
                    port=port,
                    rest_port=rest_port,
                    host=host or "127.0.0.1",
                    batching=batching,
                    ssl_config=ssl_config,
                )
            )
        for name in server.models:
            screen.print(f"{name}: {server.rest}/v1/models/{name}")
        screen.print(f"gRPC on {server.grpc}; Ctrl-C ends the server")
        stop.wait()


@click.command("load-test")
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE...",
    type=GivenPath(exists=True, dir_okay=False, path_type=Path),
)
@root_option
@click.option("--model", help="Its name; needed where more than one has been pushed.")
@click.option(
    "--server",
    metavar="HOST:PORT",
    default=f"127.0.0.1:{GRPC_PORT}",
    show_default=True,
    help="The server to ask (gRPC); the embedded one or tensorflow_model_server.",
)
@click.option("--clients", default=8, show_default=True, type=click.IntRange(1, 1000))
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(0.1))
@click.option(
    "--batch-size", default=1, show_default=True, type=click.IntRange(1), help="Of a request."
)
@click.option(
    "--timeout",
    default=60.0,
    type=click.FloatRange(0.001),
    show_default=True,
    help="Deadline of a request in seconds.",
)
@click.option(
    "--retries",
    default=0,
    show_default=True,
    type=click.IntRange(0, 4),
    help="How often a request that is refused as UNAVAILABLE is made again.",
)
def load_test(
    images: Sequence[Path],
    root: Path,
    model: str | None,
    server: str,
    clients: int,
    seconds: float,
    batch_size: int,
    timeout: float,
    retries: int,
) -> None:
    """Asks a server about images from many clients at once; how many it answers, and how soon.

    Ends with status 1 where a request was not answered.
    """
    screen = console()
    with user_errors():
        model = model or served.only_model(root)
        contents = served.contents(images, served.task_and_names(root, model)[0])
        from serving.load import Load, measure

        load = Load(server, model, contents, clients, seconds, batch_size, timeout, retries)
        with status(screen, f"{clients} clients ask {server} for {seconds:g} s"):
            measured = measure(load)
    screen.print(_load_table(measured.milliseconds, measured.rate, measured.errors))
    if measured.errors:
        raise click.ClickException(f"{sum(measured.errors.values())} requests were not answered")


def _load_table(milliseconds: np.ndarray, rate: float, errors: Counter[str]) -> Table:
    """Images a second, latencies of the answered requests and errors by their text."""
    import numpy as np
    from rich.table import Table

    table = Table("", "", box=None, show_header=False)
    table.add_row("requests answered", str(len(milliseconds)))
    table.add_row("images a second", f"{rate:.0f}")
    if len(milliseconds):
        for share in (50, 95, 99, 100):
            table.add_row(f"{share} % within", f"{np.percentile(milliseconds, share):.1f} ms")
    for error, count in errors.most_common():
        table.add_row(str(count), error)
    return table
