"""Serves a candidate for a moment and asks it about real images."""

import base64
import json
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components import answers, examples, inputs, progress, served
from components.answers import Answers
from components.canary.checks import difference, in_parts, reasons
from components.ingest import images
from components.tasks import DEFAULT_SIGNATURE, Output, Task
from serving.client import Client
from serving.server import Server

_STAGE = "Canary"
_SAVED_MODEL = "SavedModel"
_SPLIT = "test"
_ENCODED = "image/encoded"
_EXAMPLES = "examples"  # The input that takes tf.Examples, and of one picture encoded images.
_QUESTIONS = 16
_ORIGINALS = 4  # of a kind
_LOADING_SECONDS = 120.0
_ANSWER_SECONDS = 60.0
_LONGEST_REASON = 400
# What TFX's InfraValidator writes and its Pusher looks for.
_BLESSED_PROPERTY = "blessed"
_Encoded = Mapping[str, bytes | Sequence[bytes]]
_BLESSED_FILE = {True: "INFRA_BLESSED", False: "INFRA_NOT_BLESSED"}


@dataclass(frozen=True)
class Question:
    """One image, or the images of several inputs, with the tf.Example that they are stored in.

    Attributes:
      id: its name.
      encoded: by the names of the served inputs the images as they are stored, or the file as it
        was before ingestion; a list for a stack.
      example: the stored one.
    """

    id: str
    encoded: _Encoded
    example: bytes


