"""Messages by the fields of protobuf's wire format, most of them right.

They are what a parser can be given, not what a program would send.
"""

import functools

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

_VARINT, _FIXED64, _LENGTH, _GROUP, _FIXED32 = 0, 1, 2, 3, 5
_SIZES = {
    FieldDescriptor.TYPE_DOUBLE: 8, FieldDescriptor.TYPE_FIXED64: 8,
    FieldDescriptor.TYPE_SFIXED64: 8, FieldDescriptor.TYPE_FLOAT: 4,
    FieldDescriptor.TYPE_FIXED32: 4, FieldDescriptor.TYPE_SFIXED32: 4,
}  # fmt: skip
_INTEGERS = st.one_of(
    st.integers(0, 30),
    st.sampled_from([28, 1 << 31, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]),
)  # fmt: skip
_DEEPEST = 6


def varint(value: int) -> bytes:
    """`value` in groups of seven bits."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def _tagged(number: int, wire_type: int, content: bytes) -> bytes:
    length = varint(len(content)) if wire_type == _LENGTH else b""
    return varint(number << 3 | wire_type) + length + content


@functools.cache
def messages(kind: Descriptor, words: st.SearchStrategy, depth: int = 0) -> st.SearchStrategy:
    """Bytes of any fields of a message, in any order and number; `words` are its texts."""
    fields = [field for field in kind.fields if depth < _DEEPEST or field.message_type is None]
    known = st.sampled_from(fields).flatmap(lambda field: _field(field, words, depth))
    return st.lists(known if fields else st.just(b""), max_size=5 - depth // 2).map(b"".join)


def _field(field: FieldDescriptor, words: st.SearchStrategy, depth: int) -> st.SearchStrategy:
    wire_type, values = _values(field, words, depth)
    right = values.map(lambda value: _tagged(field.number, wire_type, value))
    if field.label == FieldDescriptor.LABEL_REPEATED and wire_type != _LENGTH:
        packed = st.lists(values, max_size=40).map(b"".join)
        right = st.one_of(right, packed.map(lambda value: _tagged(field.number, _LENGTH, value)))
    # Most are right: else nothing but the parser would ever see them.
    return st.integers(0, 30).flatmap(lambda chance: right if chance else _wrong(field.number))


def _values(field: FieldDescriptor, words: st.SearchStrategy, depth: int) -> tuple:
    if field.message_type is not None:
        return _LENGTH, st.deferred(lambda: messages(field.message_type, words, depth + 1))
    if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        return _LENGTH, words
    if size := _SIZES.get(field.type):
        wire_type = _FIXED64 if size == 8 else _FIXED32
        return wire_type, st.one_of(st.binary(min_size=size, max_size=size), st.just(bytes(size)))
    return _VARINT, _INTEGERS.map(varint)


def _wrong(number: int) -> st.SearchStrategy:
    """A field of another type, one that nobody knows, a length beyond the end, an open group."""
    cut = [(_LENGTH, b"\xff\x7f"), (_GROUP, b""), (_VARINT, b"\xff" * 11)]
    return st.one_of(
        st.builds(_tagged, st.just(number), st.sampled_from([_VARINT, _LENGTH]), st.just(b"\x01")),
        st.builds(_tagged, st.sampled_from([0, 99, 1 << 28]), st.just(_LENGTH), st.binary()),
        st.sampled_from([varint(number << 3 | kind) + content for kind, content in cut]),
    )  # fmt: skip
