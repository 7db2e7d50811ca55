"""The package on the JAX backend: the same numbers as on TensorFlow, and a training step."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_models import classification
from keras_models.classification import LeNet5, LeNet5ReLU
from keras_models.layers import (
    ActivationBatchNormalization,
    DropConnect,
    LocalContrastNormalization,
    LocallyConnected2D,
    LocalResponseNormalization,
    Maxout,
    OffsetMaxPooling2D,
    SpatialPyramidPooling2D,
    StochasticPooling2D,
    SumPooling2D,
    TiledConv2D,
    WeightNoise,
    prelu,
)

pytestmark = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")

ON_JAX = """
import json, sys
import keras, numpy as np
assert keras.backend.backend() == "jax"
from keras_models.classification import LeNet5, LeNet5ReLU
from keras_models.layers import (
    LocalContrastNormalization, LocallyConnected2D, LocalResponseNormalization, Maxout,
    OffsetMaxPooling2D, SpatialPyramidPooling2D, StochasticPooling2D, Subsampling2D,
    SumPooling2D, TableConv2D, TiledConv2D,
)
from keras_models.losses import MAPCriterion

folder, answers = sys.argv[1], {}
x, labels = np.load(f"{folder}/images.npy"), np.arange(4)
for name, loss in [
    ("LeNet5", MAPCriterion()),
    ("LeNet5ReLU", keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ("layers", keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
]:
    model = keras.models.load_model(f"{folder}/{name}.keras")
    answers[name] = np.asarray(model(x)).tolist()
    before = [np.asarray(variable) for variable in model.variables]
    model.compile(keras.optimizers.SGD(1e-3), loss)
    answers[name + " losses"] = model.fit(
        x, labels, batch_size=4, epochs=5, verbose=0
    ).history["loss"]
    answers[name + " unmoved"] = [
        variable.path
        for variable, old in zip(model.variables, before)
        if variable.trainable and np.array_equal(variable, old)
    ]
for layer in (
    TableConv2D([(0, 1), (2,)], 3, data_format="channels_first"),
    Subsampling2D(data_format="channels_first"),
    LocalResponseNormalization(data_format="channels_first"),
    LocalContrastNormalization(data_format="channels_first"),
    StochasticPooling2D(3, 2, "same", data_format="channels_first"),
    SumPooling2D(3, 2, "same", data_format="channels_first"),
    SpatialPyramidPooling2D(data_format="channels_first"),
    OffsetMaxPooling2D(3, data_format="channels_first"),
    TiledConv2D(4, 3, tile=2, data_format="channels_first"),
    LocallyConnected2D(4, 3, data_format="channels_first"),
    Maxout(3, axis=1),
):
    y = layer(np.zeros((2, 3, 8, 8), "float32"))
    assert tuple(y.shape) == layer.compute_output_shape((2, 3, 8, 8))
assert "tensorflow" not in sys.modules, "imports TensorFlow"
print(json.dumps(answers))
"""


# One net of each family, as small as it can be built.
NETS = {
    "LeNet1": {"input_shape": (16, 16, 1)},
    "Ciresan": {"architecture": "1x14x14-4C3-MP2-6C2-MP2-12N-5N"},
    "AlexNet": {"input_shape": (8, 8, 3), "stem": "cifar", "units": 16, "initialization": "he"},
    "ZFNet": {"input_shape": (8, 8, 3), "stem": "cifar", "units": 16, "initialization": "he"},
    "OverFeat": {"input_shape": (8, 8, 3), "stem": "cifar", "width": 0.0625, "units": 16},
    "VGG": {"configuration": "A-LRN", "input_shape": (32, 32, 3), "width": 0.0625, "units": 16},
    "DropConnectCIFAR10": {"input_shape": (8, 8, 3)},
    "StochasticPoolingNet": {"input_shape": (8, 8, 3), "maps": (4, 4, 4)},
    "GoogLeNet": {"input_shape": (9, 9, 3), "stem": "cifar", "width": 0.0625},
    "BNInception": {"input_shape": (8, 8, 3), "stem": "cifar", "width": 0.0625},
    "PReLUNet": {"input_shape": (8, 8, 3), "stem": "cifar", "width": 0.0625},
    "ResNet18": {"input_shape": (32, 32, 3)},
    "CifarResNet": {"depth": 8, "input_shape": (8, 8, 3), "filters": (2, 4, 6)},
    "HighwayCIFAR": {"input_shape": (8, 8, 3)},
}
# How a net takes one step: whether its numbers are finite, and the weights that have not moved.
STEPPED = """
import json, random, sys
import keras, numpy as np
assert keras.backend.backend() == "jax"

def stepped(model, loss, x, targets):
    before = [np.asarray(variable) for variable in model.trainable_variables]
    model.compile(keras.optimizers.SGD(0.01), loss)
    value = model.train_on_batch(x, targets)
    after = [np.asarray(variable) for variable in model.variables]
    return {
        "finite": bool(all(np.isfinite(each).all() for each in [value, *after])),
        "unmoved": [
            variable.path
            for variable, old in zip(model.trainable_variables, before)
            if np.array_equal(variable, old)
        ],
    }
"""
EVERY_NET_ON_JAX = (
    STEPPED
    + """
from keras_models import classification

answers, labels = {}, np.arange(4)
for name, arguments in json.loads(sys.argv[1]).items():
    random.seed(8)  # Keras takes its seeds from there; its own function imports TensorFlow.
    model = getattr(classification, name)(**arguments, classes=5)
    x = np.random.default_rng(3).normal(size=(4, *model.input_shape[1:])).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    number = len(model.outputs)
    answers[name] = stepped(model, [loss] * number, x, [labels] * number)
assert "tensorflow" not in sys.modules, "imports TensorFlow"
print(json.dumps(answers))
"""
)
DEPTH_NETS = {
    "coarse": ("CoarseFineDepth", {"fine": False}),
    "fine": ("CoarseFineDepth", {}),
    "scales": ("MultiScaleDepth", {"backbone": "vgg", "scales": 2}),
    "crops": ("MultiScaleDepth", {"crop": (9, 12)}),
    "both": ("MultiScaleDepth", {"scales": 2, "answers": ("depth", "normals")}),
}
DEPTH_ON_JAX = (
    STEPPED
    + """
from keras_models import depth
from keras_models.losses import LogDepthLoss, NormalsLoss

LOSSES = {1: LogDepthLoss, 3: NormalsLoss}  # by the channels of an answer
answers, draw = {}, np.random.default_rng(3)
x = draw.normal(size=(4, 60, 80, 3)).astype("float32")
for name, (net, arguments) in json.loads(sys.argv[1]).items():
    random.seed(7)  # As for the classics.
    model = getattr(depth, net)(
        input_shape=x.shape[1:], width=0.125, units=16, feature_scale=1, pixel_scale=1, **arguments
    )
    maps = keras.tree.map_structure(
        lambda output: draw.uniform(0.5, 1, (4, *output.shape[1:])), model.output
    )
    loss = keras.tree.map_structure(lambda output: LOSSES[output.shape[-1]](), model.output)
    answers[name] = stepped(model, loss, x, maps)

import jax
truth, found = np.float32([[[[0.6, 0, -0.8]]]]), {}
for number in (0.0, 2e-38, 1e38, float("inf"), float("nan")):
    value, slope = jax.value_and_grad(lambda y: NormalsLoss().call(truth, y)[0])(
        np.full(truth.shape, number, "float32")
    )
    found[str(number)] = [float(value), bool(np.isfinite(slope).all())]
answers["normals loss"] = found
assert "tensorflow" not in sys.modules, "imports TensorFlow"
print(json.dumps(answers))
"""
)
# With fixed normalisations, two fully connected layers, and given proposals.
DETECTION_NETS = {
    "vgg": ("FasterRCNN", {"width": 0.03125, "units": 16}),
    "residual": ("FasterRCNN", {"backbone": "resnet18", "units": 16}),
    "given": ("FastRCNN", {"width": 0.03125, "units": 16}),
    "warped": ("RCNN", {"backbone": "lenet", "size": 32, "context": 2}),
    "windows": (
        "OverFeatDetector",
        {
            "stem": "cifar",
            "initialization": "he",
            "variant": "fast",
            "scales": (0.5, 1.0),
            "width": 0.1,
            "units": 16,
            "regressor_units": (16, 8),
        },
    ),
}
DETECTION_ON_JAX = (
    STEPPED
    + """
from keras_models import detection

answers, draw = {}, np.random.default_rng(3)
x = draw.normal(size=(4, 64, 64, 3)).astype("float32")
corners, sides = draw.uniform(0, 0.5, (2, 4, 5, 2))
boxes = np.concatenate([corners, corners + 0.1 + 0.8 * sides], axis=-1).astype("float32")
targets = {"boxes": boxes, "classes": draw.integers(-1, 3, (4, 5)).astype("int32")}
for name, (net, arguments) in json.loads(sys.argv[1]).items():
    random.seed(7)  # As for the classics.
    if net == "FasterRCNN":
        arguments |= {"scales": (16, 32), "proposals": 40, "tested_proposals": 20}
    model = getattr(detection, net)(x.shape[1:], 3, seed=1, **arguments)
    inputs = {"image": x, "proposals": boxes} if net in ("FastRCNN", "RCNN") else x
    answers[name] = stepped(model, None, inputs, targets)
    found = model.predict_on_batch(inputs)
    answers[name]["places"] = [list(found[key].shape) for key in ("boxes", "scores", "classes")]
assert "tensorflow" not in sys.modules, "imports TensorFlow"
print(json.dumps(answers))
"""
)
PAIR_NETS = ("InnerProduct", "WeightedChiSquared", "Siamese")
PAIRS_ON_JAX = (
    STEPPED
    + """
from keras_models import verification

answers, draw = {}, np.random.default_rng(3)
x = {name: draw.normal(size=(4, 71, 71, 1)).astype("float32") for name in ("image", "pair")}
for name in json.loads(sys.argv[1]):
    random.seed(7)  # As for the classics.
    model = getattr(verification, name)((71, 71, 1), width=0.125, units=16)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    answers[name] = stepped(model, loss, x, np.float32([[0], [1], [1], [1]]))
assert "tensorflow" not in sys.modules, "imports TensorFlow"
print(json.dumps(answers))
"""
)
BOXES = """
import keras, numpy as np
from keras_models.detection.anchors import base_anchors, grid_anchors
from keras_models.detection.boxes import decode, encode, pairwise_iou
from keras_models.detection.matching import match, sample
from keras_models.detection.merging import merge
from keras_models.detection.sliding_windows import SlidingWindows
from keras_models.detection.suppression import suppress, suppress_by_class
from keras_models.layers import RegionMaxPooling2D

draw = np.random.default_rng(3)
corners, sides = draw.uniform(0, 0.8, (2, 300, 2)), draw.uniform(0.01, 0.3, (2, 300, 2))
boxes = np.concatenate([corners, corners + sides], axis=-1).astype("float32")
scores = draw.uniform(size=(2, 300, 3)).astype("float32")
boxes[0, 0], scores[0, 1] = np.nan, np.inf
present = np.arange(5) < np.array([[5], [0]])
maps = draw.normal(size=(2, 9, 11, 3)).astype("float32")
windows = SlidingWindows([(48, 48)], [(5, 5)], 4, 32, candidates=9, negatives=60)
logits = draw.normal(size=(2, 25, 4)).astype("float32")
codes = draw.normal(0, 0.2, (2, 25, 3, 4)).astype("float32")

def answers():
    truths = boxes[:, -5:]
    matches = match(boxes, truths, present, 0.5, (0.0, 0.3), best_of_each=True)
    found = {
        "iou": pairwise_iou(boxes, truths),
        "codes": encode(boxes, boxes[:, ::-1]),
        "decoded": decode(boxes, boxes[:, ::-1], (0.1, 0.1, 0.2, 0.2)),
        "anchors": grid_anchors(3, 4, 16, base_anchors()),
        "matches": matches,
        "drawn": sample(matches.kinds, 64, 0.25, 5)[1],
        "kept": suppress(boxes, scores[..., 0], 120, 0.3),
        "detections": suppress_by_class(boxes, scores, 50, 0.3, 0.05),
        "merged": merge(boxes[:, :20], scores[:, :20, 0], 0.6),
        "windows": windows([logits, codes]),
        "losses": windows.picture_losses(
            {"boxes": boxes[:, 5:10], "classes": np.where(present, 2, -1)}, logits, codes
        ),
        "regions": RegionMaxPooling2D(5)([maps, boxes * 150]),
    }
    return [np.asarray(keras.ops.convert_to_numpy(x)).tolist() for x in keras.tree.flatten(found)]
"""
BOXES_ON_JAX = (
    BOXES
    + """
import jax, json, sys
assert keras.backend.backend() == "jax"
compiled = jax.jit(lambda boxes, scores: suppress(boxes, scores, 120, 0.3))(boxes, scores[..., 0])
for a, b in zip(compiled, suppress(boxes, scores[..., 0], 120, 0.3)):
    assert np.array_equal(a, b)
assert "tensorflow" not in sys.modules, "imports TensorFlow"
print(json.dumps(answers()))
"""
)
# Programs that run once are not worth compiling well.
HASTILY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def on_jax(script: str, *arguments: str, **environment: str) -> dict:
    """What a script prints last, as JSON, in a process with the JAX backend."""
    root = str(Path(__file__).parents[2])
    jax = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": root}
    ran = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **jax, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def net_of_layers() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            LocalContrastNormalization(),
            TiledConv2D(6, 5, tile=2, strides=2),
            LocalResponseNormalization(),
            ActivationBatchNormalization(),
            StochasticPooling2D(3, 2, "same"),
            LocallyConnected2D(8, 3),
            Maxout(2),
            prelu(),
            SumPooling2D(2, 1),
            OffsetMaxPooling2D(2, every_offset=True),
            SpatialPyramidPooling2D((2, 1)),
            WeightNoise(keras.layers.Dense(20), 0.01),
            DropConnect(20, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def test_same_answers_and_training_on_jax(tmp_path):
    x = np.random.default_rng(0).uniform(-0.1, 1.175, (4, 32, 32, 1)).astype("float32")
    np.save(tmp_path / "images.npy", x)
    nets = {"LeNet5": LeNet5(), "LeNet5ReLU": LeNet5ReLU(), "layers": net_of_layers()}
    for name, net in nets.items():
        net.save(tmp_path / f"{name}.keras")
    answers = on_jax(ON_JAX, str(tmp_path))
    for name, net in nets.items():
        np.testing.assert_allclose(
            answers[name], keras.ops.convert_to_numpy(net(x)), rtol=1e-3, atol=1e-3
        )
        assert answers[f"{name} unmoved"] == []
        losses = answers[f"{name} losses"]
        assert np.isfinite(losses).all()
        # With masks and noise drawn anew every step, five steps need not make a net better.
        if name != "layers":
            assert losses[-1] < losses[0]


@pytest.mark.slow
def test_every_family_takes_a_step_on_jax():
    families = {getattr(classification, name).__module__ for name in classification.__all__}
    # Keras' own nets, and how pictures are prepared for its weights.
    families -= {f"{classification.__name__}.{name}" for name in ("applications", "published")}
    assert {getattr(classification, name).__module__ for name in NETS} == families
    answers = on_jax(EVERY_NET_ON_JAX, json.dumps(NETS), XLA_FLAGS=HASTILY)
    assert answers == {name: {"finite": True, "unmoved": []} for name in NETS}


@pytest.mark.slow
def test_depth_nets_take_a_step_on_jax():
    answers = on_jax(DEPTH_ON_JAX, json.dumps(DEPTH_NETS), XLA_FLAGS=HASTILY)
    at_edges = answers.pop("normals loss")
    for number, (value, is_finite) in at_edges.items():
        expected = {"0.0": 0.0, "inf": np.nan, "nan": np.nan}.get(number, 0.2 / 3**0.5)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        assert is_finite == np.isfinite(expected), number
    assert answers == {name: {"finite": True, "unmoved": []} for name in DEPTH_NETS}


def test_the_mathematics_of_boxes_on_jax():
    here: dict = {}
    exec(BOXES, here)
    there = on_jax(BOXES_ON_JAX)
    for mine, theirs in zip(here["answers"](), there, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_detection_nets_take_a_step_on_jax():
    answers = on_jax(DETECTION_ON_JAX, json.dumps(DETECTION_NETS), XLA_FLAGS=HASTILY)
    places = [[4, 100, 4], [4, 100], [4, 100]]
    assert answers == {
        name: {"finite": True, "unmoved": [], "places": places} for name in DETECTION_NETS
    }


@pytest.mark.slow
def test_nets_of_pairs_take_a_step_on_jax():
    """Of nets whose last weights start at zero the layer below has no gradient in that step."""
    answers = on_jax(PAIRS_ON_JAX, json.dumps(PAIR_NETS), XLA_FLAGS=HASTILY)
    still = {"Siamese": ["fc7/kernel", "fc7/bias"]}
    assert answers == {name: {"finite": True, "unmoved": still.get(name, [])} for name in PAIR_NETS}
