"""The models that a root serves, and a server to ask about them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from components import imports, tasks
from components.settings import near_matches
from pipelines.paths import Paths

if TYPE_CHECKING:
    from pipelines.predictions.pictures import Picture

# TensorFlow Serving's own ports.
GRPC_PORT = 8500
REST_PORT = 8501
_LOAD_SECONDS = 120.0


def pushed(root: Path, names: Sequence[str] = ()) -> dict[str, str]:
    """The folder of versions of each model that has been pushed below `root`.

    Args:
      root: the runs' root.
      names: the models wanted; none for all.

    Raises:
      ValueError: nothing has been pushed, or not under one of these names.
    """
    folders = {
        folder.name: str(folder.absolute())
        for folder in sorted(Path(Paths(str(root)).serving).glob("*"))
        if any(version.name.isdigit() for version in folder.glob("*/"))
    }
    if not folders:
        raise ValueError(f"{root} holds no pushed model; first: convnets run lenet")
    for name in names:
        if name not in folders:
            raise ValueError(f"no model {name!r} in {root}: {near_matches(name, folders)}")
    return {name: folders[name] for name in names or folders}


def only_model(root: Path) -> str:
    """The name of the one model pushed below `root`.

    Raises:
      ValueError: there is none, or more than one.
    """
    names = list(pushed(root))
    if len(names) > 1:
        raise ValueError(f"say which model with --model: {', '.join(names)}")
    return names[0]


def task_and_names(root: Path, model: str) -> tuple[tasks.Task | None, list[str]]:
    """What the newest pushed version of a model answers, and the names of its classes.

    Without TensorFlow's file system: asking a server that runs is a matter of a second.

    Returns:
      None and no names where no such model has been pushed below `root`.

    Raises:
      ValueError: the model answers a task that is not known here.
    """
    folder = Path(Paths(str(root)).serving, model)
    versions = [each for each in folder.glob("*/") if (each / "saved_model.pb").exists()]
    versions = [each for each in versions if each.name.isdecimal()]
    if not versions:
        return None, []
    return facts(max(versions, key=lambda each: int(each.name)))


def facts(folder: Path) -> tuple[tasks.Task, list[str]]:
    """What a SavedModel answers, and the names of its classes.

    Raises:
      ValueError: the model answers a task that is not known here.
    """
    said, names = folder / "assets" / tasks.TASK_ASSET, folder / "assets" / tasks.NAMES_ASSET
    task = tasks.of_facts(said.read_bytes() if said.exists() else None)
    return task, names.read_text(encoding="utf-8").splitlines() if names.exists() else []


def quiet_libraries() -> None:
    """Keeps what the libraries say as they are imported off the screen: nothing in it is news."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    imports.prefer_onednn()
    warnings.simplefilter("ignore")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextlib.contextmanager
def server(
    models: Mapping[str, str],
    grpc_port: int = 0,
    rest_port: int = 0,
    host: str = "127.0.0.1",
    batching: Path | None = None,
    ssl_config: Path | None = None,
) -> Iterator[tuple[str, str]]:
    """Serves `models` from this process for as long as the block lasts.

    Args:
      models: folder of versions by name.
      grpc_port, rest_port: where it listens; 0 for a free one.
      host: the address it listens on.
      batching: TensorFlow Serving's batching parameters; without the file requests are computed
        one by one.
      ssl_config: TensorFlow Serving's SSLConfig; without the file gRPC is not encrypted.

    Yields:
      the gRPC address `HOST:PORT` and the REST address `http://HOST:PORT`, once all models answer.

    Raises:
      OSError: a port cannot be had.
      ValueError: a file is not what it has to be.
      serving.errors.ServingError: a model cannot be loaded.
    """
    from serving import ports, settings

    parameters = settings.read_batching_parameters(batching) if batching else None
    tls = settings.read_tls_settings(ssl_config) if ssl_config else None
    ports.check(host, (grpc_port, rest_port))
    quiet_libraries()
    from serving.server import Server

    with Server(models, grpc_port, rest_port, host=host, batching=parameters, tls=tls) as embedded:
        for name in models:
            embedded.wait_until_available(name, _LOAD_SECONDS)
        yield f"{host}:{embedded.grpc_port}", f"http://{host}:{embedded.rest_port}"


def contents(images: Sequence[Path | bytes], task: tasks.Task | None) -> list[Any]:
    """What a client is given for each question about so many images as the task's inputs take.

    Raises:
      ValueError: a file that is no whole PNG or JPEG, or the last question would lack images.
    """
    from pipelines.predictions import engine, pictures

    engine.check_count(len(images), task)
    asked = (pictures.of(image, number) for number, image in enumerate(images, 1))
    files = ([_whole(each) for each in question] for question in engine.questions(asked, task))
    return [engine.shown(each, task, engine.boxes_of(each, task)) for each in files]


def _whole(picture: Picture) -> bytes:
    from pipelines.predictions import pictures

    try:
        return pictures.checked(picture)[0]
    except ValueError as error:
        raise ValueError(f"{picture.name}: {error}") from error


def listens(address: str) -> bool:
    """Whether anything takes connections at `HOST:PORT`."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1.0):
        return True
    return False


def replace_by_tensorflow_serving(
    models: Mapping[str, str],
    grpc_port: int,
    rest_port: int,
    config: Path,
    batching: Path | None = None,
    ssl_config: Path | None = None,
) -> NoReturn:
    """This process becomes `tensorflow_model_server`.

    Args:
      models: folder of versions by name.
      grpc_port, rest_port: where it listens, on every address of this machine.
      config: the file that lists the models for it; written here.
      batching: its batching parameters; without the file requests are computed one by one.
      ssl_config: its SSLConfig; without the file gRPC is not encrypted.

    Raises:
      ValueError: the program is not on PATH.
    """
    program = shutil.which("tensorflow_model_server")
    if program is None:
        raise ValueError(
            "tensorflow_model_server is not on PATH; --engine embedded serves the same API"
        )
    # A JSON string is a string of protobuf's text format too.
    entries = (
        f"config {{ name: {json.dumps(name)} base_path: {json.dumps(folder)} "
        'model_platform: "tensorflow" }'
        for name, folder in models.items()
    )
    config.write_text(f"model_config_list {{ {' '.join(entries)} }}\n", encoding="utf-8")
    flags = [f"--port={grpc_port}", f"--rest_api_port={rest_port}", f"--model_config_file={config}"]
    if batching:
        flags += ["--enable_batching", f"--batching_parameters_file={batching}"]
    if ssl_config:
        flags.append(f"--ssl_config_file={ssl_config}")
    os.execv(program, [program, *flags])
