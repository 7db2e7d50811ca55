"""Models as TensorFlow Serving's own documentation has them, and others that are not ours; and
clients that are not ours, unchanged."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2
from tensorflow_serving.apis import prediction_service_pb2

from serving.client import Client
from serving.server import Server

from .test_rest import ask


def half_plus_three(path):
    """The model of TensorFlow Serving's REST guide: half of x, and three."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        half = v1.get_variable("a", initializer=0.5, use_resource=False)
        three = v1.get_variable("b", initializer=3.0, use_resource=False)
        examples = v1.placeholder(tf.string, name="tf_example")
        spec = {"x": tf.io.FixedLenFeature([1], tf.float32)}
        x = tf.identity(tf.io.parse_example(examples, spec)["x"], name="x")
        y = tf.add(half * x, three, name="y")
        session.run(v1.global_variables_initializer())

        def signature(method, inputs, outputs):
            described = (
                {name: v1.saved_model.utils.build_tensor_info(tensor) for name, tensor in each}
                for each in (inputs, outputs)
            )
            return v1.saved_model.build_signature_def(*described, f"tensorflow/serving/{method}")

        builder = v1.saved_model.Builder(str(path))
        signatures = {
            "serving_default": signature("predict", [("x", x)], [("y", y)]),
            "regress_x_to_y": signature("regress", [("inputs", examples)], [("outputs", y)]),
            "classify_x_to_y": signature("classify", [("inputs", examples)], [("scores", y)]),
        }
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


class Strange(tf.Module):
    """What no network of ours has: strings that are numbers, lone strings, complex numbers."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def number(self, text):
        return {"number": tf.strings.to_number(text), "lone": tf.constant(b"a\0b\0")}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.complex64, name="z")])
    def conjugate(self, z):
        return {"z": tf.math.conj(z), "short": tf.cast(tf.math.real(z), tf.bfloat16)}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A server of both."""
    folder = tmp_path_factory.mktemp("others")
    half_plus_three(folder / "half_plus_three" / "1")
    strange = Strange()
    signatures = {"serving_default": strange.number, "conjugate": strange.conjugate}
    tf.saved_model.save(strange, str(folder / "strange" / "1"), signatures=signatures)
    names = ("half_plus_three", "strange")
    with Server({name: folder / name for name in names}, settle_seconds=0) as server:
        for name in names:
            server.wait_until_available(name)
        yield server


@pytest.mark.parametrize(
    ("verb", "document", "answer"),
    [
        ("predict", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [3.5, 4.0, 5.5]}),
        ("predict", {"inputs": [[1.0], [5.0]]}, {"outputs": [[3.5], [5.5]]}),
        ("predict", {"inputs": 1.0}, {"outputs": 3.5}),
        (
            "regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]},
            {"results": [3.5, 4.0]},
        ),
        (
            "classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]},
            {"results": [[["", 3.5]]]},
        ),
    ],
)
def test_the_examples_of_the_rest_guide(others, verb, document, answer):
    assert ask(others, f"/v1/models/half_plus_three:{verb}", document) == (200, answer)


def test_strings_that_are_no_images_and_lone_ones(others):
    path = "/v1/models/strange:predict"
    answer = {"outputs": {"number": [1.5], "lone": "a\0b\0"}}
    assert ask(others, path, {"inputs": ["1.5"]}) == (200, answer)
    assert ask(others, path, {"inputs": ["x"]})[0] == 400


def test_complex_numbers_and_short_ones(others):
    z = np.array([1 + 2j], np.complex64)
    with Client(f"127.0.0.1:{others.grpc_port}") as client:
        answer = client.call("strange", {"z": z}, "conjugate")
    assert answer["z"] == np.conj(z)
    assert answer["short"].dtype == tf.bfloat16.as_numpy_dtype
    assert answer["short"] == 1.0
    document = {"signature_name": "conjugate", "inputs": [1.0]}
    assert ask(others, "/v1/models/strange:predict", document)[0] == 501


PACKAGE = "min-tfs-client==1.0.2"
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from min_tfs_client.requests import TensorServingClient
from min_tfs_client.tensors import tensor_proto_to_ndarray

client = TensorServingClient(host="127.0.0.1", port=int(sys.argv[2]))
x = np.array([[1.0], [5.0]], np.float32)
response = client.predict_request("half_plus_three", {"x": x}, model_version=1)
print(json.dumps(tensor_proto_to_ndarray(response.outputs["y"]).tolist()))
"""


def test_min_tfs_client(others, tmp_path):
    install = ["-m", "uv", "pip", "install", "--no-deps", "--target", str(tmp_path), PACKAGE]
    installed = subprocess.run([sys.executable, *install], capture_output=True, check=False)
    if installed.returncode:
        pytest.skip(f"{PACKAGE} cannot be installed: {installed.stderr.decode()[-200:]}")
    ran = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path), str(others.grpc_port)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == [[3.5], [5.5]]


NODE_PACKAGES = ("@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.1")
ASK_FROM_NODE = """
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const [descriptors, port] = process.argv.slice(2);
const set = require("fs").readFileSync(descriptors);
const options = {keepCase: true, longs: String, enums: String};
const definition = loader.loadFileDescriptorSetFromBuffer(set, options);
const {PredictionService} = grpc.loadPackageDefinition(definition).tensorflow.serving;
const client = new PredictionService("127.0.0.1:" + port, grpc.credentials.createInsecure());
const shape = {dim: [{size: 2}, {size: 1}]};
const x = {dtype: "DT_FLOAT", tensor_shape: shape, float_val: [1, 5]};
// protobufjs takes the maps of a descriptor set for what they are on the wire: lists of pairs.
const inputs = [{key: "x", value: x}];
const known = {model_spec: {name: "half_plus_three", version: {value: 1}}, inputs};
client.Predict(known, (error, answer) => {
  if (error) throw error;
  client.Predict({model_spec: {name: "none"}}, (refusal) => {
    console.log(JSON.stringify({outputs: answer.outputs, code: refusal.code}));
    client.close();
  });
});
"""


def descriptor_set() -> bytes:
    """TensorFlow Serving's .proto of predictions and all that it imports, compiled."""
    found = descriptor_pb2.FileDescriptorSet()

    def add(file):
        for each in file.dependencies:
            add(each)
        if file.name not in {each.name for each in found.file}:
            file.CopyToProto(found.file.add())

    add(prediction_service_pb2.DESCRIPTOR)
    return found.SerializeToString()


def test_node_client(others, tmp_path):
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not on PATH")
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *NODE_PACKAGES]
    installed = subprocess.run(install, cwd=tmp_path, capture_output=True, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install them: {installed.stderr.decode()[-200:]}")
    (tmp_path / "descriptors").write_bytes(descriptor_set())
    (tmp_path / "ask.js").write_text(ASK_FROM_NODE)
    ran = subprocess.run(
        [node, "ask.js", "descriptors", str(others.grpc_port)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert [(one["key"], one["value"]["float_val"]) for one in answer["outputs"]] == [
        ("y", [3.5, 5.5])
    ]
    assert answer["code"] == 5  # NOT_FOUND
