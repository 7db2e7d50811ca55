"""LeNet-5 on MNIST.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document
recognition. Proceedings of the IEEE 86(11), 1998. Section II describes the network, section III
the training on MNIST with and without distortions.
"""

from dataclasses import replace

from pipelines.recipe import Recipe

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


def _adam(peak: float, **more: float) -> dict:
    """Adam with an epoch of warm-up and a cosine to zero.

    The paper trains with stochastic diagonal Levenberg-Marquardt, one example at a time.
    """
    return {
        "class": "keras.optimizers:Adam",
        "learning_rate": {
            "class": "keras.optimizers.schedules:CosineDecay",
            "initial_learning_rate": peak / 100,
            "warmup_target": peak,
            "warmup_steps": "$steps_per_epoch",
            "decay_steps": "$steps",
        },
        **more,
    }


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
    optimizer=_adam(6e-3),
    batch_size=128,
    # Processor and accelerator alike wait for Python between steps as small as these.
    steps_per_execution=10,
    epochs=30,
    benchmarks=("lecun1998-lenet5-distortions", "lecun1998-lenet5"),
    thresholds={"accuracy": 0.97, "change": 0.002},
    features=("F6",),
)

_LENET_RELU = replace(
    _LENET,
    name="lenet-relu",
    summary="LeNet-5's shape with ReLU, max pooling and softmax, on MNIST",
    model="keras_models.classification.lenet:LeNet5ReLU",
    model_args={},
    preprocess={
        "size": [32, 32],
        "channels": 1,
        "fit": "pad",
        "range": [0.0, 1.0],
        "mean": "per_pixel",
    },
    augment=_STRONGER_DISTORTIONS,
    loss={"class": "keras.losses:SparseCategoricalCrossentropy", "from_logits": True},
    optimizer=_adam(3e-3, weight_decay=0.01),
)

# Section III.B: 20 passes through the training data, to which 540,000 distorted patterns were
# added: nine for each of the 60,000.
_COPIES = 9
_PASSES = 20 * (1 + _COPIES)

RECIPES = (
    _LENET,
    replace(_LENET, size="paper", epochs=_PASSES, distorted_copies=_COPIES),
    _LENET_RELU,
    replace(_LENET_RELU, size="paper", epochs=_PASSES, distorted_copies=_COPIES),
)
