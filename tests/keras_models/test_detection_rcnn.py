"""Fast R-CNN and Faster R-CNN: sizes, losses, what learns, files, types, compression."""

import keras
import numpy as np
import pytest

from keras_models.classification import VGG
from keras_models.detection import FasterRCNN, FastRCNN
from keras_models.detection.anchors import base_anchors, grid_anchors
from keras_models.detection.boxes import encode, pairwise_iou
from keras_models.detection.fast_rcnn import compressed
from keras_models.detection.matching import match
from keras_models.detection.proposals import anchor_shapes
from keras_models.losses import smooth_l1

SIDES = (64, 96)
TINY = {
    "input_shape": (*SIDES, 3),
    "classes": 3,
    "width": 1 / 32,
    "units": 16,
    "detections": 7,
    "seed": 1,
}
FASTER = TINY | {
    "scales": (16, 32),
    "anchors": 64,
    "regions": 32,
    "proposals": 40,
    "tested_proposals": 20,
}
RESIDUAL = {key: value for key, value in FASTER.items() if key != "width"}
PARTS = {
    "proposal_class_loss",
    "proposal_box_loss",
    "region_class_loss",
    "region_box_loss",
}


def examples(number=4, truths=3):
    """Pictures, the last one without objects, and their targets."""
    draw = np.random.default_rng(1)
    corners, sides = draw.uniform(0, 0.5, (2, number, truths, 2))
    boxes = np.concatenate([corners, corners + 0.1 + 0.8 * sides], axis=-1)
    classes = draw.integers(0, 3, (number, truths))
    classes[0, -1], classes[-1] = -1, -1
    boxes[classes < 0] = 0
    x = draw.normal(size=(number, *SIDES, 3)).astype("float32")
    return x, {"boxes": boxes.astype("float32"), "classes": classes.astype("int32")}


def given(x):
    """The pictures with proposals."""
    draw = np.random.default_rng(2)
    corners, sides = draw.uniform(0, 0.5, (2, len(x), 30, 2))
    proposals = np.concatenate([corners, corners + 0.05 + sides], axis=-1).astype("float32")
    proposals[:, 25:] = 0
    return {"image": x, "proposals": proposals.clip(0, 1)}


def arrays(answers):
    return {name: keras.ops.convert_to_numpy(value) for name, value in answers.items()}


