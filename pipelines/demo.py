"""`make demo`: LeNet-5 on MNIST from the first stage to answers over gRPC and over REST."""

from __future__ import annotations

import base64
import json
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.answers import of_rest, one_by_one
from components.tasks import Output
from pipelines import recipes, served
from pipelines.commands.common import DEFAULT_ROOT, console, status
from pipelines.commands.running import run
from pipelines.console import answers, screens
from pipelines.predictions.tables import Form

RECIPE = "lenet"
IMAGES = 10


def main(root: Path = DEFAULT_ROOT) -> int:
    """Runs the recipe, serves what it pushed, and asks about real test images.

    Returns:
      the exit code.
    """
    screen = console()
    summary = run(recipes.find(RECIPE), root, screen)
    if summary["error"]:
        return 1
    screen.print()
    from serving.client import Client

    served.quiet_libraries()
    models = served.pushed(root, [RECIPE])
    with status(screen, "loading TensorFlow and the model"):
        pngs, labels = test_images(IMAGES)
        with served.server(models) as (grpc, rest):
            task, classes = served.task_and_names(root, RECIPE)
            with Client(grpc) as client:
                by_grpc = client.predict(RECIPE, pngs)
            by_rest = ask_rest(f"{rest}/v1/models/{RECIPE}:predict", pngs, task.outputs)
    names = [f"t10k-images#{index} is a {label}" for index, label in enumerate(labels)]
    screen.print(f"{IMAGES} test images, answered by the server over gRPC and over REST:")
    form = Form(task, classes)
    columns, rows = answers.in_words(by_grpc, form)
    _, rows_by_rest = answers.in_words(by_rest, form)
    screen.print(screens.answers_table(names, columns, rows, rows_by_rest))
    screen.print(f"The report: {screens.nearby(summary['report'])}")
    return 0


def test_images(count: int) -> tuple[list[bytes], list[int]]:
    """The first MNIST test images as PNG, and what they show."""
    from components.ingest import idx, images, sources

    source = sources.resolve("mnist")
    pixels, labels = idx.read_split(source.base, dict(source.patterns)["test"])
    return [images.png(image) for image in pixels[:count]], [int(each) for each in labels[:count]]


def ask_rest(url: str, pngs: Sequence[bytes], outputs: Sequence[Output]) -> list[dict[str, Any]]:
    """The outputs for each image by their names, asked in plain HTTP as any program can."""
    body = {"instances": [{"b64": base64.b64encode(png).decode()} for png in pngs]}
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request) as response:
        predictions = json.load(response)["predictions"]
    return one_by_one(of_rest(predictions, outputs))


if __name__ == "__main__":
    sys.exit(main())
