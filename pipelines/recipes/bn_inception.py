"""Batch normalisation.

S. Ioffe, C. Szegedy: Batch normalization: accelerating deep network training by reducing internal
covariate shift. ICML 2015. The nets of Figures 2 and 3 and the changes of training of section
4.2.1: a higher learning rate, no dropout, an L2 penalty five times smaller, a decay six times
faster, no response normalisation. The penalty and the decay of the baseline are not printed; they
are 4e-5 and GoogLeNet's 4 % every 8 epochs. "Reduce the photometric distortions", which it says of
the faster nets, has no number either: here they are half as strong. "Shuffle training examples more
thoroughly" asks that the images of a shard should not always come in one batch together: here the
images of all shards are drawn anew in every epoch, for every one of the nets.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import SOFTMAX_LOSS, cifar10, imagenet, momentum, of_any_shape

_PENALTY = 4e-5
_BASELINE = {"local_response": True, "dropout": 0.4}


def _decaying(rate: float, epochs: float) -> dict:
    """Momentum with a rate that falls by 4 % every so many epochs."""
    return momentum(
        {
            "class": "keras.optimizers.schedules:ExponentialDecay",
            "initial_learning_rate": rate,
            "decay_steps": f"$steps_per_epoch * {epochs:.4g}",
            "decay_rate": 0.96,
            "staircase": True,
        }
    )


_INCEPTION = Recipe(
    name="inception",
    paper="Ioffe, Szegedy 2015, Batch normalization",
    summary="The Inception net of the batch normalisation paper, without it",
    size="paper",
    model="keras_models.classification.bn_inception:BNInception",
    model_args=_BASELINE | {"batch_normalization": False},
    augment=of_any_shape(strength=0.5),
    loss=SOFTMAX_LOSS,
    optimizer=_decaying(0.0015, epochs=8),
    weight_decay=_PENALTY,
    batch_size=32,
    # 31 million steps of 32 images.
    epochs=774,
    protocol="centre-crop",
    benchmarks=(
        "ioffe2015-inception-accuracy",
        "ioffe2015-inception-steps",
        "ioffe2015-inception-parameters",
    ),
    thresholds={"accuracy": 0.5, "change": 0.002},
    features=("inception_4e", "inception_5b", "pool5"),
    **imagenet(),
)
_BN_BASELINE = replace(
    _INCEPTION,
    name="bn-baseline",
    summary="Inception with batch normalisation, trained as without",
    model_args=_BASELINE,
    benchmarks=("ioffe2015-bn-baseline-accuracy", "ioffe2015-bn-baseline-steps"),
)
_BN_X5 = replace(
    _INCEPTION,
    name="bn-x5",
    summary="Inception with batch normalisation, five times the learning rate",
    model_args={},
    augment=of_any_shape(strength=0.25),
    optimizer=_decaying(0.0075, epochs=8 / 6),
    weight_decay=_PENALTY / 5,
    benchmarks=("ioffe2015-bn-x5-accuracy", "ioffe2015-bn-x5-steps"),
)
_BN_X30 = replace(
    _BN_X5,
    name="bn-x30",
    summary="Inception with batch normalisation, thirty times the learning rate",
    optimizer=_decaying(0.045, epochs=8 / 6),
    benchmarks=("ioffe2015-bn-x30-accuracy", "ioffe2015-bn-x30-steps"),
)
_BN_X5_SIGMOID = replace(
    _BN_X5,
    name="bn-x5-sigmoid",
    summary="bn-x5 with sigmoid in place of ReLU",
    model_args={"activation": "sigmoid"},
    benchmarks=("ioffe2015-bn-x5-sigmoid-accuracy",),
)
_SYSTEMS = (_INCEPTION, _BN_BASELINE, _BN_X5, _BN_X30, _BN_X5_SIGMOID)


def _small(recipe: Recipe) -> Recipe:
    """The same relations of learning rates, on steps that are fewer and batches that are larger."""
    rate = recipe.optimizer["learning_rate"]["initial_learning_rate"]
    return replace(
        recipe,
        **cifar10(
            model_args=recipe.model_args | {"stem": "cifar", "width": 0.125},
            optimizer=_decaying(4 * rate, epochs=0.1),
            weight_decay=recipe.weight_decay,
            epochs=4,
            thresholds={"accuracy": 0.15, "change": 0.01},
        ),
    )


RECIPES = (*_SYSTEMS, *map(_small, _SYSTEMS))