# With VGG-16 and ZF, a box for the background less than in the authors' code: 4 x 4,097 numbers.
@pytest.mark.parametrize(
    "backbone, parameters",
    [
        ("vgg16", 137_078_239 - 16_388),
        ("zf", 59_294_751 - 16_388),
        ("resnet50", 28_514_907),
        ("resnet101", 47_559_259),
    ],
)
def test_the_nets_have_the_published_sizes(outline, backbone, parameters):
    net = outline(FasterRCNN, backbone=backbone)
    assert net.count_params() == parameters
    assert net.output["proposal_logits"].shape[-1] == 2 * 9
    assert net.output["proposal_codes"].shape[-1] == 4 * 9
    assert net.output["maps"].shape[1:3] == ((37, 62) if backbone == "vgg16" else (38, 63))
    fixed = [layer for layer in net.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert bool(fixed) == backbone.startswith("resnet")
    assert not any(layer.trainable for layer in fixed)


def test_the_size_of_fast_r_cnn(outline):
    net = outline(FastRCNN)
    # VGG-16 without its classifier, 21 classes, 80 numbers of boxes.
    assert net.count_params() == 138_357_544 - 4_097_000 + (21 + 80) * 4_097


@pytest.mark.parametrize("backbone", ["vgg16", "zf"])
def test_answers_are_those_of_a_detector(backbone):
    x, _ = examples()
    net = FasterRCNN(backbone=backbone, **FASTER)
    answers = arrays(net(x))
    assert answers["boxes"].shape == (4, 7, 4)
    assert answers["boxes"].dtype == answers["scores"].dtype == np.float32
    assert answers["classes"].dtype == np.int32
    assert answers["proposals"].shape == (4, 20, 4)
    used = answers["classes"] >= 0
    assert used.any()
    assert (answers["scores"][used] > 0.05).all()
    assert not answers["scores"][~used].any()
    assert not answers["boxes"][~used].any()
    assert (np.diff(answers["scores"]) <= 0).all()
    assert (answers["boxes"] >= 0).all()
    assert (answers["boxes"] <= 1).all()
    # Answers about a picture do not depend on those beside it.
    alone = arrays(net(x[2:3]))
    np.testing.assert_allclose(alone["boxes"][0], answers["boxes"][2], atol=1e-4)


def stepped(net, x, y, steps=1, **arguments):
    """The history of some steps, and the names of the layers whose weights have moved."""
    before = {variable.path: np.asarray(variable) for variable in net.variables}
    net.compile(keras.optimizers.SGD(1e-2), **arguments)
    history = net.fit(x, y, batch_size=len(y["boxes"]), epochs=steps, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    moved = {
        variable.path.split("/")[-2]
        for variable in net.trainable_variables
        if not np.array_equal(before[variable.path], np.asarray(variable))
    }
    return history, moved


def weighted(net):
    return {layer.name for layer in net.layers if layer.trainable_weights}


def test_a_step_moves_all_layers_and_shows_the_parts_of_the_loss():
    x, y = examples()
    net = FasterRCNN(**FASTER)
    net.get_layer("fc6").kernel.regularizer = keras.regularizers.L2(0.5)
    penalty = 0.5 * float((np.asarray(net.get_layer("fc6").kernel) ** 2).sum())
    history, moved = stepped(net, x, y)
    assert set(history) == PARTS | {"loss"}
    parts = sum(history[part][0] for part in PARTS)
    np.testing.assert_allclose(parts + penalty, history["loss"], rtol=1e-5)
    assert moved == weighted(net)


def test_pictures_without_any_object_have_a_finite_loss():
    x, y = examples()
    none = {"boxes": y["boxes"][:, :0], "classes": y["classes"][:, :0]}
    history, _ = stepped(FasterRCNN(**FASTER), x, none)
    assert history["proposal_class_loss"][0] > 0
    assert history["region_class_loss"][0] > 0
    assert history["proposal_box_loss"] == history["region_box_loss"] == [0.0]


def test_the_loss_of_proposals_is_equation_1_on_all_anchors():
    """With as many places as anchors all negative ones are drawn, and the loss has no chance."""
    x, y = examples()
    places, number = 4 * 6, 4 * 6 * 6
    net = FasterRCNN(**FASTER | {"anchors": 2 * number, "balance": 3.0})
    answers = arrays(net(x))
    sides = np.array([*SIDES, *SIDES])
    anchors = np.asarray(grid_anchors(4, 6, 16, base_anchors(16, (16, 32)))) / sides
    inside = (anchors >= 0).all(1) & (anchors <= 1).all(1)
    class_losses, box_losses = [], []
    for n in range(4):
        there = y["classes"][n] >= 0
        found = match(anchors, y["boxes"][n], there, counted=inside, best_of_each=True)
        kinds, truths = np.asarray(found.kinds), np.asarray(found.truths)
        pairs = answers["proposal_logits"][n].reshape(-1, 2).astype("float64")
        log = pairs - np.log(np.exp(pairs).sum(-1, keepdims=True))
        counted = kinds >= 0
        class_losses.append(-log[counted, kinds[counted]].sum() / (2 * number))
        target = np.asarray(encode(y["boxes"][n][truths], anchors))
        codes = answers["proposal_codes"][n].reshape(-1, 4)
        errors = np.asarray(smooth_l1(codes - target, 3.0))
        box_losses.append(3.0 * errors[kinds == 1].sum() / places)
    net.compile(keras.optimizers.SGD(0.0))
    found = net.evaluate(x, y, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["proposal_class_loss"], np.mean(class_losses), rtol=1e-4)
    np.testing.assert_allclose(found["proposal_box_loss"], np.mean(box_losses), rtol=1e-4)


def test_weights_of_objects_count_in_what_learns_from_them():
    x, y = examples()
    net = FasterRCNN(**FASTER | {"anchors": 300})
    net.compile(keras.optimizers.SGD(0.0))

    def parts(weight):
        weights = np.full(y["classes"].shape, weight, "float32")
        net.reset_metrics()
        answers = net.test_on_batch(x, y, weights, return_dict=True)
        return np.array([answers["proposal_box_loss"], answers["proposal_class_loss"]])

    nothing, once, twice = map(parts, (0.0, 1.0, 2.0))
    assert nothing[0] == 0 < nothing[1]
    np.testing.assert_allclose(twice - once, once - nothing, rtol=1e-4)


@pytest.mark.slow
def test_the_four_steps_of_alternating_training(tmp_path):
    x, y = examples()
    files = [str(tmp_path / f"step{number}.keras") for number in range(4)]
    rpn, head = {"rpn_conv", "rpn_logits", "rpn_codes"}, {"fc6", "fc7", "class_logits", "box_codes"}

    first = FasterRCNN(**FASTER, train="proposals")
    history, moved = stepped(first, x, y)
    assert set(history) == {"loss", "proposal_class_loss", "proposal_box_loss"}
    assert moved == weighted(first) >= rpn
    assert not moved & head
    first.save(files[0])

    second = FasterRCNN(**FASTER, train="regions", shared=False, base=files[0])
    history, moved = stepped(second, x, y)
    assert set(history) == {"loss", "region_class_loss", "region_box_loss"}
    assert head | {"conv1_1"} <= moved
    assert not moved & rpn
    # Its own convolutions are others than those of the proposals, which stay.
    np.testing.assert_allclose(second(x)["proposals"], first(x)["proposals"], atol=1e-5)
    second.save(files[1])

    third = FasterRCNN(**FASTER, train="proposals", base=files[1])
    np.testing.assert_array_equal(
        third.get_layer("conv5_3").kernel, second.get_layer("conv5_3").kernel
    )
    np.testing.assert_array_equal(third.get_layer("fc6").kernel, second.get_layer("fc6").kernel)
    third.save(files[2])

    fourth = FasterRCNN(**FASTER, train="regions", base=files[2])
    _, moved = stepped(fourth, x, y)
    assert head <= moved
    assert not moved & rpn
    np.testing.assert_array_equal(
        third.get_layer("rpn_conv").kernel, fourth.get_layer("rpn_conv").kernel
    )


def test_a_detector_starts_from_a_classification_net(tmp_path):
    source = VGG("D", (224, 224, 3), classes=5, units=16, width=1 / 32)
    source.save(tmp_path / "vgg.keras")
    net = FasterRCNN(**FASTER, base=str(tmp_path / "vgg.keras"))
    for name in ("conv1_1", "conv5_3", "fc6", "fc7"):
        np.testing.assert_array_equal(net.get_layer(name).kernel, source.get_layer(name).kernel)


@pytest.mark.parametrize("make", ["FasterRCNN", "FastRCNN"])
def test_it_is_saved_and_reloaded_and_trained_on(make, tmp_path):
    x, y = examples()
    net = FasterRCNN(**FASTER) if make == "FasterRCNN" else FastRCNN(**TINY)
    x = x if make == "FasterRCNN" else given(x)
    stepped(net, x, y)
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    for mine, theirs in zip(arrays(net(x)).values(), arrays(again(x)).values(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert again.settings == net.settings
    stepped(again, x, y)
    net.save_weights(tmp_path / "net.weights.h5")
    net.load_weights(tmp_path / "net.weights.h5")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")
def test_it_is_exported_with_sides_unknown(tmp_path):
    import tensorflow as tf

    x, _ = examples()
    net = FasterRCNN(**FASTER)
    free = FasterRCNN(**FASTER | {"input_shape": (None, None, 3)})
    free.set_weights(net.get_weights())
    free.export(str(tmp_path / "saved"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    found = served.serve(x)
    expected = net(x)
    for name in ("boxes", "scores", "classes"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)


@pytest.mark.parametrize(
    "policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_mixed_precision_keeps_boxes_in_float32(policy):
    x, y = examples()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        net = FasterRCNN(**FASTER)
    finally:
        keras.config.set_dtype_policy(before)
    answers = net(x)
    for name in ("boxes", "scores", "proposals", "proposal_logits", "proposal_codes"):
        assert keras.backend.standardize_dtype(answers[name].dtype) == "float32"
    stepped(net, x, y)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["vgg16", "resnet18", "resnet50"])
def test_a_compiled_step(backbone):
    x, y = examples()
    arguments = FASTER if backbone == "vgg16" else RESIDUAL
    net = FasterRCNN(backbone=backbone, **arguments)
    history, moved = stepped(net, x, y, jit_compile=True)
    assert set(history) == PARTS | {"loss"}
    assert moved == weighted(net)


def test_fast_r_cnn_answers_about_the_given_regions_alone():
    x, y = examples()
    inputs = given(x)
    net = FastRCNN(**TINY)
    answers = arrays(net(inputs))
    np.testing.assert_array_equal(answers["proposals"], inputs["proposals"])
    assert (answers["classes"] >= 0).any()
    nothing = arrays(net(inputs | {"proposals": inputs["proposals"] * 0}))
    assert (nothing["classes"] == -1).all()
    history, moved = stepped(net, inputs, y)
    assert set(history) == {"loss", "region_class_loss", "region_box_loss"}
    assert moved == weighted(net)


@pytest.mark.parametrize("make", ["FasterRCNN", "FastRCNN"])
def test_compression_by_singular_values(make):
    x, _ = examples()
    net = FasterRCNN(**FASTER) if make == "FasterRCNN" else FastRCNN(**TINY)
    x = x if make == "FasterRCNN" else given(x)
    whole = compressed(net, 16, 16)
    for name, value in arrays(net(x)).items():
        np.testing.assert_allclose(arrays(whole(x))[name], value, atol=1e-4)
    half = compressed(net, 8, 4)
    rank = np.linalg.matrix_rank(
        np.asarray(half.get_layer("fc6_values").kernel) @ np.asarray(half.get_layer("fc6").kernel)
    )
    assert rank == 8
    less = net.count_params() - half.count_params()
    assert less == 784 * 16 - 8 * (784 + 16) + 16 * 16 - 4 * (16 + 16)
    assert half.settings == net.settings


def test_what_cannot_be_compressed():
    with pytest.raises(ValueError, match="has no fc6 and fc7"):
        compressed(FasterRCNN(backbone="resnet50", **RESIDUAL))
    with pytest.raises(ValueError, match="fc6 must keep from 1 to 16"):
        compressed(FastRCNN(**TINY))


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"backbone": "vgg"}, "backbone must be one of"),
        ({"input_shape": (16, 64, 3)}, "at least 32"),
        ({"classes": 0}, "classes must be 1 or more"),
        ({"width": 0}, "width must be positive"),
        ({"backbone": "resnet18"}, "width must be 1"),
        ({"train": "all"}, "train must be one of"),
        ({"scales": ()}, "scales and ratios must be positive"),
        ({"proposals": 0}, "proposals must be 1 or more"),
        ({"tested_proposals": 0}, "proposals must be 1 or more"),
        ({"detections": 0}, "detections must be 1 or more"),
        ({"anchors": 0}, "anchors and regions of a step must be 1 or more"),
        ({"regions": 0}, "anchors and regions of a step must be 1 or more"),
        ({"balance": -1.0}, "balance 0 or more"),
        ({"base": "none.keras"}, "base must be the path"),
        ({"shared": False, "base": "none.keras"}, "whose proposals are taken"),
        ({"weights": "none.keras"}, "no file"),
    ],
)
def test_arguments_that_cannot_be(arguments, said):
    with pytest.raises(ValueError, match=said):
        FasterRCNN(**FASTER | arguments)


@pytest.mark.slow
def test_it_learns_to_find_squares():
    """Bright and dark ones, of 16 to 28 pixels: nothing is found at first, and most at the end."""
    draw = np.random.default_rng(5)
    x = draw.normal(size=(64, 64, 64, 3)).astype("float32")
    boxes = np.zeros((64, 1, 4), "float32")
    classes = draw.integers(0, 2, (64, 1)).astype("int32")
    for n in range(64):
        side = draw.integers(16, 29)
        top, left = draw.integers(0, 64 - side, 2)
        x[n, top : top + side, left : left + side] += 2 if classes[n, 0] else -2
        boxes[n, 0] = np.array([top, left, top + side, left + side]) / 64

    def found(net):
        """How many pictures have the object as their surest detection."""
        answers = net.predict(x, batch_size=16, verbose=0)
        overlaps = keras.ops.convert_to_numpy(pairwise_iou(boxes, answers["boxes"][:, :1]))
        right = (overlaps[:, 0, 0] > 0.5) & (answers["classes"][:, :1] == classes)[:, 0]
        return right.mean()

    keras.utils.set_random_seed(0)
    net = FasterRCNN(
        (64, 64, 3),
        2,
        "resnet18",
        scales=(16, 24),
        ratios=(1.0,),
        units=64,
        anchors=32,
        balance=1.0,
        regions=32,
        proposals=50,
        tested_proposals=20,
        seed=0,
    )
    net.compile(keras.optimizers.Adam(1e-3))
    before = found(net)
    history = net.fit(
        x, {"boxes": boxes, "classes": classes}, batch_size=16, epochs=30, verbose=0
    ).history
    assert before < 0.2
    assert found(net) > 0.8
    # Of boxes there is no loss before a proposal is near an object.
    for part in PARTS - {"region_box_loss"}:
        assert history[part][-1] < 0.7 * history[part][0], part


def test_anchors_are_chosen_from_boxes():
    sides = np.exp(np.linspace(np.log(10), np.log(40), 1001))
    boxes = np.stack([0 * sides, 0 * sides, sides, 2 * sides], axis=-1)
    scales, ratios = anchor_shapes(boxes, 2)
    # A quarter and three quarters of the way from 5 % to 95 %, times the square root of 2.
    expected = np.sqrt(2) * 10 * 4 ** np.array([0.275, 0.725])
    np.testing.assert_allclose(scales, expected, rtol=1e-6)
    np.testing.assert_allclose(ratios, [0.5])
