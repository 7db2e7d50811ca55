"""A small served model with the signatures of our exports, real pictures, and a running server."""

import io
import shutil
from pathlib import Path

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from skimage import data
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from serving.client import Client
from serving.engine import EXECUTABLE, TensorFlowModelServer
from serving.server import Server
from serving.settings import BatchingParameters

SIZE = 28
LABELS = ("astronaut", "coffee", "cat", "rocket")
POLL_SECONDS = {"embedded": 0.05, "tfserving": 1}


class SmallNet(tf.Module):
    """A tiny net with the served signatures: encoded images or tf.Examples, pixels, features."""

    def __init__(self, seed: int, labels_file: str):
        super().__init__()
        keras.utils.set_random_seed(seed)
        self._net = keras.Sequential(
            [
                keras.Input((SIZE, SIZE, 3)),
                keras.layers.Rescaling(1 / 255),
                keras.layers.Conv2D(6, 5, activation="tanh", name="c1"),
                keras.layers.AveragePooling2D(2),
                keras.layers.Conv2D(8, 5, activation="tanh", name="c3"),
                keras.layers.Flatten(),
                keras.layers.Dense(len(LABELS), activation="softmax"),
            ]
        )
        self._taps = keras.Model(self._net.inputs, {"c1": self._net.get_layer("c1").output})
        # A session, and with it TensorFlow Serving, restores only variables tracked as such.
        self._variables = [variable.value for variable in self._net.variables]
        self._labels_file = tf.saved_model.Asset(labels_file)
        self._labels = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                self._labels_file,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            "?",
        )

    def decode(self, examples):
        encoded = tf.strings.substr(examples, 0, 4) == b"\x89PNG"
        encoded |= tf.strings.substr(examples, 0, 3) == b"\xff\xd8\xff"
        spec = {"image/encoded": tf.io.FixedLenFeature([], tf.string, "")}
        parsed = tf.io.parse_example(tf.where(encoded, "", examples), spec)["image/encoded"]
        return tf.map_fn(
            lambda one: tf.image.resize(
                tf.io.decode_image(one, 3, expand_animations=False), (SIZE, SIZE)
            ),
            tf.where(encoded, examples, parsed),
            fn_output_signature=tf.float32,
        )

    def answer(self, pixels):
        scores = self._net(pixels)
        return {"scores": scores, "classes": self._labels.lookup(tf.argmax(scores, axis=1))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples):
        return self.answer(self.decode(examples))

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="image")])
    def predict(self, image):
        return self.answer(image)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def features(self, examples):
        return self._taps(self.decode(examples))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(self, inputs):
        scores = self._net(self.decode(inputs))
        classes = tf.tile(tf.constant([LABELS]), [tf.shape(scores)[0], 1])
        return {"classes": classes, "scores": scores, "outputs": tf.reduce_max(scores, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="steps")])
    def spin(self, steps):
        """Takes as long as it is told: for requests that wait behind others."""
        last = tf.while_loop(
            lambda step, _: step < tf.reduce_max(steps),
            lambda step, x: (step + 1, tf.sin(x)),
            (tf.constant(0, tf.int64), tf.ones([64, 64])),
        )[1]
        return {"steps": steps, "last": tf.fill(tf.shape(steps), last[0, 0])}


def split_classify(folder: Path) -> None:
    """Classify and Regress with the same input, as our exports have them."""
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    for name, outputs in (("regress", ("outputs",)), ("classify", ("classes", "scores"))):
        signature = meta_graph_pb2.SignatureDef()
        signature.CopyFrom(signatures["classify"])
        for other in set(signature.outputs) - set(outputs):
            del signature.outputs[other]
        signature.method_name = f"tensorflow/serving/{name}"
        signatures[name].CopyFrom(signature)
    path.write_bytes(saved.SerializeToString())


