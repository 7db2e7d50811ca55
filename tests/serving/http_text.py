"""Requests over HTTP by JSON's tokens and HTTP's lines, right ones and wrong ones."""

import base64
import gzip
import io
import zlib

from hypothesis import strategies as st
from PIL import Image

_NUMBERS = st.sampled_from(
    [
        "0", "-0", "1", "28", "0.5", "-1e-400", "1e309", "1E400", "18446744073709551615",
        "9223372036854775808", "1e5", "01", "1.", ".5", "-", "+1", "NaN", "Infinity", "-Infinity",
        "0x10", "1e", "3.4028236e38", "9" * 400, "1" * 5000, "0." + "1" * 2000, "1e-" + "9" * 30,
        "1e" + "9" * 30,
    ]
).map(str.encode)  # fmt: skip
_TEXTS = st.sampled_from(
    [
        b'""', b'"x"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"',
        b'"\\"', b'"\\x41"', b'"\n"', b'"\xff\xfe"', b'"\xed\xa0\x80"', b"'x'", b'"open',
        b'"\\u12"', b'"serving_default"', b'"predict"', b'"classify"', b'"' + b"a" * 5000 + b'"',
        b'"AAAA"', b'"A"', b'"AA=="', b'"A A\\nA=A"',
    ]
)  # fmt: skip
_KEYS = st.sampled_from(
    [
        b'"b64"', b'"image"', b'"examples"', b'"inputs"', b'"instances"', b'"signature_name"',
        b'"context"', b'"image/encoded"', b'"steps"', b'""', b'"\\ud800"', b'"b64" ', b"b64", b"1",
    ]
)  # fmt: skip
_WORDS = st.sampled_from([b"null", b"true", b"false", b"nul", b"", b"/**/1", b"undefined"])
_ENDS = st.sampled_from([b"", b"", b"", b"", b" ", b"\n", b",", b"}", b"]", b"x", b"{}", b"\0"])
_STARTS = st.sampled_from([b"", b"", b"", b"", b" \r\n\t", b"\xef\xbb\xbf", b"\0", b"//\n"])


def _array(items: list[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def _object(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return b"{" + b",".join(b":".join(pair) for pair in pairs) + b"}"


def _nested(value: bytes, depth: int) -> bytes:
    return b"[" * depth + value + b"]" * depth


_SCALARS = st.one_of(_NUMBERS, _TEXTS, _WORDS)
_DEEP = st.builds(_nested, _SCALARS, st.sampled_from([2, 33, 300, 2000]))
VALUES = st.recursive(
    st.one_of(_SCALARS, _SCALARS, _DEEP),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5).map(_array),
        st.lists(st.tuples(_KEYS, inner), max_size=4).map(_object),
        st.builds(lambda value, times: _array([value] * times), inner, st.sampled_from([2, 50])),
    ),
    max_leaves=10,
)
_TOP = st.sampled_from(
    [b'"instances"', b'"inputs"', b'"examples"', b'"signature_name"', b'"context"']
)
_SIGNATURE = st.sampled_from([b'"predict"', b'"classify"', b'"features"', b'"spin"', b'"none"'])


def _image() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "png")
    return b'{"b64":"' + base64.b64encode(buffer.getvalue()) + b'"}'


# What a served picture is asked with; anything may stand before and behind it.
_GOOD = [
    (b'"instances"', _array([_image()])),
    (b'"inputs"', _object([(b'"examples"', _array([_image()]))])),
    (b'"examples"', _array([_object([(b'"image/encoded"', _image())])])),
]
_PAIRS = st.one_of(
    st.tuples(_TOP, VALUES),
    st.sampled_from(_GOOD),
    st.tuples(st.just(b'"signature_name"'), _SIGNATURE),
)
DOCUMENTS = st.builds(
    lambda start, pairs, end: start + _object(pairs) + end,
    _STARTS,
    st.lists(_PAIRS, max_size=4),
    _ENDS,
)


