"""tensorflow_model_server's settings files."""

import json

import pytest
import trustme

from serving.settings import (
    METRICS_PATH,
    BatchingParameters,
    read_batching_parameters,
    read_metrics_path,
    read_tls_settings,
)

SPLITTING = "max_batch_size { value: 8 } enable_large_batch_splitting { value: true }"


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "settings").write_text(text)
        return tmp_path / "settings"

    return write


def test_batching_parameters(file):
    # The example of TensorFlow Serving's batching guide, with the fields it names further on.
    text = """
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 1000000 }
        num_batch_threads { value: 8 }
        thread_pool_name { value: "batches" }
        allowed_batch_sizes: 64  allowed_batch_sizes: 128
        pad_variable_length_inputs: true
    """
    assert read_batching_parameters(file(text)) == BatchingParameters(
        128, 0, 8, 1_000_000, (64, 128), True
    )


def test_splitting(file):
    text = """
        max_batch_size { value: 64 }  enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 16 }  allowed_batch_sizes: [8, 16]
    """
    assert read_batching_parameters(file(text)).rows == 16
    without = text.replace("true", "false").replace("[8, 16]", "[8, 64]")
    assert read_batching_parameters(file(without)).rows == 64


def test_what_is_not_given_is_tensorflow_servings_default(file):
    assert read_batching_parameters(file("")) == BatchingParameters()
    assert BatchingParameters().max_batch_size == 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: 3", "is no BatchingParameters"),
        ("max_batch { value: 3 }", 'no field named "max_batch"'),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("num_batch_threads { value: -1 }", "num_batch_threads must be positive"),
        ("num_batch_threads { value: 99999999999 }", "must be at most 10000; was 99999999999"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "last entry was 4; expected 8"),
        (f"{SPLITTING} max_execution_batch_size {{ value: 9 }}", "than or equal .* 8 and 9"),
        (f"{SPLITTING} max_execution_batch_size {{ value: 0 }}", "size must be positive; was 0"),
        ("allowed_batch_sizes: [4, 2, 1000]", "must be positive and increase"),
    ],
)
def test_wrong_batching_parameters(file, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read_batching_parameters(file(text))
    assert "settings" in str(error.value)


KEY = "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n"


def test_where_the_metrics_are(file):
    assert read_metrics_path(file("")) is None
    assert read_metrics_path(file("prometheus_config { enable: true }")) == METRICS_PATH
    assert read_metrics_path(file('prometheus_config { enable: true path: "/m" }')) == "/m"
    with pytest.raises(ValueError, match="does not begin with /"):
        read_metrics_path(file('prometheus_config { enable: true path: "m" }'))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('server_key: "k"', "server_key and server_cert"),
        ('server_key: "k" server_cert: "c" client_verify: true', "needs custom_ca"),
        (
            'server_key: "k" server_cert: "c"',
            "settings: server_key is no private key in PEM",
        ),
        (f'server_key: "{KEY}" server_cert: "c"', "server_cert is no certificate in PEM"),
    ],
)
def test_wrong_tls_settings(file, text, message):
    with pytest.raises(ValueError, match=message):
        read_tls_settings(file(text))


def test_a_key_of_another_certificate(file):
    """gRPC says no more of it than that it cannot listen."""
    one, other = (trustme.CA().issue_cert("localhost") for _ in range(2))
    key, another = (each.private_key_pem.bytes().decode() for each in (one, other))
    certificate = one.cert_chain_pems[0].bytes().decode()
    broken = f"{certificate[:60]}AAAA-----END CERTIFICATE-----\n"

    def settings(key, certificate, authority=""):
        texts = {"server_key": key, "server_cert": certificate, "custom_ca": authority}
        return read_tls_settings(file("".join(f"{n}: {json.dumps(t)} " for n, t in texts.items())))

    assert settings(key, certificate, certificate).server_key == key
    for texts, message in (
        ((another, certificate), "server_key does not belong to server_cert"),
        ((KEY.replace("\\n", "\n"), certificate), "server_key and server_cert: they cannot"),
        ((key, broken), "server_cert is no certificate in PEM"),
        ((key, certificate, broken), "custom_ca is no certificate in PEM"),
        ((key, certificate, "c"), "custom_ca is no certificate in PEM"),
    ):
        with pytest.raises(ValueError, match=f"settings: {message}"):
            settings(*texts)
