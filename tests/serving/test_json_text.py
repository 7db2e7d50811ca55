"""JSON text as RapidJSON reads it, within bounds."""

import base64
import gc
import json
import math
import tracemalloc

import pytest

from serving.errors import ServingError
from serving.json_text import parse
from serving.json_values import decoded

MIB = 1 << 20


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"instances": [' + b"[]," * MIB + b"[]]}", "values"),
        (b'{"instances": [' + b"[" * MIB + b"]" * MIB + b"]}", "values"),
        (b'{"instances": [' + b"{}," * MIB + b"{}]}", "values"),
        (b'{"instances": [' + b"0," * MIB + b"0]}", "values"),
        (b"{" + b'"":0,' * (MIB // 4) + b'"":0}', "names"),
    ],
)
def test_what_is_more_than_its_bytes_may_hold_is_not_parsed(body, what):
    with pytest.raises(ServingError, match=f"{what}, more than the limit of"):
        parse(body, 64 * MIB)


def test_a_large_document_of_legal_size():
    rows = [[[number / 7], [-number]] for number in range(50_000)]
    document = {"signature_name": "predict", "instances": rows}
    body = json.dumps(document).encode()
    assert len(body) > MIB  # more than one piece
    assert parse(body, 64 * MIB) == document
    assert gc.isenabled()
    with pytest.raises(ServingError):
        parse(body[:-1], 64 * MIB)
    assert gc.isenabled()


@pytest.mark.parametrize(
    "number",
    [
        *("1" + "0" * 250 + "e99", "1" + "0" * 250 + "E+99", "-" + "9" * 309, "1e0309"),
        *("1" + "0" * 308 + "." + "0" * 9 + "e1", "123456.7e304"),
    ],
)
@pytest.mark.parametrize("before", [0, MIB - 100], ids=["", "between two pieces"])
def test_a_number_that_no_double_holds(number, before):
    with pytest.raises(ServingError, match="JSON Parse error: Number too big"):
        parse(b'{"a":' + b" " * before + number.encode() + b"}", MIB)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Inf", math.inf),
        ("-Inf", -math.inf),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("NaN", math.nan),
        ("-NaN", math.nan),
        ("1" + "0" * 250 + "e-99", float("1" + "0" * 250 + "e-99")),
        ("1e-400", 0.0),
    ],
)
def test_numbers_that_rapidjson_takes(text, number):
    body = f'{{"a": "Inf, \\"-NaN", "b": [{text}, 1], "Inf": 0}}'.encode()
    found = parse(body, MIB)
    assert repr(found["b"]) == repr([number, 1])
    assert [found["a"], found["Inf"]] == ['Inf, "-NaN', 0]


@pytest.mark.parametrize("text", ["Infinit", "inf", "nan", "+Inf", "-", "Nan", "InfInf"])
def test_numbers_that_rapidjson_refuses(text):
    with pytest.raises(ServingError, match="JSON Parse error"):
        parse(f'{{"a": [{text}]}}'.encode(), MIB)


@pytest.mark.parametrize("text", [r"\n", r"\"", r"\\", r"\\\"Inf"])
def test_escapes_beside_inf_need_no_more_memory_than_they_are(text):
    text *= 1 << 18
    body = f'{{"a": [Inf, "{text}"], "b": Inf}}'.encode()
    tracemalloc.start()
    found = parse(body, 256 * MIB)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == {"a": [math.inf, json.loads(f'"{text}"')], "b": math.inf}
    assert used < 20 * len(body)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 3 << 18, (3 << 18) + 1, 5 << 18])
def test_base64_in_pieces(size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    text = base64.encodebytes(content).decode()
    assert decoded(text) == decoded(text.rstrip("=\n")) == content
    for wrong in ("!", "=AAA", "\u00e9"):
        with pytest.raises(ServingError, match="Unable to base64 decode"):
            decoded(text + "AAAA" + wrong)
