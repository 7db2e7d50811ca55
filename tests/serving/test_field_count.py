"""Fields of encoded messages, counted without decoding them."""

import pytest
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2

from serving.field_count import has_at_most

PREDICT = predict_pb2.PredictRequest.DESCRIPTOR


def length_delimited(number: int, content: bytes) -> bytes:
    size, head = len(content), bytearray([number << 3 | 2])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + content


def request() -> predict_pb2.PredictRequest:
    """Of 14 fields."""
    message = predict_pb2.PredictRequest(output_filter=["scores", "classes"])
    message.model_spec.name = "lenet"
    message.model_spec.version.value = 1 << 62
    tensor = message.inputs["x"]
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=300)
    tensor.float_val.extend([1.0] * 300)
    return message


def test_fields_are_counted_with_those_of_messages_within():
    content = request().SerializeToString()
    assert has_at_most(content, PREDICT, 14)
    assert not has_at_most(content, PREDICT, 13)
    assert has_at_most(b"", PREDICT, 0)


# A tag of an unknown group, a field in it that is a message elsewhere, and the end of the group.
GROUP = b"\x7b" + length_delimited(1, b"\xff") + b"\x7c"


@pytest.mark.parametrize(
    ("content", "descriptor"),
    [
        (b"\x12\x00" * 1000, PREDICT),
        (b"\x7a\x00" * 1000, PREDICT),
        (b"\x78\x01" * 1000, PREDICT),
        (b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x1a\x00" * 999, PREDICT),
        (GROUP * 400, PREDICT),
        (length_delimited(2, length_delimited(2, b"\x42\x00" * 999)), PREDICT),
        (length_delimited(2, length_delimited(2, length_delimited(2, b"\x12\x00" * 998))), PREDICT),
        (b"\x0a\x00" * 1000, inference_pb2.MultiInferenceRequest.DESCRIPTOR),
        (
            length_delimited(2, length_delimited(1, b"\x0a\x00" * 999)),
            classification_pb2.ClassificationRequest.DESCRIPTOR,
        ),
    ],
)
def test_more_fields_than_allowed(content, descriptor):
    assert has_at_most(content, descriptor, 1500)
    assert not has_at_most(content, descriptor, 900)


def test_what_breaks_off_is_left_to_the_parser():
    content = request().SerializeToString()
    for end in range(len(content)):
        assert has_at_most(content[:end], PREDICT, 14)
    for wrong in (b"\xff" * 20, b"\x12\xff", b"\x7c", b"\x7e", b"\x12\x7f\x00"):
        assert has_at_most(wrong, PREDICT, 100)
