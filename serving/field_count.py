"""How many fields an encoded message has, found without decoding it.

protobuf's parser lets no other thread run until it has ended, and takes two bytes for a field that
it makes an object of.
"""

from __future__ import annotations

import functools

from google.protobuf.descriptor import Descriptor, FieldDescriptor

# Each takes the parser a tenth of a microsecond: those of a message of so many bytes need not be
# counted, and this many are most. That is room for 65,536 tf.Examples of one feature.
UNCOUNTED_BYTES, MOST = 64 << 10, 1 << 19
# The types of what follows a field's number
# (https://protobuf.dev/programming-guides/encoding/#structure).
_VARINT, _EIGHT_BYTES, _LENGTH, _GROUP, _END_OF_GROUP, _FOUR_BYTES = range(6)


def has_at_most(content: bytes, descriptor: Descriptor, most: int) -> bool:
    """Whether a message, with those within it, has no more than `most` fields.

    True where the content breaks off before that: the parser stops there, too.
    """
    at, end, kind, groups = 0, len(content), descriptor, 0
    outer: list[tuple[int, Descriptor]] = []
    try:
        for _ in range(most):
            while at == end and outer:
                end, kind = outer.pop()
            if at == end:
                return True
            tag, at = _varint(content, at)
            wire_type = tag & 7
            if wire_type == _VARINT:
                at = _varint(content, at)[1]
            elif wire_type == _EIGHT_BYTES:
                at += 8
            elif wire_type == _FOUR_BYTES:
                at += 4
            elif wire_type == _LENGTH:
                length, at = _varint(content, at)
                # What is in a group is unknown, and not looked into.
                inner = None if groups else _messages(kind).get(tag >> 3)
                if inner is not None and at + length <= end:
                    outer.append((end, kind))
                    end, kind = at + length, inner
                else:
                    at += length
            elif wire_type == _GROUP:
                groups += 1
            elif wire_type == _END_OF_GROUP and groups:
                groups -= 1
            else:
                return True
            if at > end:
                return True
    except IndexError:
        return True
    return at == end == len(content)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where the next thing does. IndexError for none."""
    byte = content[at]
    if byte < 0x80:
        return byte, at + 1
    number = byte & 0x7F
    for place in range(1, 10):
        byte = content[at + place]
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise IndexError


@functools.cache
def _messages(descriptor: Descriptor) -> dict[int, Descriptor]:
    """The fields that are messages themselves, by number."""
    return {
        field.number: field.message_type
        for field in descriptor.fields
        if field.type == FieldDescriptor.TYPE_MESSAGE
    }
