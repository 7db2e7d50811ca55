"""Optimizers, schedules and preprocessing that recipes share, as the plain data that they are."""

from collections.abc import Sequence
from typing import Any

SOFTMAX_LOSS = {"class": "keras.losses:SparseCategoricalCrossentropy", "from_logits": True}

MIRRORED = ({"step": "flip"},)
# Krizhevsky et al. 2012, section 4.1; what later papers call the standard colour augmentation.
MIRRORED_AND_SHIFTED_IN_COLOUR = (*MIRRORED, {"step": "pca_colour", "std": 0.1})
# He et al. 2016, section 4.2: 4 pixels on each side, then a crop of the old size.
SHIFTED_AND_MIRRORED = ({"step": "pad", "margin": 4}, {"step": "flip"})


def jittered(low: int, high: int) -> tuple[dict[str, Any], ...]:
    """Crops of images whose shorter side is drawn anew each time, mirrored, shifted in colour."""
    return (
        {"step": "scale_jitter", "low": low, "high": high},
        *MIRRORED_AND_SHIFTED_IN_COLOUR,
    )


def of_any_shape(strength: float) -> tuple[dict[str, Any], ...]:
    """Parts of any size and shape, mirrored, in other colours: Szegedy et al. 2015, section 6."""
    return (
        {"step": "area_aspect", "area": [0.08, 1.0], "aspect": [0.75, 1.3333]},
        *MIRRORED,
        {"step": "photometric", "strength": strength},
    )


def momentum(rate: float | dict[str, Any], **more: Any) -> dict[str, Any]:
    """Stochastic gradient descent with a momentum of 0.9."""
    return {"class": "keras.optimizers:SGD", "learning_rate": rate, "momentum": 0.9, **more}


def adam(peak: float, **more: Any) -> dict[str, Any]:
    """Adam with an epoch of warm-up and a cosine to zero: few epochs go far."""
    return {"class": "keras.optimizers:Adam", "learning_rate": _one_cycle(peak), **more}


def short_momentum(peak: float) -> dict[str, Any]:
    """`momentum` with an epoch of warm-up and a cosine to zero."""
    return momentum(_one_cycle(peak), nesterov=True)


def _one_cycle(peak: float) -> dict[str, Any]:
    return {
        "class": "keras.optimizers.schedules:CosineDecay",
        "initial_learning_rate": peak / 100,
        "warmup_target": peak,
        "warmup_steps": "$steps_per_epoch",
        "decay_steps": "$steps",
    }


def divided_by_10(rate: float, boundaries: Sequence[int | str]) -> dict[str, Any]:
    """A rate that is divided by 10 at each of the boundaries (in steps)."""
    return {
        "class": "keras.optimizers.schedules:PiecewiseConstantDecay",
        "boundaries": list(boundaries),
        # Rounded, so that 0.1 is not 0.010000000000000002 a tenth later.
        "values": [float(f"{rate / 10**drop:.6g}") for drop in range(len(boundaries) + 1)],
    }


def thirds(rate: float, drops: int) -> dict[str, Any]:
    """A rate divided by 10 so many times, at even distances.

    For papers that lower it by hand when the validation error stops improving.
    """
    return divided_by_10(rate, [f"$steps * {(k + 1) / (drops + 1):.4g}" for k in range(drops)])


def pixels(
    side: int, mean: str = "per_pixel", resize: int | None = None, channels: int = 3, **more: Any
) -> dict[str, Any]:
    """Pixels 0..255 minus their mean, as the papers on ImageNet take them."""
    return {
        "size": [side, side],
        "resize": resize,
        "channels": channels,
        "fit": "crop",
        "range": [0.0, 255.0],
        "mean": mean,
        **more,
    }


def imagenet(**more: Any) -> dict[str, Any]:
    """What recipes on ImageNet share: 256 pixels a side, of which 224 are seen."""
    return {"dataset": "tfds:imagenet2012", "preprocess": pixels(224, resize=256), **more}


# Centred and scaled to about one: what lets any of the nets start on small pictures.
SMALL_PIXELS = pixels(32, mean="per_channel", range=[0.0, 4.0])


def cifar10(**more: Any) -> dict[str, Any]:
    """What the small sizes share: CIFAR-10, the judgement as it is served."""
    return {
        "size": "small",
        "dataset": "cifar10",
        "preprocess": SMALL_PIXELS,
        "augment": SHIFTED_AND_MIRRORED,
        "batch_size": 128,
        "weight_decay": 5e-4,
        "protocol": "1-crop",
        "fully_convolutional": False,
        "steps_per_execution": 10,
        "thresholds": {"accuracy": 0.4, "change": 0.01},
        **more,
    }