def _packed(body: bytes, encoding: str, cut: int, more: bytes) -> tuple[dict[str, str], bytes]:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding.lower(), bytes)
    content = pack(body)
    return {"Content-Encoding": encoding}, content[: len(content) - cut] + more


_TYPES = st.sampled_from(
    ["application/json", "text/plain; charset=utf-16", "multipart/form-data", ";", "\xff"]
)
# Headers and a body that fits them.
BODIES = st.one_of(
    DOCUMENTS.map(lambda body: ({}, body)),
    DOCUMENTS.map(lambda body: ({}, body)),
    st.builds(
        _packed,
        DOCUMENTS,
        st.sampled_from(
            ["gzip", "deflate", "GZip", "br", "identity", "gzip, gzip", "x" * 4000, "gzip;"]
        ),
        st.sampled_from([0, 0, 0, 1, 9]),
        st.sampled_from([b"", b"", b"x", bytes(100), gzip.compress(b"{}")]),
    ),
    st.tuples(_TYPES.map(lambda kind: {"Content-Type": kind}), DOCUMENTS),
)

_METHODS = st.sampled_from(
    [b"POST", *[b"GET"] * 5, b"OPTIONS", b"HEAD", b"PUT", b"post", b"", b"P\xd6ST"]
)
_TARGETS = st.sampled_from(
    [
        b"/v1/models/small:predict", b"/v1/models/small", b"/v1/models/small/metadata", b"*", b"/",
        b"http://x/v1/models/small", b"//v1/models/small", b"/v1/models/small?a=%zz#b", b"/v1/%",
        b"/v1/models/%00", b"/v1/models/\xff\xfe", b"/v1/models/" + b"a" * 9000, b"x:y", b"[::1",
        b"http://[::1/v1", b"/v1/models/small/versions/-1", b"/monitoring/prometheus/metrics",
        b"http://x:99999/v1/models/small", b"\xc3\xa4",
    ]
)  # fmt: skip
_VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 4 + [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/9.9", b"", b"http/1.1"]
)
_LINES = """
Host: x|Host: x|Connection: close|Connection: Upgrade|Upgrade: websocket|Upgrade: h2c
Content-Length: 2|Content-Length: 0|Content-Length: -1|Content-Length: 2, 2|Content-Length: +2
Content-Length: 99999999999999999999|Content-Length: 0x2|Transfer-Encoding: chunked
Transfer-Encoding: gzip, chunked|Transfer-Encoding: x|Content-Encoding: gzip
Expect: 100-continue|Expect: x|no colon|: empty| folded|A : b|Origin: https://x|Host:
Range: bytes=0-|TE: trailers|Access-Control-Request-Method: X
"""
_HEADERS = st.lists(
    st.sampled_from(
        [
            *_LINES.strip().replace("|", "\n").encode().split(b"\n"),
            b"A: \0", b"A: \xff\xfe", b"A: \rb", b"A: " + b"a" * 9000, b"A\xff: b",
            b"Cookie: \xff=;;", b"Content-Type: application/json; charset=\xff",
        ]
    ),
    max_size=4,
)  # fmt: skip
_CHUNKS = st.sampled_from(
    [
        b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n", b"2;a=b\r\n{}\r\n0\r\nA: b\r\n\r\n", b"-2\r\n{}\r\n",
        b"g\r\n", b"ffffffffffffffffff\r\n", b"2\r\n{}x\r\n0\r\n\r\n", b"2\n{}\n0\n\n", b"\x1f\x8b",
        b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"2" * 9000 + b"\r\n",
    ]
)  # fmt: skip
# What is sent on one connection.
CONNECTIONS = st.one_of(
    st.builds(
        lambda method, target, version, headers, chunks, end: (
            end.join([b" ".join([method, target, version]), *headers]) + end + end + chunks
        ),
        _METHODS,
        _TARGETS,
        _VERSIONS,
        _HEADERS,
        _CHUNKS,
        st.sampled_from([*[b"\r\n"] * 6, b"\n", b"\r", b"\0"]),
    ),
    st.binary(max_size=60),
)
