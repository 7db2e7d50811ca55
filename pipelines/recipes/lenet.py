"""LeNet-5 on MNIST.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document
recognition. Proceedings of the IEEE 86(11), 1998. Section II describes the network, section III
the training on MNIST with and without distortions.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import SOFTMAX_LOSS, adam

_PAPER = (
    "LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition"
)

# Section III.B: "combinations of horizontal and vertical translations, scaling, squeezing
# (simultaneous horizontal compression and vertical elongation, or the reverse), and horizontal
# shearing"; the paper gives no ranges.
_DISTORTIONS = ({"step": "affine", "translate": 2.0, "scale": 0.1, "squeeze": 0.1, "shear": 0.15},)
_STRONGER_DISTORTIONS = (
    {"step": "affine", "translate": 2.0, "scale": 0.15, "squeeze": 0.15, "shear": 0.25},
)


_LENET = Recipe(
    name="lenet",
    paper=_PAPER,
    summary="LeNet-5 as published in 1998, with the paper's distortions, on MNIST",
    dataset="mnist",
    model="keras_models.classification.lenet:LeNet5",
    model_args={"classifier": "rbf"},
    # Section II.B: the background is -0.1 and the foreground 1.175, which makes the mean of the
    # input roughly 0 and its variance roughly 1.
    preprocess={
        "size": [32, 32],
        "channels": 1,
        "fit": "pad",
        "range": [-0.1, 1.175],
        "mean": "none",
    },
    augment=_DISTORTIONS,
    distorted_copies=4,
    loss={"class": "keras_models.losses.classification:MAPCriterion"},
    optimizer=adam(6e-3),
    batch_size=128,
    # Processor and accelerator alike wait for Python between steps as small as these.
    steps_per_execution=10,
    epochs=30,
    benchmarks=(
        "lecun1998-lenet5-distortions",
        "lecun1998-lenet5",
        "lecun1998-lenet5-parameters",
        "lecun1998-lenet5-connections",
    ),
    thresholds={"accuracy": 0.97, "change": 0.002},
    features=("F6",),
)

_LENET_RELU = replace(
    _LENET,
    name="lenet-relu",
    summary="LeNet-5's shape with ReLU, max pooling and softmax, on MNIST",
    model="keras_models.classification.lenet:LeNet5ReLU",
    benchmarks=("lecun1998-lenet5-distortions", "lecun1998-lenet5"),
    model_args={},
    preprocess={
        "size": [32, 32],
        "channels": 1,
        "fit": "pad",
        "range": [0.0, 1.0],
        "mean": "per_pixel",
    },
    augment=_STRONGER_DISTORTIONS,
    loss=SOFTMAX_LOSS,
    optimizer=adam(3e-3, weight_decay=0.01),
    # Waits for --set tune.trials=20.
    tune={
        "epochs": 5,
        "space": {
            "optimizer.learning_rate.warmup_target": {"low": 3e-4, "high": 3e-2, "sampling": "log"},
            "optimizer.weight_decay": {"low": 1e-4, "high": 1e-1, "sampling": "log"},
            "batch_size": [64, 128, 256],
        },
    },
)

# Section III.B: 20 passes through the training data, to which 540,000 distorted patterns were
# added: nine for each of the 60,000.
_COPIES = 9
_PASSES = 20 * (1 + _COPIES)


def _diagonal_lm(times: int) -> dict:
    """Stochastic diagonal Levenberg-Marquardt with so many times the published rates.

    Section III.B and appendix C: mu 0.02, and the rate 0.0005 in the first two passes, 0.0002 in
    the next three, 0.0001 in three, 0.00005 in four and 0.00001 after, for one example at a time.
    """
    return {
        "class": "keras_models.optimizers:StochasticDiagonalLM",
        "learning_rate": {
            "class": "keras.optimizers.schedules:PiecewiseConstantDecay",
            "boundaries": [f"$steps * {passes / 20}" for passes in (2, 5, 8, 12)],
            "values": [rate * times / 100_000 for rate in (50, 20, 10, 5, 1)],
        },
        "mu": 0.02,
    }


# Y. LeCun et al.: Backpropagation applied to handwritten zip code recognition. Neural Computation
# 1(4), 1989: 23 passes through 7,291 digits of the US Postal Service, one at a time, by Newton's
# algorithm with a positive diagonal in place of the Hessian; its rates, which the paper does not
# give, are those of 1998 here. That data is not to be had here; its pixels were 16 x 16 as these
# are.
_LENET1 = replace(
    _LENET,
    name="lenet1",
    paper="LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition",
    summary="LeNet-1 as published in 1989, on MNIST shrunk to 16 x 16",
    model="keras_models.classification.lenet:LeNet1",
    model_args={},
    preprocess={
        "size": [16, 16],
        "channels": 1,
        "fit": "stretch",
        "range": [-1.0, 1.0],
        "mean": "none",
    },
    augment=(),
    distorted_copies=0,
    loss={"class": "keras_models.losses.classification:SquashedSquaredError"},
    optimizer=adam(6e-3),
    epochs=10,
    benchmarks=("lecun1989-zip-test", "lecun1989-parameters", "lecun1989-connections"),
    features=("H3",),
)

RECIPES = (
    _LENET1,
    replace(
        _LENET1,
        size="paper",
        optimizer=_diagonal_lm(times=1),
        batch_size=1,
        steps_per_execution=100,
        epochs=23,
    ),
    _LENET,
    replace(
        _LENET,
        size="paper",
        epochs=_PASSES,
        distorted_copies=_COPIES,
        # For batches of 128.
        optimizer=_diagonal_lm(times=4),
    ),
    _LENET_RELU,
    replace(_LENET_RELU, size="paper", epochs=_PASSES, distorted_copies=_COPIES),
)
