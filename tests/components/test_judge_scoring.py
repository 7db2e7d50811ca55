"""The protocols on tiny SavedModels whose answers can be computed by hand."""

import numpy as np
import pytest
import tensorflow as tf

from components import progress, tasks
from components.judge import executor, protocols, scoring
from components.judge.scoring import Scorer

SIDE = 8
CLASSES = tasks.find("classification")


def corner(image):
    """Scores that are the pixel in the upper left corner, and what is left to 1."""
    share = image[:, 0, 0, 0] / 255.0
    return tf.stack([share, 1.0 - share], axis=1)


def mean(image):
    share = tf.reduce_mean(image, axis=[1, 2, 3]) / 255.0
    return tf.stack([share, 1.0 - share], axis=1)


def saved(folder, function=corner, height=SIDE, width=SIDE, dense=True):
    """A SavedModel whose `predict` and `dense` are a function of the pixels."""

    def signature(*shape):
        spec = tf.TensorSpec([None, *shape, 1], tf.float32, name="image")
        return tf.function(lambda image: {"scores": function(image)}).get_concrete_function(spec)

    module = tf.Module()
    signatures = {"predict": signature(height, width)}
    if dense:
        signatures["dense"] = signature(None, None)
    tf.saved_model.save(module, str(folder), signatures)
    return str(folder)


@pytest.fixture(scope="module")
def corner_model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("corner"))


@pytest.fixture(scope="module")
def mean_model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("mean"), mean)


