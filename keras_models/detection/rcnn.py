"""R-CNN: Girshick, Donahue, Darrell, Malik, "Rich feature hierarchies for accurate object detection
and semantic segmentation", CVPR 2014."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from keras_models.classification.alexnet import AlexNet
from keras_models.classification.building import checked_choice
from keras_models.classification.lenet import LeNet5ReLU
from keras_models.classification.top import with_weights
from keras_models.classification.vgg import VGG16
from keras_models.detection import rcnn_fitting
from keras_models.detection.region_layers import RegionDraws, RegionFeatures, RegionSuppression

FEATURES = ("pool5", "fc6", "fc7")
SCORES = ("softmax", "svm")
_TOP = "top"


class _Backbone(NamedTuple):
    """A classifier and where its features are.

    Attributes:
        network: the function that builds it.
        layers: the names of the layers that give `FEATURES`, each [N, F], and what the classifier
            takes.
    """

    network: Any
    layers: Mapping[str, str]


BACKBONES = {
    "alexnet": _Backbone(AlexNet, {"pool5": "flat", "fc6": "fc6", "fc7": "fc7", _TOP: "drop7"}),
    "vgg16": _Backbone(VGG16, {"pool5": "flat", "fc6": "fc6", "fc7": "fc7", _TOP: "drop7"}),
    "lenet": _Backbone(LeNet5ReLU, {"pool5": "S4_flat", "fc6": "C5", "fc7": "F6", _TOP: "F6"}),
}


@keras.saving.register_keras_serializable(package="keras_models")
class RegionClassifier(keras.Model):
    """The net of `RCNN` whose features are fine-tuned with a softmax of classes and background.

    It is trained on regions that it draws itself (`RegionDraws`), of all pictures of a step, on
    `{"boxes": [N, M, 4], "classes": int [N, M]}`, -1 for padding. The loss is their mean
    cross-entropy; `sample_weight` [N, M] says how much the regions of each true box count.
    """

    def call(self, inputs, training=None, mask=None):
        if training:
            # The regions of a step are known with the true boxes, in the loss.
            return {"proposals": inputs["proposals"]}
        return super().call(inputs, training=training, mask=mask)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        drawn = self.get_layer("draws").drawn(x["proposals"], y["boxes"], y["classes"])
        features = self.get_layer("regions").of_regions(
            x["image"], drawn.boxes, drawn.pictures, training
        )
        logits = self.get_layer("region_logits")(features[_TOP])
        losses = keras.losses.sparse_categorical_crossentropy(
            ops.maximum(drawn.labels, 0), logits, from_logits=True
        )
        if sample_weight is not None:
            weights = ops.pad(ops.cast(sample_weight, losses.dtype), ((0, 0), (0, 1)))
            place = drawn.pictures * ops.shape(weights)[1] + drawn.truths
            own = ops.take(ops.reshape(weights, (-1,)), place, axis=0)
            losses = ops.where(drawn.labels > 0, own, 1.0) * losses
        there = drawn.labels >= 0
        count = ops.maximum(ops.sum(ops.cast(there, losses.dtype)), 1.0)
        return ops.sum(ops.where(there, losses, 0.0)) / count + sum(self.losses)


@keras.saving.register_keras_serializable(package="keras_models")
class RegionSVM(keras.Model):
    """The net of `RCNN` with a linear SVM a class, and its regression of boxes.

    Their weights are computed from features of regions, not learnt by steps: `adapt`.
    """

    def adapt(self, batches: Iterable[tuple[Any, Any]]) -> dict[str, float]:
        """Computes the weights of the part that is trainable, the SVMs or the regression of boxes.

        Args:
            batches: of `{"image": [N, H, W, C], "proposals": [N, R, 4]}` and `{"boxes": [N, M, 4],
                "classes": int [N, M]}`, -1 for padding. They are gone through more than once, each
                time in the same order.

        Returns:
            `loss`: of the SVMs the mean of their objectives; of the regression the mean squared
            error of the codes. `examples`: of how many regions it is.

        Raises:
            ValueError: no true box at all.
        """
        regions = self.get_layer("regions")
        image, boxes = self.get_layer("image").output, keras.Input((None, 4))
        extractor = keras.Model([image, boxes], regions([image, boxes]))
        learners = {"svm": rcnn_fitting.fit_svms, "box_regression": rcnn_fitting.fit_boxes}
        (layer,) = (each for each in self.layers if each.name in learners and each.trainable)
        name = "pool5" if layer.name == "box_regression" else self._svm_features()

        def extract(images, boxes):
            found = extractor.predict_on_batch([ops.convert_to_numpy(images), boxes])
            return found[name].astype("float32")

        classes = self.get_layer("svm").units
        kernel, bias, logs = learners[layer.name](extract, batches, classes)
        layer.set_weights([kernel, bias])
        return logs

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        raise NotImplementedError("The weights are computed by adapt(), not learnt by steps.")

    def _svm_features(self) -> str:
        """Of which features the SVMs are."""
        (name,) = {*self.get_layer("regions").network.output} - {"pool5"} or {"pool5"}
        return name


def RCNN(
    input_shape: tuple[int, int, int],
    classes: int,
    backbone: str = "alexnet",
    backbone_args: Mapping[str, Any] | None = None,
    size: int = 227,
    context: int = 16,
    scores: str = "softmax",
    features: str = "fc7",
    box_regression: bool = False,
    drawn: int = 128,
    positives: float = 0.25,
    detections: int = 100,
    overlap: float = 0.3,
    seed: int | None = None,
    base: str | None = None,
    weights: str | None = None,
    name: str = "rcnn",
) -> keras.Model:
    """Regions with CNN features: each proposal, warped, is classified by itself.

    Three steps, each a net that starts from the one before (`base`):

    1. `scores="softmax"`: a trained classifier (`base`) is fine-tuned on regions (section 2.3).
    2. `scores="svm"`: a linear SVM a class on its features, with hard negative mining.
    3. `scores="svm", box_regression=True`: boxes are regressed from pool5 (appendix C).

    In steps 2 and 3 the features are fixed, and `adapt` of the net computes the new weights. The
    score of an SVM is served as its sigmoid, which keeps the order.

    Args:
        input_shape: height, width and channels; of pictures minus their mean, so that 0 is the mean
            around them.
        classes: of objects, without background; 1 or more.
        backbone: "alexnet" (the paper's), "vgg16", or "lenet" for small regions.
        backbone_args: further arguments of `AlexNet`, `VGG16` or `LeNet5ReLU`.
        size: sides of the backbone's input.
        context: pixels of it that are around the region, on each side.
        scores: "softmax" or "svm".
        features: what the SVMs take, "pool5", "fc6" or "fc7": the ablations of section 3.2.
        box_regression: whether there is one, of each class.
        drawn, positives: regions of a step of fine-tuning, and the share of positive ones.
        detections: K, how many boxes a picture is answered with.
        overlap: of the suppression among the boxes of a class.
        seed: of the draws.
        base: path of a trained net, a .keras file: the backbone, or this net of a step before.
            Layers of the same names and shapes start from its weights.
        weights: path of a .weights.h5 or .keras file, or None for a random start.
        name: of the model.

    Returns:
        a model {"image": [N, H, W, channels], "proposals": [N, R, 4], 0 in unused places} ->
        {"boxes": [N, K, 4], "scores": [N, K], "classes": int32 [N, K]}, boxes as parts of the
        picture's sides.

    Raises:
        ValueError: an unknown backbone, features or scores; box regression without SVMs; a size
            that the backbone does not take; a base without a layer in common.
    """
    checked_choice("backbone", backbone, BACKBONES)
    checked_choice("scores", scores, SCORES)
    checked_choice("features", features, FEATURES)
    if classes < 1:
        raise ValueError(f"classes must be 1 or more, not {classes!r}.")
    if box_regression and scores != "svm":
        raise ValueError('box_regression is of scores="svm".')
    wanted = (_TOP,) if scores == "softmax" else (features,)
    wanted += ("pool5",) if box_regression else ()
    network = _region_network(backbone, (size, size, input_shape[-1]), wanted, backbone_args or {})
    image = keras.Input(tuple(input_shape), name="image")
    given = keras.Input((None, 4), name="proposals", dtype="float32")
    regions = RegionDraws(drawn, positives, seed=seed, name="draws")(given)
    found = RegionFeatures(network, context, name="regions")([image, regions])
    answer = RegionSuppression(detections, overlap, name="detections")
    if scores == "softmax":
        # Section 2.3 does not say how the new layer starts; the authors' code: 0.01, as AlexNet.
        start = keras.initializers.RandomNormal(stddev=0.01)
        logits = layers.Dense(
            classes + 1, kernel_initializer=start, dtype="float32", name="region_logits"
        )(found[_TOP])
        likely = layers.Softmax(dtype="float32", name="region_softmax")(logits)[..., 1:]
        outputs, kind = answer([regions, likely]), RegionClassifier
    else:
        margins = layers.Dense(classes, "sigmoid", dtype="float32", name="svm")(found[features])
        codes = [_codes(found["pool5"], classes)] if box_regression else []
        outputs, kind = answer([regions, margins, *codes]), RegionSVM
    net = kind(inputs={"image": image, "proposals": given}, outputs=outputs, name=name)
    if scores == "svm":
        # What the step computes is trainable, and nothing else.
        net.get_layer("regions").trainable = False
        net.get_layer("svm").trainable = not box_regression
    if base is not None:
        _start_from(net, keras.models.load_model(base, compile=False))
    return with_weights(net, weights)


def _codes(features, classes: int):
    codes = layers.Dense(
        4 * classes, kernel_initializer="zeros", dtype="float32", name="box_regression"
    )(features)
    return layers.Reshape((-1, classes, 4), dtype="float32", name="box_codes")(codes)


def _region_network(
    backbone: str,
    input_shape: tuple[int, int, int],
    wanted: Iterable[str],
    arguments: Mapping[str, Any],
) -> keras.Model:
    """The backbone up to the features that are wanted, by their names."""
    found = BACKBONES[backbone]
    # A classifier has 2 classes at least; it is left out.
    whole = found.network(input_shape, 2, **arguments)
    outputs = {name: whole.get_layer(found.layers[name]).output for name in wanted}
    return keras.Model(whole.input, outputs, name=backbone)


def _start_from(net: keras.Model, trained: keras.Model) -> None:
    """Gives layers the weights of those of the same names and shapes, wherever they are nested."""
    theirs = {layer.name: layer for layer in _single(trained)}
    copied = 0
    for layer in _single(net):
        given = theirs[layer.name].get_weights() if layer.name in theirs else []
        if given and [each.shape for each in given] == [tuple(w.shape) for w in layer.weights]:
            layer.set_weights(given)
            copied += 1
    if not copied:
        raise ValueError(f"{trained.name} has no layer with weights in common with {net.name}.")


def _single(net: keras.Model) -> list[layers.Layer]:
    """The layers with weights that hold no net of their own."""
    found = []
    for layer in net.layers:
        inner = layer if isinstance(layer, keras.Model) else getattr(layer, "network", None)
        found += _single(inner) if inner is not None else [layer] if layer.weights else []
    return found