class Executor(base_executor.BaseExecutor):
    """Executor of `components.canary.component.Canary`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Blesses a model that answers well, and withholds the blessing from any other.

        A bad model is no failure of this component: it says why in `canary.json`, as TFX's
        InfraValidator only says it in the log, and the Pusher then pushes nothing.

        Args:
          input_dict: `model` and `examples`, one artifact each.
          output_dict: `blessing`. Its folder gets INFRA_BLESSED or INFRA_NOT_BLESSED and
            `canary.json` (what `examine` returns); its custom property `blessed` is 1 or 0.
          exec_properties: none.

        Raises:
          ValueError: the examples have no test split, or an empty one: there is nothing to ask; the
            model answers a task that is not known.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(input_dict["model"])
        path = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
        uri = artifact_utils.get_single_uri(input_dict["examples"])
        task = served.task(path)
        asked, found_files = questions(uri, task), originals(uri, task)
        found = examine(path, task, asked, examples.label_names(uri), found_files)
        if found["blessed"]:
            logging.info("Blessed after %d questions: %s", found["asked"], path)
        else:
            logging.error("No blessing for %s: %s", path, "; ".join(found["reasons"]))
        _write(artifact_utils.get_single_instance(output_dict["blessing"]), found)


def questions(uri: str, task: Task, number: int = _QUESTIONS) -> list[Question]:
    """The first examples of the test split.

    Raises:
      ValueError: there is none.
    """
    asked = []
    for record in examples.records(uri, _SPLIT).take(number).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        name = features["image/id"].bytes_list.value[0].decode("utf-8", "replace")
        asked.append(Question(name, _shown(record, task), record))
    if not asked:
        raise ValueError(f"{uri}: the {_SPLIT} split is empty, there is nothing to ask the canary")
    return asked


def _shown(record: bytes, task: Task, original: bytes | None = None) -> dict[str, Any]:
    """What the server is asked about an example, where there is one with the file as it was found.

    Args:
      record: a serialised tf.Example.
      task: what is asked for.
      original: takes the place of `image/encoded`.
    """
    found: dict[str, Any] = inputs.of_record(record, task)
    if original is not None:
        found |= {each.name: original for each in task.inputs if each.feature == _ENCODED}
    return {_EXAMPLES: next(iter(found.values()))} if task.one_picture else found


def originals(uri: str, task: Task) -> list[Question]:
    """Some files of each kind that ingestion stored otherwise than found, as they were found.

    None where no input of the task is the image that they became.
    """
    if all(each.feature != _ENCODED for each in task.inputs):
        return []
    kept: dict[str, list[Question]] = {}
    for record in examples.originals(uri).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        kind, name, original = (
            features[key].bytes_list.value[0]
            for key in ("image/converted", "image/id", "image/original")
        )
        name = f"{name.decode('utf-8', 'replace')} ({kind.decode()})"
        kept.setdefault(kind, []).append(Question(name, _shown(record, task, original), record))
    return [each for questions in kept.values() for each in questions[:_ORIGINALS]]


def examine(
    path: str,
    task: Task,
    asked: Sequence[Question],
    names: Sequence[str],
    originals: Sequence[Question] = (),
) -> dict[str, Any]:
    """Loads a SavedModel in the server, asks it in every way and looks at the answers.

    Args:
      path: folder of the SavedModel.
      task: what it answers.
      asked: images to ask about.
      names: those that the examples have, where the task has any, in their order.
      originals: more of them; the server is asked about the files as they were before ingestion,
        and has to answer as about what is stored.

    Returns:
      blessed, reasons, asked (how many images), ids (of the images), answers (to each of them over
      gRPC, in the task's words; of a blessed model), latency (milliseconds by API: median and
      highest of single images), agreement (how far each way to ask is from the SavedModel called
      directly: `checks.difference`; of a blessed model).
    """
    asked = [*asked, *originals]
    given: dict[str, Answers] = {}
    seconds: dict[str, list[float]] = {}
    try:
        _ask_in_every_way(path, task, asked, given, seconds)
        sides = _sides(asked, task, given)
        ids = [question.id for question in asked]
        why = reasons(given, ids, task, names, len(originals), sides)
    # Whatever goes wrong here would go wrong on the real server.
    except Exception as error:
        logging.exception("The canary could not be asked")
        why = [_in_short(error)]
    return {
        "blessed": not why,
        "reasons": why,
        "asked": len(asked),
        "ids": [question.id for question in asked],
        "answers": _in_words(given["gRPC"], task, names) if not why else [],
        "latency": {
            api: {"median_ms": 1e3 * float(np.median(each)), "highest_ms": 1e3 * max(each)}
            for api, each in seconds.items()
        },
        "agreement": _agreement(in_parts(given, task, sides), task) if not why else {},
    }


def _sides(asked: Sequence[Question], task: Task, ways: Iterable[str]) -> dict[str, np.ndarray]:
    """By the way of asking, height and width of the picture that each question is about, [N, 2].

    Of answers with places in it alone; others need no picture to be decoded.
    """
    if not any(each.is_place for each in task.outputs):
        return {}
    name = next(each.name for each in task.inputs if each.feature == _ENCODED)
    as_asked, as_stored = [], []
    for question in asked:
        encoded = question.encoded[_EXAMPLES if task.one_picture else name]
        as_asked.append(images.decoded(encoded).image.size[::-1])
        as_stored.append(images.decoded(examples.encoded_image(question.example)).image.size[::-1])
    return {
        way: np.array(as_stored if way == _SAVED_MODEL else as_asked, np.float64) for way in ways
    }


def _in_short(error: Exception) -> str:
    """The first line: TensorFlow's errors go on with a stack trace of the graph."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:_LONGEST_REASON]}"


def _in_words(given: Answers, task: Task, names: Sequence[str]) -> list[dict[str, str]]:
    words = task.part("words")
    rows = [words.row(answer, names) for answer in answers.one_by_one(given)]
    return [dict(zip(words.columns(), row, strict=True)) for row in rows]


def _agreement(given: Mapping[str, Answers], task: Task) -> dict[str, float]:
    reference = given[_SAVED_MODEL]
    return {way: difference(each, reference, task) for way, each in given.items()}


