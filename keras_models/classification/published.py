"""ImageNet weights that keras.applications publishes, and the pixels that they want."""

from collections.abc import Callable
from types import FrameType
from typing import Any

import keras
import numpy as np

# What keras.applications subtracts from the nets of Simonyan and Zisserman and of He et al.
RGB_MEAN = (123.68, 116.779, 103.939)
_DOWNLOADING = "get_file"
_SHA256_LENGTH = 64


def preprocess_input(x: Any) -> Any:
    """Pixels as the nets of this package with ImageNet weights take them.

    Not as keras.applications' functions of this name, which turn RGB into BGR: the converted
    weights take RGB.

    Args:
        x: [..., 3], RGB of 0..255: an array or a tensor, which stays as it is.

    Returns:
        float32 of the same shape and kind: x minus (123.68, 116.779, 103.939), not divided.
    """
    if isinstance(x, np.ndarray):
        return x.astype("float32") - np.array(RGB_MEAN, "float32")
    return keras.ops.cast(x, "float32") - np.array(RGB_MEAN, "float32")


def with_imagenet_weights(application: Callable[..., keras.Model], **arguments: Any) -> keras.Model:
    """A net of keras.applications with its ImageNet weights.

    They are downloaded at the first time, and kept in Keras' cache.

    Args:
        application: `keras.applications.VGG16` or another.
        **arguments: its own, but for `weights`.

    Raises:
        FileNotFoundError: they cannot be downloaded; the message says which file is wanted where,
            and its checksum.
        ValueError: as the net itself does.
    """
    try:
        return application(weights="imagenet", **arguments)
    except Exception as error:  # Keras raises this very class where a download fails.
        call = _frame(error, _DOWNLOADING)
        if call is None:
            raise
        raise FileNotFoundError(_missing(application.__name__, call.f_locals, error)) from None


def _frame(error: Exception, function: str) -> FrameType | None:
    """The call of a function of that name out of which an error came."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == function:
            return trace.tb_frame
        trace = trace.tb_next
    return None


def _missing(net: str, download: dict[str, Any], error: Exception) -> str:
    return (
        f"The ImageNet weights of keras.applications' {net} are not on this machine and cannot be "
        f"downloaded ({str(error).rpartition(' -- ')[2]}). Put the file {download['origin']}, "
        f"{_checksum(download['file_hash'])}, there: {download['download_target']}"
    )


def _checksum(checksum: str | None) -> str:
    """Keras has none for MobileNet, MobileNetV2, ResNet50V2 and the like."""
    if checksum is None:
        return "of which Keras publishes no checksum"
    return f"whose {'SHA-256' if len(checksum) == _SHA256_LENGTH else 'MD5'} is {checksum}"
