"""Faces: who somebody is, and whether two pictures show the same person.

Y. Taigman, M. Yang, M. Ranzato, L. Wolf: DeepFace: Closing the gap to human-level performance in
face verification. CVPR 2014. Section 5.2 trains the net to tell 4,030 people apart on 4.4 million
photographs (SFC, which Facebook never published): batches of 128, momentum 0.9, a rate of 0.01
that is divided by 10 by hand whenever the validation error stops falling, down to 0.0001, about 15
epochs. Section 4 compares the features of people who were never seen: by the inner product, by a
chi-squared distance whose weights a linear support vector machine (C = 1) learns of 5,400 pairs,
and by a siamese net of which the two topmost layers are trained: two epochs on LFW, after a
training on 100,000 people more whose photographs were never published either. All are joined to
`deepface` by `transfer`.

What the paper does not print is chosen here: the scale of the pixels (0 to 1), and the optimizer of
what section 4 trains. Its ten trainings on nine tenths of LFW's View 2 are one on View 1. Pictures
are aligned by `ingest.align` where points are marked in them; where they are not, as in the folders
of these recipes, they are taken as they are.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes._parts import MIRRORED, SOFTMAX_LOSS, adam, momentum, pixels, thirds

_PAPER = "Taigman, Yang, Ranzato, Wolf 2014, DeepFace: closing the gap to human-level performance"
_NETS = "keras_models.verification"
_HINGE = {"class": "keras.losses:Hinge"}
# 1 / (C n) of the machine's objective over the mean of the hinge losses.
_DECAY = 1 / 5400
_LOGISTIC = {"class": "keras.losses:BinaryCrossentropy", "from_logits": True}

_DEEPFACE = Recipe(
    name="deepface",
    paper=_PAPER,
    summary="who of 4,030 people somebody is, on the photographs of SFC",
    size="paper",
    dataset="sfc",
    model=f"{_NETS}:DeepFace",
    preprocess=pixels(152, "none", range=[0.0, 1.0]),
    loss=SOFTMAX_LOSS,
    optimizer=momentum(thirds(0.01, 2)),
    batch_size=128,
    epochs=15,
    benchmarks=("taigman2014-sfc", "taigman2014-parameters"),
)


def _compared(name: str, model: str, summary: str, figure: str, **more) -> Recipe:
    """A recipe that compares the features of `deepface`."""
    return replace(
        _DEEPFACE,
        name=name,
        summary=f"whether two faces are of one person, {summary}, on LFW",
        task="verification",
        dataset="lfw",
        model=f"{_NETS}:{model}",
        transfer={"from": "deepface"},
        benchmarks=(figure,),
        **{"optimizer": adam(0.1), "loss": _LOGISTIC, "epochs": 10, **more},
    )


_PRODUCT = _compared(
    "deepface-verification",
    "InnerProduct",
    "by the inner product of DeepFace's features",
    "taigman2014-lfw-unsupervised",
)
_CHI_SQUARED = _compared(
    "deepface-chi-squared",
    "WeightedChiSquared",
    "by a chi-squared distance with the weights of a support vector machine",
    "taigman2014-lfw-restricted",
    loss=_HINGE,
    weight_decay=_DECAY,
    epochs=30,
)
_SIAMESE = _compared(
    "deepface-siamese",
    "Siamese",
    "by a siamese net of which the two topmost layers are trained",
    "taigman2014-lfw-unrestricted",
    optimizer=adam(1e-3),
    epochs=2,
)
_PIXELS = replace(
    _PRODUCT,
    name="face-pixels",
    summary="whether two faces are of one person, by the distance of their pixels alone, on LFW",
    model=f"{_NETS}:PixelDistance",
    transfer=None,
)

# ORL's pictures are 92 x 112; LFW's are brought to the same.
_SMALL_PIXELS = pixels(112, "per_channel", channels=1, size=[112, 92], range=[0.0, 4.0])
_SMALL_NET = {"width": 0.5, "units": 512}


def _small(recipe: Recipe, **more) -> Recipe:
    """The recipe on a folder of people, or on TFDS' copy of LFW: minutes of two cores."""
    summary = recipe.summary.replace("4,030 people", "some people")
    summary = summary.replace("the photographs of SFC", "a folder of people")
    return replace(
        recipe,
        size="small",
        summary=summary.replace("on LFW", "on a folder of people"),
        dataset="tfds:lfw",
        full_data=False,
        preprocess=_SMALL_PIXELS,
        thresholds={"accuracy": 0.0 if recipe.task == "classification" else 0.5, "change": 0.02},
        **{"batch_size": 32, **more},
    )


RECIPES = (
    _DEEPFACE,
    _small(
        _DEEPFACE,
        model_args={**_SMALL_NET, "initialization": "he"},
        augment=(*MIRRORED, {"step": "affine", "translate": 4.0, "scale": 0.1, "rotate": 5.0}),
        optimizer=adam(1e-3),
        epochs=60,
    ),
    *(_PRODUCT, _small(_PRODUCT, model_args=_SMALL_NET, epochs=3)),
    *(_CHI_SQUARED, _small(_CHI_SQUARED, model_args=_SMALL_NET, epochs=8)),
    *(_SIAMESE, _small(_SIAMESE, model_args=_SMALL_NET, augment=MIRRORED, epochs=2)),
    *(_PIXELS, _small(_PIXELS, epochs=3)),
)
