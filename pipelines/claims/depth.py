"""Depth: what residual connections are for.

K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition. CVPR 2016.
"""

from components.claims.claim import Claim, Comparison, Plot
from pipelines.claims._parts import TRAINING, of_recipe, small_pixels
from pipelines.recipes._parts import short_momentum

_NETS = {
    f"{kind}{depth}": of_recipe(
        f"cifar-{kind}{depth}",
        model_args={"filters": [8, 16, 32]},
        preprocess=small_pixels(16, channels=3),
        augment=[],
        optimizer=short_momentum(0.1),
        batch_size=64,
        epochs=6,
        train_images=5000,
        test_images=2000,
    )
    for kind in ("plain", "resnet")
    for depth in (20, 56)
}

CLAIMS = (
    Claim(
        name="claim-depth",
        paper="He, Zhang, Ren, Sun 2016, Deep residual learning for image recognition",
        claim="Plain nets of 56 layers have a higher training error than plain nets of 20 layers "
        "on CIFAR-10; residual nets of 56 layers do not (section 4.2, Figure 6).",
        here="8, 16 and 32 maps where the paper has 16, 32 and 64; pictures of 16 x 16; 5,000 "
        "training images without distortions; 6 epochs of 78 steps where the paper takes 64,000 "
        "steps. So this is about how fast the nets learn at first, not where they end.",
        experiment=TRAINING,
        variants=_NETS,
        comparisons=(
            Comparison(
                "Plain, 56 layers have a training error at least 2 points above that of 20",
                ("plain56", "train_error"),
                ("plain20", "train_error"),
                by=2.0,
            ),
            Comparison(
                "Residual, 56 layers are less than 2 points above 20",
                ("resnet20", "train_error"),
                ("resnet56", "train_error"),
                by=-2.0,
            ),
            Comparison(
                "56 layers have a lower training error with shortcuts than without",
                ("plain56", "train_error"),
                ("resnet56", "train_error"),
            ),
        ),
        plots=(
            Plot("Training loss, nats", "train_loss", "epoch", curve=True),
            Plot("Training error, %", "train_error"),
            Plot("Test error, %", "test_error"),
        ),
    ),
)
