"""What operates a server: health, reflection, metrics, TLS, overload and deadlines."""

import concurrent.futures
import json
import socket
import time
import urllib.request

import grpc
import numpy as np
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_service_pb2_grpc,
    session_service_pb2,
)

from serving.client import Client, ServingError
from serving.server import Server
from serving.settings import BatchingParameters, read_tls_settings
from serving.tensors import to_proto

# Steps of the signature spin: about a second.
LONG = np.array([20_000])


@pytest.fixture(scope="module")
def quiet(one_version):
    """A server with batches of one, of which one may wait behind the one that is computed."""
    parameters = BatchingParameters(
        max_batch_size=4, num_batch_threads=1, max_enqueued_batches=1, allowed_batch_sizes=(4,)
    )
    with Server({"small": one_version}, batching=parameters) as server:
        server.wait_until_available("small")
        yield server


@pytest.fixture(scope="module")
def channel(quiet):
    with grpc.insecure_channel(f"127.0.0.1:{quiet.grpc_port}") as channel:
        yield channel


def test_health(channel, quiet):
    stub = health_pb2_grpc.HealthStub(channel)
    deadline = time.monotonic() + 60
    for service in ("", "small", "tensorflow.serving.PredictionService"):
        request = health_pb2.HealthCheckRequest(service=service)
        while time.monotonic() < deadline:
            status = stub.Check(request, timeout=30).status
            if status == health_pb2.HealthCheckResponse.SERVING:
                break
        assert status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as error:
        stub.Check(health_pb2.HealthCheckRequest(service="none"), timeout=30)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_server_without_its_model_is_not_healthy(tmp_path):
    with (
        Server({"small": tmp_path / "nothing"}) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        status = stub.Check(health_pb2.HealthCheckRequest(), timeout=30).status
    assert status == health_pb2.HealthCheckResponse.NOT_SERVING


def test_reflection_names_the_services_and_describes_them(channel):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    service = "tensorflow.serving.PredictionService"
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=service),
    ]

    names, file = stub.ServerReflectionInfo(iter(requests), timeout=30)

    found = {each.name for each in names.list_services_response.service}
    assert found >= {service, "tensorflow.serving.ModelService", "grpc.health.v1.Health"}
    assert b"MultiInference" in file.file_descriptor_response.file_descriptor_proto[0]


def test_session_run_is_refused_in_words(channel):
    call = channel.unary_unary(
        "/tensorflow.serving.SessionService/SessionRun",
        session_service_pb2.SessionRunRequest.SerializeToString,
        session_service_pb2.SessionRunResponse.FromString,
    )
    with pytest.raises(grpc.RpcError, match="Call a signature") as error:
        call(session_service_pb2.SessionRunRequest(), timeout=30)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def metrics(server):
    url = f"http://127.0.0.1:{server.rest_port}/monitoring/prometheus/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_metrics_have_tensorflow_servings_names(quiet, photographs):
    count = ':tensorflow:serving:request_count{model_name="small",status="%s"}'
    latency = (
        ":tensorflow:serving:request_latency_count"
        '{API="Predict",entrypoint="GRPC",model_name="small"}'
    )
    before = metrics(quiet)
    with Client(f"127.0.0.1:{quiet.grpc_port}") as client:
        client.predict("small", [photographs["cat"]])
        for model in ("small", "no such model"):
            with pytest.raises(ServingError):
                client.call(model, {}, "predict")
    after = metrics(quiet)

    def grown(name):
        return float(after[name]) - float(before.get(name, 0))

    assert grown(count % "OK") == 1
    assert grown(count % "INVALID_ARGUMENT") == 1
    assert grown(latency) == 2
    assert not any("no such model" in name for name in after)
    assert any("runtime_latency_bucket" in name for name in after)


