"""What is in a net: learnt slopes, layers, response normalisation.

K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers. ICCV 2015. M. D. Zeiler, R. Fergus:
Visualizing and understanding convolutional networks. ECCV 2014. A. Krizhevsky, I. Sutskever, G.
Hinton: ImageNet classification with deep convolutional neural networks. NIPS 2012. K. Simonyan, A.
Zisserman: Very deep convolutional networks for large-scale image recognition. ICLR 2015.
"""

from typing import Any

from components.claims.claim import Claim, Comparison, Plot
from pipelines.claims._parts import TRAINING, of_net, of_recipe, small_pixels
from pipelines.recipes._parts import short_momentum

# Differences of a point or two are looked for.
_SEEDS = (0, 1, 2, 3, 4)
_SHARED = {
    "train_images": 10_000,
    "test_images": 10_000,
    "epochs": 5,
    "batch_size": 50,
    "optimizer": short_momentum(0.01),
}
_ERRORS = (Plot("Test error, %", "test_error"), Plot("Training error, %", "train_error"))


def _rectified(activation: str) -> dict[str, Any]:
    slopes = {"measure": "components.claims.derived:slopes"} if activation == "prelu" else {}
    return of_net(
        "Stack",
        "cifar10",
        16,
        {"maps": [16, 32, 64], "convolutions": 2, "activation": activation},
        **_SHARED,
        **slopes,
    )


def _alexnet(*without: int) -> dict[str, Any]:
    return of_recipe(
        "alexnet",
        preprocess=small_pixels(16, channels=3),
        model_args={
            "without": list(without),
            "stem": "cifar",
            "units": 256,
            "width": 0.25,
            "initialization": "he",
        },
        augment=[],
        **_SHARED,
    )


def _vgg(configuration: str) -> dict[str, Any]:
    return of_recipe(
        "vgg16",
        preprocess=small_pixels(32, channels=3),
        model_args={
            "configuration": configuration,
            "units": 128,
            "width": 0.125,
            "initialization": "he",
        },
        augment=[],
        **_SHARED,
    )


CLAIMS = (
    Claim(
        name="claim-prelu",
        paper="He, Zhang, Ren, Sun 2015, Delving deep into rectifiers",
        claim="Learnt slopes (PReLU) give a lower error than ReLU (1.2 points in Table 2), and "
        "they are larger in the first layer than in later ones (Table 1).",
        here="Six convolutions of 16, 32 and 64 maps on 10,000 images of CIFAR-10 at 16 x 16, 5 "
        "epochs; a slope for each map.",
        experiment=TRAINING,
        variants={"relu": _rectified("relu"), "prelu": _rectified("prelu")},
        comparisons=(
            Comparison(
                "The test error with PReLU is lower than with ReLU",
                ("relu", "test_error"),
                ("prelu", "test_error"),
            ),
            Comparison(
                "The first layer's mean slope is larger than that of the others",
                ("prelu", "first_slope"),
                ("prelu", "later_slope"),
            ),
        ),
        plots=_ERRORS,
        seeds=_SEEDS,
    ),
    Claim(
        name="claim-layers",
        paper="Zeiler, Fergus 2014, Visualizing and understanding convolutional networks",
        claim="Without its two fully connected layers, or without two of its convolutions, "
        "AlexNet is only slightly worse; without all four it is dramatically so: depth matters "
        "(Table 3).",
        here="A quarter of the maps and 256 units a fully connected layer, on 10,000 images of "
        "CIFAR-10 at 16 x 16, 5 epochs. Slightly is less than 5 points, dramatically more than 10.",
        experiment=TRAINING,
        variants={
            "whole": _alexnet(),
            "without-6-7": _alexnet(6, 7),
            "without-3-4": _alexnet(3, 4),
            "without-3-4-6-7": _alexnet(3, 4, 6, 7),
        },
        comparisons=(
            Comparison(
                "Without layers 6 and 7 the test error is less than 5 points higher",
                ("whole", "test_error"),
                ("without-6-7", "test_error"),
                by=-5.0,
            ),
            Comparison(
                "Without layers 3 and 4 it is less than 5 points higher",
                ("whole", "test_error"),
                ("without-3-4", "test_error"),
                by=-5.0,
            ),
            Comparison(
                "Without all four it is more than 10 points higher",
                ("without-3-4-6-7", "test_error"),
                ("whole", "test_error"),
                by=10.0,
            ),
        ),
        plots=_ERRORS,
        seeds=_SEEDS,
    ),
    Claim(
        name="claim-local-response",
        paper="Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep "
        "convolutional neural networks; against it Simonyan, Zisserman 2015, Very deep "
        "convolutional networks",
        claim="Local response normalisation lowers the error by 1 to 2 points (section 3.3 of the "
        "first; Table 3 of the second finds no gain with net A).",
        here="VGG's nets A and A-LRN with an eighth of the maps, on 10,000 images of CIFAR-10, 5 "
        "epochs.",
        experiment=TRAINING,
        variants={"A": _vgg("A"), "A-LRN": _vgg("A-LRN")},
        comparisons=(
            Comparison(
                "The test error is at least 1 point lower with it",
                ("A", "test_error"),
                ("A-LRN", "test_error"),
                by=1.0,
            ),
        ),
        plots=_ERRORS,
        seeds=_SEEDS,
    ),
)
