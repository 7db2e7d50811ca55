"""The top of a trained net learnt anew on other images, and the features of its layers tried there.

M. D. Zeiler, R. Fergus: Visualizing and understanding convolutional networks. ECCV 2014. Section
5.2 keeps the layers of the net for ImageNet and trains a new softmax on Caltech-101 and
Caltech-256, on 15 to 60 images of each class; section 5.3 tries the features of each layer with a
linear SVM and a softmax.
"""

from dataclasses import replace

from pipelines.recipe import Recipe
from pipelines.recipes import resnet, zfnet
from pipelines.recipes._parts import adam

_PAPER = "Zeiler, Fergus 2014, Visualizing and understanding convolutional networks"
_RESNET20_LAYERS = (
    *("conv1_relu", "res2a_relu", "res2b_relu", "res2c_relu", "res3a_relu", "res3b_relu"),
    *("res3c_relu", "res4a_relu", "res4b_relu", "res4c_relu", "pool5"),
)
_ZFNET_LAYERS = ("norm1", "norm2", "conv3", "conv4", "pool5", "fc6", "fc7")
# Table 7 has all but layer 6, and a softmax on the two highest alone.
_TABLE_7 = {
    **dict.fromkeys(("norm1", "norm2", "conv3", "conv4"), ("svm",)),
    **dict.fromkeys(("pool5", "fc7"), ("svm", "softmax")),
}


def _transfer(base: Recipe, name: str, dataset: str, summary: str, **more) -> Recipe:
    """The base's recipe but for the data and the training: its images are prepared as before."""
    transfer = {"from": base.name, **more.pop("transfer")}
    values = {
        "name": name,
        "dataset": dataset,
        "summary": summary,
        "paper": _PAPER,
        "model": "keras_models.classification.transfer:Retrained",
        "model_args": {},
        "augment": (),
        "weight_decay": 0.0,
        # A linear classifier bears a high rate.
        "optimizer": adam(0.1),
        "epochs": 3,
        "fully_convolutional": False,
        "benchmarks": (),
        **more,
    }
    return replace(base, transfer=transfer, **values)


def _from_cifar10(base: Recipe, data: str, dataset: str, accuracy: float) -> Recipe:
    return _transfer(
        base,
        f"transfer-{base.name}-{data}",
        dataset,
        f"a residual net's features of CIFAR-10 on {dataset.removeprefix('tfds:')}",
        transfer={"layers": _RESNET20_LAYERS, "examples_per_class": (1, 5, 15, 30, 60)},
        thresholds={"accuracy": accuracy, "change": 0.01},
    )


def _table_7(data: str) -> dict[str, dict[str, str]]:
    return {
        layer: {name: f"zeiler2014-{data}-{name}{layer[-1]}" for name in classifiers}
        for layer, classifiers in _TABLE_7.items()
    }


def _from_imagenet(base: Recipe, data: str, dataset: str, numbers: tuple[int, ...]) -> Recipe:
    return _transfer(
        base,
        f"transfer-zfnet-{data}",
        dataset,
        f"a net's features of ImageNet (small: of CIFAR-10) on {dataset.removeprefix('tfds:')}",
        transfer={
            "layers": _ZFNET_LAYERS,
            "examples_per_class": numbers,
            # What the net of the small size learnt of CIFAR-10 is another matter.
            "benchmarks": _table_7(data) if base.size == "paper" else {},
        },
        benchmarks=(f"zeiler2014-{data}-pretrained-{numbers[-1]}",),
        optimizer=adam(0.001),
        epochs=20,
        batch_size=64,
        thresholds={"accuracy": 0.0, "change": 0.01},
    )


RECIPES = (
    *(
        _from_cifar10(base, *data)
        for base in resnet.RECIPES
        if base.name == "cifar-resnet20"
        for data in (("mnist", "mnist", 0.7), ("fashion", "tfds:fashion_mnist", 0.5))
    ),
    *(
        _from_imagenet(base, *data)
        for base in zfnet.RECIPES
        for data in (
            ("caltech101", "tfds:caltech101", (15, 30)),
            # TFDS does not have it: this is the folder that its archive unpacks to.
            ("caltech256", "256_ObjectCategories", (15, 30, 45, 60)),
        )
    ),
)
