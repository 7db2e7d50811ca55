"""The ways in which papers turn one image into one answer.

A protocol is a row of `PROTOCOLS`. Its function is given the loaded SavedModel and a batch of
serialised tf.Examples (string tensor [N]) and returns the scores (float32 tensor [N, C],
probabilities in the order of the labels).
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Protocol:
    name: str
    summary: str
    scores: Callable[[Any, Any], Any]


def _one_crop(model: Any, examples: Any) -> Any:
    return model.signatures["serving_default"](examples=examples)["scores"]


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "1-crop", "one view of each image, prepared exactly as the server does", _one_crop
        ),
    )
}


def find(name: str) -> Protocol:
    """The protocol called `name`.

    Raises:
      KeyError: there is none of that name; the near matches are named.
    """
    if name not in PROTOCOLS:
        close = difflib.get_close_matches(name, PROTOCOLS, n=3, cutoff=0.5) or sorted(PROTOCOLS)
        raise KeyError(f"unknown protocol {name!r}: did you mean {' or '.join(close)}?")
    return PROTOCOLS[name]