@pytest.fixture(scope="session")
def exports(tmp_path_factory) -> list[Path]:
    """Two SavedModels of the same net with different weights."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    for seed in (1, 2):
        net = SmallNet(seed, str(folder / "labels.txt"))
        signatures = {
            "serving_default": net.serve,
            "predict": net.predict,
            "features": net.features,
            "classify": net.classify,
            "spin": net.spin,
        }
        tf.saved_model.save(net, str(folder / str(seed)), signatures=signatures)
        split_classify(folder / str(seed))
    return [folder / "1", folder / "2"]


@pytest.fixture(scope="session")
def one_version(exports, tmp_path_factory) -> Path:
    """A directory of versions that nobody changes, with version 1.

    Of two young ones a server may serve the older until the newer has settled.
    """
    base_path = tmp_path_factory.mktemp("one_version")
    shutil.copytree(exports[0], base_path / "1")
    return base_path


@pytest.fixture(scope="session")
def photographs() -> dict[str, bytes]:
    """Real photographs, PNG and JPEG in turn, by the name of what they show."""
    pictures = (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
    encoded = {}
    for number, (label, pixels) in enumerate(zip(LABELS, pictures, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((96, 64)).save(buffer, ("PNG", "JPEG")[number % 2])
        encoded[label] = buffer.getvalue()
    return encoded


@pytest.fixture(scope="session")
def pixels(photographs) -> np.ndarray:
    """The photographs at the net's size, float32 [4, SIZE, SIZE, 3]."""
    return np.stack(
        [
            np.asarray(Image.open(io.BytesIO(image)).convert("RGB").resize((SIZE, SIZE)))
            for image in photographs.values()
        ]
    ).astype("float32")


@pytest.fixture
def base_path(tmp_path, exports) -> Path:
    """A directory of versions as a push leaves it, with version 1."""
    shutil.copytree(exports[0], tmp_path / "small" / "1")
    return tmp_path / "small"


@pytest.fixture(scope="module", params=["embedded", "tfserving"])
def engine(request):
    """What starts a server: the embedded one, and the real one where it is installed."""
    poll_seconds = POLL_SECONDS[request.param]
    if request.param == "embedded":
        return lambda models, **options: Server(models, poll_seconds=poll_seconds, **options)
    if shutil.which(EXECUTABLE) is None:
        pytest.skip(f"{EXECUTABLE} is not on PATH")
    return lambda models, **options: TensorFlowModelServer(
        models, poll_seconds=poll_seconds, **options
    )


@pytest.fixture(scope="module")
def server(engine, one_version):
    """A server with the model `small` at version 1, for questions that change nothing."""
    with engine({"small": one_version}) as server:
        server.wait_until_available("small", 60)
        yield server


@pytest.fixture(scope="module")
def client(server):
    with Client(f"127.0.0.1:{server.grpc_port}") as client:
        yield client


@pytest.fixture
def embedded(base_path):
    """The embedded server with the model `small` at version 1."""
    with Server({"small": base_path}, poll_seconds=POLL_SECONDS["embedded"]) as server:
        server.wait_until_available("small", 60)
        yield server


@pytest.fixture
def limited(base_path):
    """The embedded server with a low limit for the size of a request."""
    with Server({"small": base_path}, max_message_bytes=200_000) as server:
        server.wait_until_available("small", 60)
        yield server


@pytest.fixture(scope="module")
def target(one_version):
    """A server with batches and low limits."""
    batching = BatchingParameters(max_batch_size=8, pad_variable_length_inputs=True)
    limits = {"max_message_bytes": 1 << 20, "max_image_pixels": 1_000_000}
    with Server({"small": one_version}, batching=batching, **limits) as server:
        server.wait_until_available("small")
        yield server


@pytest.fixture(scope="module")
def channel(target):
    with grpc.insecure_channel(f"127.0.0.1:{target.grpc_port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def alive(target, pixels):
    """Asks a good question and wants the good answer, as it was before."""
    client = Client(f"127.0.0.1:{target.grpc_port}")
    before = [one["scores"] for one in client.predict("small", list(pixels))]

    def ask():
        after = [one["scores"] for one in client.predict("small", list(pixels))]
        np.testing.assert_allclose(after, before, rtol=1e-5)

    yield ask
    client.close()
