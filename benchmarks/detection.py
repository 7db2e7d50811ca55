"""Milliseconds of one detection by Faster R-CNN, a part a row, and what part of the whole it is.

VGG-16, a shorter side of 600 pixels, 300 regions of 20 classes. What the proposal net and the head
answer is drawn at random, so that suppression has as much to do as in a net that is not sure.
Proposals are the decoding, the sorting and the suppression of anchors; detections the decoding and
the suppression of the regions of each class.

    python -m benchmarks.detection --rounds 5
    python -m benchmarks.detection --compress     # the head by truncated SVD, too: some minutes
"""

import argparse
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from keras_models.detection import FasterRCNN
from keras_models.detection.fast_rcnn import compressed

# The parts without convolutions and matrix products.
BOXES = ("proposals", "pooling", "detections")


def parts(net: keras.Model) -> dict[str, tuple[Callable, tuple]]:
    """Of each part a function and what it is asked in the benchmark."""
    random = np.random.default_rng(0)
    places, anchors = net.output["proposal_logits"].shape[1:3], len(net.get_layer("proposals").base)
    regions = net.get_layer("proposals").tested

    def normal(*shape: int, deviation: float = 1.0) -> tf.Tensor:
        return tf.constant(random.normal(0, deviation, shape), tf.float32)

    image = normal(1, *net.input_shape[1:])
    maps = normal(1, *places, net.output["maps"].shape[-1])
    logits, codes = normal(1, *places, 2 * anchors), normal(1, *places, 4 * anchors, deviation=0.2)
    found = net.get_layer("proposals")([image, logits, codes])
    pooled = normal(1, regions, *net.get_layer("region_pool").output.shape[2:])
    classes = net.get_layer("class_logits").units
    answers = normal(1, regions, classes, deviation=2), normal(1, regions, 4 * (classes - 1))
    of_anchors = [net.output["proposal_logits"], net.output["proposal_codes"]]

    def pooling(maps: tf.Tensor, found: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
        pixels = net.get_layer("region_pixels")([found, image])
        return net.get_layer("region_pool")([maps, pixels])

    return {
        "backbone": (keras.Model(net.input, net.output["maps"]), (image,)),
        "proposal net": (keras.Model(net.output["maps"], of_anchors), (maps,)),
        "proposals": (lambda *x: net.get_layer("proposals")([*x]), (image, logits, codes)),
        "pooling": (pooling, (maps, found, image)),
        "head": (net.head, (pooled,)),
        "detections": (lambda *x: net.get_layer("detections")([*x]), (found, *answers)),
    }


def milliseconds(
    measured: Mapping[str, tuple[Callable, tuple]], rounds: int, jit_compile: bool
) -> dict[str, float]:
    """The least of many rounds, in which the parts take turns: what else runs slows all alike."""
    functions = {
        name: (tf.function(function, jit_compile=jit_compile), x)
        for name, (function, x) in measured.items()
    }
    least = dict.fromkeys(measured, float("inf"))
    for turn in range(rounds + 1):
        for name, (function, x) in functions.items():
            start = time.perf_counter()
            tf.nest.map_structure(lambda y: y.numpy(), function(*x))
            if turn:
                least[name] = min(least[name], 1e3 * (time.perf_counter() - start))
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbone", default="vgg16", choices=("vgg16", "zf"))
    parser.add_argument("--size", nargs=2, type=int, default=[600, 800])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jit-compile", action="store_true")
    parser.add_argument("--compress", action="store_true", help="fc6 and fc7, by truncated SVD")
    arguments = parser.parse_args()

    net = FasterRCNN((*arguments.size, 3), backbone=arguments.backbone)
    measured = parts(net)
    if arguments.compress:
        measured["head, compressed"] = (compressed(net).head, measured["head"][1])
    found = milliseconds(measured, arguments.rounds, arguments.jit_compile)
    whole = sum(value for name, value in found.items() if name != "head, compressed")
    height, width = arguments.size
    table = Table(title=f"{net.name}, {arguments.backbone}, {height} x {width} pixels")
    for column in ("part", "ms", "of the whole"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for name, value in found.items():
        table.add_row(name, f"{value:.1f}", f"{100 * value / whole:.1f} %")
    boxes = sum(found[name] for name in BOXES)
    table.add_row("whole", f"{whole:.1f}", "")
    table.add_row(" and ".join(BOXES), f"{boxes:.1f}", f"{100 * boxes / whole:.1f} %")
    Console().print(table)


if __name__ == "__main__":
    main()
