"""Augmentation, weight decay, noise, a second task: each on its own.

A. Krizhevsky, I. Sutskever, G. Hinton: ImageNet classification with deep convolutional neural
networks. NIPS 2012. J. Sietsma, R. Dow: Creating artificial neural networks that generalize. Neural
Networks 4, 1991. R. Caruana: Multitask learning. Machine Learning 28, 1997. R. Caruana, V. de Sa:
Promoting poor features to supervisors: some inputs work better as outputs. NIPS 1996.
"""

from typing import Any

from components.claims.claim import Claim, Comparison, Plot
from pipelines.claims._parts import TRAINING, of_net
from pipelines.recipes._parts import short_momentum

# Four pixels of 32 are two of 16.
_SHIFTED_AND_MIRRORED = [{"step": "pad", "margin": 2}, {"step": "flip"}]


def _net(model_args: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return of_net(
        "Stack",
        "cifar10",
        16,
        {"maps": [16, 32, 64], "convolutions": 2, "units": [128], **(model_args or {})},
        **{
            "train_images": 5000,
            "test_images": 10_000,
            "epochs": 15,
            "optimizer": short_momentum(0.01),
            **changes,
        },
    )


CLAIMS = (
    Claim(
        name="claim-ablations",
        paper="Krizhevsky, Sutskever, Hinton 2012, ImageNet classification with deep "
        "convolutional neural networks; Sietsma, Dow 1991, Creating artificial neural networks "
        "that generalize; Caruana 1997, Multitask learning; Caruana, de Sa 1996, Promoting poor "
        "features to supervisors",
        claim="Shifted and mirrored images reduce overfitting; a weight decay of 0.0005 lowers "
        "the training error, too (section 5 of the first); noise at the input lowers the test "
        "error; so does a second task that is learnt beside the first.",
        here="Six convolutions and a layer of 128 units on 5,000 images of CIFAR-10 at 16 x 16, "
        "15 epochs; noise of 0.3 standard deviations of the pixels, about. The second task "
        "is what might have been an input: nets that see the images in grey learn their colours "
        "at 4 x 4 places, too; a guess of no colour costs 1 nat.",
        experiment=TRAINING,
        variants={
            "plain": _net(),
            "augmented": _net(augment=_SHIFTED_AND_MIRRORED),
            "weight-decay": _net(weight_decay=5e-4),
            "noise": _net({"noise": 0.3}),
            "grey": _net({"colour_task": 0.0}),
            "grey-two-tasks": _net({"colour_task": 1.0}),
        },
        comparisons=(
            Comparison(
                "Augmentation narrows the gap between training and test error",
                ("plain", "gap"),
                ("augmented", "gap"),
            ),
            Comparison(
                "Augmentation lowers the test error",
                ("plain", "test_error"),
                ("augmented", "test_error"),
            ),
            Comparison(
                "Weight decay lowers the training error",
                ("plain", "train_error"),
                ("weight-decay", "train_error"),
            ),
            Comparison(
                "Noise lowers the test error",
                ("plain", "test_error"),
                ("noise", "test_error"),
            ),
            Comparison(
                "A second task, the colours of grey images, lowers the test error",
                ("grey", "test_error"),
                ("grey-two-tasks", "test_error"),
            ),
        ),
        plots=(
            Plot("Test error, %", "test_error"),
            Plot("Test error less training error, points", "gap"),
        ),
        seeds=(0, 1, 2, 3, 4),
    ),
)