def test_answers_in_batches_are_those_of_the_model(quiet, photographs, one_version):
    images = list(photographs.values())
    with (
        Server({"small": one_version}) as alone,
        Client(f"127.0.0.1:{alone.grpc_port}") as client,
        Client(f"127.0.0.1:{quiet.grpc_port}") as batched,
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        alone.wait_until_available("small")
        expected = [one["scores"] for one in client.predict("small", images)]
        for _ in range(5):
            answers = [pool.submit(batched.predict, "small", [image]) for image in images]
            given = [answer.result()[0]["scores"] for answer in answers]
            np.testing.assert_allclose(given, expected, rtol=1e-5)


def test_overload_and_deadlines(quiet, photographs):
    address = f"127.0.0.1:{quiet.grpc_port}"
    full = {"steps": np.repeat(LONG, 4)}

    def ask():
        with Client(address, retries=0) as client:
            return client.call("small", full, "spin")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        requests = [pool.submit(ask) for _ in range(8)]
        # Waits in vain for the one thread; when it is gone, there is room again.
        with Client(address, timeout=0.2) as client, pytest.raises(ServingError) as error:
            client.predict("small", [photographs["cat"]])
        codes = [r.exception().code.name for r in requests if r.exception()]
    assert error.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert set(codes) == {"UNAVAILABLE"}
    assert 1 <= len(codes) < 8
    with Client(address) as client:
        assert client.predict("small", [photographs["cat"]])


def test_a_client_retries_until_there_is_room(quiet):
    full = {"steps": np.repeat(LONG // 10, 4)}
    with (
        Client(f"127.0.0.1:{quiet.grpc_port}") as client,
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        for answer in [pool.submit(client.call, "small", full, "spin") for _ in range(4)]:
            assert answer.result()["steps"].tolist() == full["steps"].tolist()


def hang_up_over_grpc(server, steps):
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "small", "spin"
    request.inputs["steps"].CopyFrom(to_proto(steps))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    call = stub.Predict.future(request)
    yield
    call.cancel()
    channel.close()


def hang_up_over_rest(server, steps):
    body = json.dumps({"signature_name": "spin", "instances": steps.tolist()}).encode()
    head = f"POST /v1/models/small:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=30) as client:
        client.sendall(f"{head}\r\n\r\n".encode() + body)
        yield


@pytest.mark.parametrize("waiting", [hang_up_over_grpc, hang_up_over_rest])
def test_a_caller_who_hangs_up_while_waiting_is_not_computed(one_version, waiting):
    parameters = BatchingParameters(max_batch_size=1, num_batch_threads=1, max_enqueued_batches=1)
    with (
        Server({"small": one_version}, batching=parameters) as server,
        Client(f"127.0.0.1:{server.grpc_port}", retries=0) as client,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        server.wait_until_available("small")
        batches = server._models._scheduler
        first = pool.submit(client.call, "small", {"steps": 10 * LONG}, "spin")
        until(lambda: not batches._free)  # the one thread computes the first

        hanging = waiting(server, LONG)
        next(hanging)
        until(lambda: batches._line)
        with pytest.raises(ServingError, match="UNAVAILABLE"):  # there is room for one
            client.call("small", {"steps": LONG}, "spin")
        next(hanging, None)
        until(lambda: not batches._line)

        assert first.result()["steps"].tolist() == (10 * LONG).tolist()
        assert client.call("small", {"steps": LONG // 100}, "spin")
        calls = metrics(server)[
            ':tensorflow:serving:runtime_latency_count{API="spin",model_name="small",runtime="TF1"}'
        ]
        assert float(calls) == 2


def until(condition, seconds=60.0):
    """Waits for what the server does on its own."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def authorities():
    return trustme.CA(), trustme.CA()


@pytest.mark.parametrize("mutual", [False, True])
def test_tls(base_path, tmp_path, authorities, mutual):
    ours, other = authorities
    server_pair, client_pair, stranger = (
        each.issue_cert("localhost", "127.0.0.1") for each in (ours, ours, other)
    )
    root = ours.cert_pem.bytes()

    def text(pem):
        return pem.decode().replace("\n", "\\n")

    config = tmp_path / "ssl.config"
    config.write_text(
        f'server_key: "{text(server_pair.private_key_pem.bytes())}" '
        f'server_cert: "{text(server_pair.cert_chain_pems[0].bytes())}" '
        f'custom_ca: "{text(root)}" client_verify: {str(mutual).lower()}'
    )
    shown = grpc.ssl_channel_credentials(
        root, client_pair.private_key_pem.bytes(), client_pair.cert_chain_pems[0].bytes()
    )
    wrong = grpc.ssl_channel_credentials(
        root, stranger.private_key_pem.bytes(), stranger.cert_chain_pems[0].bytes()
    )
    with Server({"small": base_path}, tls=read_tls_settings(config)) as server:
        address = f"localhost:{server.grpc_port}"
        with Client(address, credentials=shown) as client:
            assert client.wait_until_available("small") == 1
        allowed = [] if mutual else [grpc.ssl_channel_credentials(root)]
        refused = [None, grpc.ssl_channel_credentials(other.cert_pem.bytes())]
        refused += [wrong, grpc.ssl_channel_credentials(root)] if mutual else []
        for credentials in allowed:
            with Client(address, credentials=credentials) as client:
                assert client.status("small")
        for credentials in refused:
            with Client(address, 5, credentials=credentials, retries=0) as client:
                with pytest.raises(ServingError) as error:
                    client.status("small")
                assert error.value.code is grpc.StatusCode.UNAVAILABLE