def _ask_in_every_way(
    path: str,
    task: Task,
    asked: Sequence[Question],
    given: dict[str, Answers],
    seconds: dict[str, list[float]],
) -> None:
    """Fills `given`, and `seconds` with the time of each single request, as far as it comes."""
    encoded = [question.encoded for question in asked]
    # As the judge asks: tf.Examples in, all at once. The server is asked about bare images.
    progress.report(_STAGE, 0, 4, "asking the SavedModel")
    given[_SAVED_MODEL] = _ask_saved_model(
        path, task.examples_signature, [question.example for question in asked]
    )
    progress.report(_STAGE, 1, 4, "loading the model in the server")
    with _serve(path) as server, Client(f"{server.host}:{server.grpc_port}") as client:
        progress.report(_STAGE, 2, 4, "asking over gRPC")
        given["gRPC"], seconds["gRPC"] = _one_by_one(encoded, lambda one: _ask_grpc(client, [one]))
        given["gRPC, in one batch"] = _ask_grpc(client, encoded)
        progress.report(_STAGE, 3, 4, "asking over REST")
        url = f"http://{server.host}:{server.rest_port}/v1/models/{_STAGE}:predict"
        given["REST"], seconds["REST"] = _one_by_one(
            encoded, lambda one: _ask_rest(url, [one], task.outputs)
        )
    progress.report(_STAGE, 4, 4, f"{len(asked)} images answered")


@contextmanager
def _serve(path: str) -> Iterator[Server]:
    """The server on free ports of this machine, with the model as version 1."""
    with tempfile.TemporaryDirectory() as base:
        version = os.path.join(base, "1")
        if os.path.isdir(path):
            os.symlink(os.path.abspath(path), version)
        else:
            io_utils.copy_dir(path, version)
        # The Trainer has ended: nobody writes to the model any more.
        with Server({_STAGE: base}, grpc_port=0, rest_port=0, settle_seconds=0.0) as server:
            server.wait_until_available(_STAGE, _LOADING_SECONDS)
            yield server


def _one_by_one(
    questions: Sequence[_Encoded], ask: Callable[[_Encoded], Answers]
) -> tuple[Answers, list[float]]:
    given, seconds = [], []
    for question in questions:
        begun = time.perf_counter()
        given.append(ask(question))
        seconds.append(time.perf_counter() - begun)
    return answers.joined(given), seconds


def _ask_saved_model(path: str, signature: str, records: Sequence[bytes]) -> Answers:
    # The name keeps the model: its functions hold no reference to its variables.
    model = tf.saved_model.load(path)
    if signature not in model.signatures:
        raise ValueError(f"the SavedModel has no signature {signature}")
    outputs = model.signatures[signature](examples=tf.constant(list(records)))
    return answers.readable({name: value.numpy() for name, value in outputs.items()})


def _ask_grpc(client: Client, asked: Sequence[_Encoded]) -> Answers:
    given = {name: inputs.column([each[name] for each in asked]) for name in asked[0]}
    return answers.readable(client.call(_STAGE, given, DEFAULT_SIGNATURE))


def _ask_rest(url: str, asked: Sequence[_Encoded], outputs: Sequence[Output]) -> Answers:
    """Asks as any HTTP client would.

    Raises:
      RuntimeError: the server refused; the text is what it answered.
    """
    # A server takes the value alone where a model has one input.
    instances = [_json(each.get(_EXAMPLES, each)) for each in asked]
    body = json.dumps({"instances": instances}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    # The address is of this machine: a proxy of the environment has no part in it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_ANSWER_SECONDS) as response:
            rows = json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"REST: {error.code} {error.read().decode(errors='replace')}") from error
    return answers.of_rest(rows, outputs)


def _json(value: Any) -> Any:
    """Bytes as TensorFlow Serving's REST API has them."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {name: _json(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_json(each) for each in value]


def _write(blessing: types.Artifact, found: dict[str, Any]) -> None:
    io_utils.write_string_file(
        os.path.join(blessing.uri, "canary.json"), json.dumps(found, indent=1, ensure_ascii=False)
    )
    io_utils.write_string_file(os.path.join(blessing.uri, _BLESSED_FILE[found["blessed"]]), "")
    blessing.set_int_custom_property(_BLESSED_PROPERTY, int(found["blessed"]))
