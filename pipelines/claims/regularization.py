"""Dropout, DropConnect and stochastic pooling.

L. Wan, M. Zeiler, S. Zhang, Y. LeCun, R. Fergus: Regularization of neural networks using
DropConnect. ICML 2013. M. D. Zeiler, R. Fergus: Stochastic pooling for regularization of deep
convolutional neural networks. ICLR 2013. A. Krizhevsky, I. Sutskever, G. Hinton: ImageNet
classification with deep convolutional neural networks. NIPS 2012.
"""

from typing import Any

from components.claims.claim import Claim, Comparison, Plot
from pipelines.claims._parts import TRAINING, of_net, of_recipe, small_pixels
from pipelines.recipes._parts import short_momentum

_SHARED = {
    "train_images": 1000,
    "test_images": 5000,
    "epochs": 20,
    "batch_size": 50,
    "optimizer": short_momentum(0.02),
}


def _dense(units: int, drop: str = "none") -> dict[str, Any]:
    return of_net("Dense", "mnist", 14, {"units": [units] * 2, "drop": drop}, **_SHARED)


def _pooled(pooling: str) -> dict[str, Any]:
    return of_recipe(
        "stochastic-pooling",
        dataset="mnist",
        model_args={"pooling": pooling, "maps": [16, 16, 16]},
        preprocess=small_pixels(14, channels=1),
        weight_decay=0.0,
        **_SHARED,
    )


def _narrows(what: str, without: str, by: str) -> Comparison:
    return Comparison(f"{what} narrows the gap", (without, "gap"), (by, "gap"))


def _lowers(what: str, without: str, by: str) -> Comparison:
    return Comparison(f"{what} lowers the test error", (without, "test_error"), (by, "test_error"))


CLAIMS = (
    Claim(
        name="claim-regularization",
        paper="Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep "
        "convolutional neural networks; Wan, Zeiler, Zhang, LeCun, Fergus 2013, Regularization of "
        "neural networks using DropConnect; Zeiler, Fergus 2013, Stochastic pooling",
        claim="Dropout, DropConnect and stochastic pooling each narrow the gap between training "
        "and test error of a large net, and a large net that is regularised beats a small one.",
        here="1,000 training digits of 14 x 14, 20 epochs. Dropout and DropConnect (rate 0.5) on "
        "both of two layers of 200 units; the small net has two layers of 30. Stochastic against "
        "max pooling in three convolutions of 16 maps, without weight decay.",
        experiment=TRAINING,
        variants={
            "large": _dense(200),
            "dropout": _dense(200, "out"),
            "dropconnect": _dense(200, "connect"),
            "small": _dense(30),
            "max-pooling": _pooled("max"),
            "stochastic-pooling": _pooled("stochastic"),
        },
        comparisons=(
            _narrows("Dropout", "large", "dropout"),
            _lowers("Dropout", "large", "dropout"),
            _narrows("DropConnect", "large", "dropconnect"),
            _lowers("DropConnect", "large", "dropconnect"),
            _narrows("Stochastic pooling", "max-pooling", "stochastic-pooling"),
            _lowers("Stochastic pooling", "max-pooling", "stochastic-pooling"),
            Comparison(
                "The large net with dropout has a lower test error than the small net",
                ("small", "test_error"),
                ("dropout", "test_error"),
            ),
            Comparison(
                "The large net with DropConnect has a lower test error than the small net",
                ("small", "test_error"),
                ("dropconnect", "test_error"),
            ),
        ),
        plots=(
            Plot("Test error less training error, points", "gap"),
            Plot("Test error, %", "test_error"),
            Plot("Training error, %", "train_error"),
        ),
    ),
)