def example(image, label=0, name="x"):
    def feature(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        "image/encoded": feature(tf.io.encode_png(image[..., None]).numpy()),
        "image/id": feature(name.encode()),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def ramp(height, width):
    """Pixels that say where they are: 10 y + x."""
    return (10 * np.arange(height)[:, None] + np.arange(width)).astype(np.uint8)


def answer(model, protocol, *images, resize=12):
    scorer = Scorer(tf.saved_model.load(model), protocols.find(protocol), CLASSES, resize)
    scores = scorer.answers(tf.constant([example(image) for image in images]))["scores"]
    assert scores.dtype == np.float32
    assert scores.sum(axis=1) == pytest.approx(1.0)
    return scores[:, 0] * 255


def test_the_centre_crop(corner_model):
    # 12 x 20 pixels: 4 of 12 rows to spare and 12 of 20 columns, so that (2, 6) is the corner.
    assert answer(corner_model, "centre-crop", ramp(12, 20)) == pytest.approx(26)


def test_ten_crops(corner_model):
    # The square begins at column 4. Corners: (0, 4) (0, 8) (4, 4) (4, 8), and the centre (2, 6);
    # of a reflection, the upper left pixel is 7 columns to the right.
    expected = (4 + 8 + 44 + 48 + 26) / 5 + 7 / 2
    assert answer(corner_model, "10-crop", ramp(12, 20)) == pytest.approx(expected)


def test_dense(corner_model):
    # The whole image and its reflection.
    assert answer(corner_model, "dense", ramp(12, 20)) == pytest.approx((0 + 19) / 2)


def test_images_of_several_sizes_keep_their_places(corner_model):
    images = [ramp(12, 20), ramp(20, 12), ramp(12, 12), ramp(12, 20)]
    expected = [19 / 2, 11 / 2, 11 / 2, 19 / 2]
    assert answer(corner_model, "dense", *images) == pytest.approx(expected)


def test_many_views_are_asked_in_several_questions(corner_model, monkeypatch):
    images = [ramp(12, 20), ramp(20, 12), ramp(12, 12)]
    whole = answer(corner_model, "144-crop", *images)
    monkeypatch.setattr(scoring, "_VALUES", 5 * SIDE * SIDE)
    assert answer(corner_model, "144-crop", *images) == pytest.approx(whole)


def resized(image, height, width):
    pixels = tf.image.resize(image[..., None], [height, width], antialias=True)
    return np.round(pixels.numpy()[..., 0])


def both(view):
    return [view, view[:, ::-1]]


def naive_144(image):
    """Section 7 of Szegedy et al. 2014 for a wide image, word by word."""
    views = []
    for length in (256, 288, 320, 352):
        shorter = round(length * SIDE / 224)
        scaled = resized(image, shorter, round(image.shape[1] * shorter / image.shape[0]))
        spare = scaled.shape[1] - shorter
        for left in (0, spare // 2, spare):
            square = scaled[:, left : left + shorter]
            far = shorter - SIDE
            for top, start in ((0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)):
                views += both(square[top : top + SIDE, start : start + SIDE])
            views += both(resized(square, SIDE, SIDE))
    return views


def test_144_crops(corner_model, mean_model):
    image = np.random.default_rng(0).integers(0, 256, (16, 24)).astype(np.uint8)
    views = naive_144(image)
    assert len(views) == 144
    corners = np.mean([view[0, 0] for view in views])
    assert answer(corner_model, "144-crop", image) == pytest.approx(corners, rel=1e-5)
    assert answer(mean_model, "144-crop", image) == pytest.approx(np.mean(views), rel=1e-5)


def test_150_crops(corner_model):
    # S - 1, S and S + 1 (32 pixels of 224 are 1 of 8); the image is constant along its rows.
    image = np.repeat(ramp(12, 1), 20, axis=1)
    expected = []
    for shorter in (11, 12, 13):
        scaled = resized(image, shorter, round(20 * shorter / 12))
        tops = [i * (shorter - SIDE) // 4 for i in range(5)]
        expected += [scaled[top, 0] for top in tops]
    assert answer(corner_model, "150-crop", image) == pytest.approx(np.mean(expected), rel=1e-5)


def test_dense_at_three_scales(corner_model):
    image = ramp(12, 20)
    scaled = [resized(image, 11, 18), image, resized(image, 13, 22)]
    expected = np.mean([(each[0, 0] + each[0, -1]) / 2 for each in scaled])
    assert answer(corner_model, "dense-3-scales", image) == pytest.approx(expected, rel=1e-5)
    drawn = [resized(image, 10, 17), image, resized(image, 14, 23)]
    expected = np.mean([(each[0, 0] + each[0, -1]) / 2 for each in drawn])
    measured = answer(corner_model, "dense-3-scales", image, resize=[10, 14])
    assert measured == pytest.approx(expected, rel=1e-5)


def test_crops_and_dense_weigh_the_same(corner_model):
    image = ramp(12, 20)
    parts = [answer(corner_model, name, image) for name in ("150-crop", "dense-3-scales")]
    measured = answer(corner_model, "150-crop-and-dense", image)
    assert measured == pytest.approx(np.mean(parts), rel=1e-5)


def test_multi_scale(mean_model):
    image = np.random.default_rng(1).integers(0, 256, (16, 24)).astype(np.uint8)
    sides = [(8, 12), (9, 14), (14, 21), (17, 26), (23, 34)]
    expected = np.mean([resized(image, *side).mean() for side in sides])
    assert answer(mean_model, "multi-scale", image) == pytest.approx(expected, rel=1e-5)


def test_dense_on_a_real_network(tmp_path):
    """On an image of the network's own size, there is one position: the crop itself."""
    import keras

    from keras_models.classification.fully_convolutional import fully_convolutional

    keras.utils.set_random_seed(3)
    pixels = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(6, activation="relu")(x)
    network = keras.Model(pixels, keras.layers.Dense(2, name="logits")(x))
    anywhere = fully_convolutional(network)
    module = tf.Module()
    module.weights = [each.value for each in (*network.variables, *anywhere.variables)]
    signatures = {}
    for name, model, side in (("predict", network, SIDE), ("dense", anywhere, None)):
        spec = tf.TensorSpec([None, side, side, 1], tf.float32, name="image")
        ask = tf.function(lambda image, model=model: {"scores": tf.nn.softmax(model(image))})
        signatures[name] = ask.get_concrete_function(spec)
    folder = str(tmp_path / "model")
    tf.saved_model.save(module, folder, signatures)

    image = np.random.default_rng(4).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    logits = network.predict(np.stack([image, image[:, ::-1]])[..., None], verbose=0)
    expected = np.exp(logits)[:, 0] / np.exp(logits).sum(axis=1)
    measured = answer(folder, "dense", image, resize=SIDE)
    assert measured == pytest.approx(255 * expected.mean(), rel=1e-4)
    larger = np.random.default_rng(5).integers(0, 256, (12, 20)).astype(np.uint8)
    assert 0 < answer(folder, "dense-3-scales", larger)[0] < 255


@pytest.mark.parametrize("protocol", ["dense", "dense-3-scales", "150-crop-and-dense"])
def test_a_model_without_the_signature_is_refused(protocol, tmp_path):
    model = tf.saved_model.load(saved(tmp_path / "model", dense=False))
    with pytest.raises(ValueError, match=r"asks the signature dense, which .* \(it has predict\)"):
        Scorer(model, protocols.find(protocol), CLASSES)


def test_an_input_that_is_not_square_is_refused(tmp_path):
    model = tf.saved_model.load(saved(tmp_path / "model", width=9))
    with pytest.raises(ValueError, match="needs a square input, the model has 8 x 9 pixels"):
        Scorer(model, protocols.find("10-crop"), CLASSES)


def test_a_scale_below_the_input_is_refused(corner_model):
    model = tf.saved_model.load(corner_model)
    with pytest.raises(ValueError, match="would resize to 7 pixels, less than the network's 8"):
        Scorer(model, protocols.find("dense-3-scales"), CLASSES, 8)


def write(folder, images, labels):
    (folder / "Split-test").mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "Split-test" / "0.gz"), options) as writer:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            writer.write(example(image, label, f"test#{index}"))
    (folder / "labels.txt").write_text("light\ndark\n")
    return str(folder)


RECIPE = {
    "name": "shades",
    "task": "classification",
    "size": "small",
    "dataset": "shades",
    "full_data": True,
    "preprocess": {"resize": 12},
}


def test_an_ensemble_is_the_mean_of_probabilities(corner_model, mean_model, tmp_path, monkeypatch):
    monkeypatch.setenv(progress.EVENTS, str(tmp_path / "events.jsonl"))
    # Light by its mean and dark at its corner: the two models disagree, and the surer one wins.
    image = np.full((12, 12), 200, np.uint8)
    image[:3, :3] = 100
    uri = write(tmp_path / "examples", [image] * 20, [0] * 20)
    judged = executor.judge([corner_model, mean_model], uri, "centre-crop", [], RECIPE)
    cut = image[2:10, 2:10]
    expected = (cut[0, 0] / 255 + cut.mean() / 255) / 2
    assert judged.answers.kept["scores"][:, 0] == pytest.approx(np.full(20, expected), rel=1e-5)
    assert judged.judgement["protocol"] == "2 x centre-crop"
    assert judged.judgement["models"] == 2
    assert judged.judgement["metrics"]["error"] == 0.0
    alone = executor.judge([corner_model], uri, "centre-crop", [], RECIPE)
    assert alone.judgement["protocol"] == "centre-crop"
    assert alone.judgement["metrics"]["error"] == 1.0
    # A report for each of the two batches of each judgement.
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 4


def test_models_of_other_classes_are_no_ensemble(corner_model, tmp_path):
    other = saved(tmp_path / "model", lambda image: tf.fill([tf.shape(image)[0], 3], 1 / 3))
    uri = write(tmp_path / "examples", [ramp(12, 12)], [0])
    with pytest.raises(
        ValueError, match=r"scores are of the shapes \[\(2,\), \(3,\)\] are no ensemble"
    ):
        executor.judge([corner_model, other], uri, "10-crop", [], RECIPE)


def test_nothing_to_judge(tmp_path):
    with pytest.raises(ValueError, match="no model to judge"):
        executor.judge([], str(tmp_path), "10-crop", [], RECIPE)


def test_steps_to_an_accuracy_come_from_the_history(corner_model, tmp_path):
    uri = write(tmp_path / "examples", [ramp(12, 12)], [0])
    history = [
        {"epoch": 1, "val_accuracy": 0.5, "steps": 1000.0},
        {"epoch": 2, "val_accuracy": 0.73, "steps": 2000.0},
        {"epoch": 3, "val_accuracy": 0.74, "steps": 3000.0},
    ]
    figure = "ioffe2015-bn-x5-steps"
    judged = executor.judge([corner_model], uri, "centre-crop", [figure], RECIPE, history)
    assert judged.judgement["metrics"]["steps_to_72.2_accuracy"] == 2000
