"""Ren, He, Girshick, Sun, Faster R-CNN: Towards Real-Time Object Detection with Region Proposal
Networks, NIPS 2015; on residual nets: He, Zhang, Ren, Sun 2016, appendix A."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from keras_models.classification.building import checked_choice, checked_shape
from keras_models.classification.top import start_from_file, with_weights
from keras_models.detection.anchors import RATIOS, SCALES
from keras_models.detection.proposals import Proposals, proposal_net
from keras_models.detection.regions import (
    SMALLEST_SIDE,
    RegionDetections,
    checked_backbone,
    checked_objects,
    convolutions,
    fix_normalizations,
    region_answers,
)
from keras_models.detection.training import RegionTrained

# What learns: of the parts that the two names stand for, see `RegionTrained`.
TRAINED = {
    "joint": {},
    "proposals": {"regions": False},
    "regions": {"proposals": False},
}
PROPOSAL_LAYERS = ("rpn_conv", "rpn_logits", "rpn_codes")


def FasterRCNN(
    input_shape: tuple[int | None, int | None, int] = (600, 1000, 3),
    classes: int = 20,
    backbone: str = "vgg16",
    scales: Sequence[float] = SCALES,
    ratios: Sequence[float] = RATIOS,
    width: float = 1.0,
    units: int = 4096,
    train: str = "joint",
    shared: bool = True,
    anchors: int = 256,
    balance: float = 10.0,
    regions: int = 128,
    proposals: int = 2000,
    tested_proposals: int = 300,
    detections: int = 100,
    seed: int | None = None,
    base: str | None = None,
    weights: str | None = None,
    name: str = "faster_rcnn",
) -> keras.Model:
    """A region proposal net and a Fast R-CNN on the same convolutions.

    The loss is the net's own: `RegionTrained`. By default it is approximate joint training: the
    losses of both parts together, without the gradient with respect to the proposals' places.
    Section 3.2's four steps are four trainings, each with the net of the one before as `base`:

    1. `train="proposals"`, from an ImageNet net;
    2. `train="regions", shared=False`, from an ImageNet net again: the proposals come from the
       whole net of step 1, which stays as it is beside this one;
    3. `train="proposals"` with the convolutions of step 2 frozen (a recipe's `freeze`);
    4. `train="regions"` with the convolutions frozen.

    With 20 classes and the defaults VGG-16 has 137,061,851 parameters, ZF 59,278,363, ResNet-50
    28,514,907 and ResNet-101 47,559,259. The authors' code answers with a box for the background,
    too, which nothing reads: 16,388 parameters more in VGG-16 and ZF.

    Args:
        input_shape: height, width and channels, each side at least 32 or None. The paper resizes
            pictures to a shorter side of 600; RGB of 0..255 minus the mean.
        classes: 1 or more, without the background.
        backbone: "vgg16", "zf", "resnet50" or "resnet101", whose conv5_x is the head and whose
            batch normalisations are fixed; or "resnet18", which is in no paper: its first three
            stages, with places of 8 pixels, for small pictures and random weights.
        scales: sides of the square anchors, in pixels of the picture that the net is shown.
        ratios: height by width of the anchors.
        width: the numbers of maps of VGG-16 and ZF are multiplied by this and rounded.
        units: of fc6 and fc7; residual heads have none.
        train: "joint", or which part learns: "proposals" or "regions".
        shared: whether proposals and regions have the same convolutions. Without, the proposals are
            those of the net that `base` names, which does not learn; without a base, of a net that
            starts at random, so that this one can be counted.
        anchors: drawn a picture.
        balance: lambda of Eqn 1, for as many anchors as N_cls says and as many places as N_reg.
        regions: drawn a picture.
        proposals: in training, before regions are drawn.
        tested_proposals: at test.
        detections: K, how many are answered at most.
        seed: of what is drawn.
        base: path of a .keras file: a net of this kind, or a classification net of the backbone's
            family; layers of the same names start from its weights.
        weights: path of a .weights.h5 or .keras file, "imagenet" for VGG-16 and ResNet-50 and -101
            (those of keras.applications), or None for a random start.
        name: of the model.

    Returns:
        a model [N, H, W, channels] -> {"boxes": float32 [N, K, 4], ymin, xmin, ymax, xmax in
        fractions; "scores": float32 [N, K], falling; "classes": int32 [N, K], -1 in unused places;
        and what the loss needs: "proposals", "maps", "proposal_logits", "proposal_codes"}.

    Raises:
        ValueError: an unknown backbone, too small an input, no classes, a width that is not
            positive, no proposals, anchors, regions or detections, a base that does not fit.
    """
    kind = checked_backbone(backbone)
    settings = dict(TRAINED[checked_choice("train", train, TRAINED)])
    image = keras.Input(checked_shape(input_shape, SMALLEST_SIDE, any_size=True), name="image")
    maps, filters = convolutions(image, kind, width)
    outputs = {"maps": maps}
    if shared:
        best = Proposals(kind.stride, scales, ratios, proposals, tested_proposals, name="proposals")
        logits, codes = proposal_net(maps, filters, len(best.base))
        found = best([image, logits, codes])
        outputs |= {"proposal_logits": logits, "proposal_codes": codes}
    else:
        source = (classes, backbone, scales, ratios, width, units)
        found = _proposals_of(base, image, lambda: FasterRCNN(input_shape, *source))
    logits, codes = region_answers(maps, image, found, kind, checked_objects(classes), units)
    detected = RegionDetections(detections, name="detections")([found, logits, codes])
    outputs |= {"proposals": found} | dict(
        zip(("boxes", "scores", "classes"), detected, strict=True)
    )
    settings |= {"anchors": anchors, "balance": balance, "sampled": regions, "seed": seed}
    net = RegionTrained(image, outputs, name=name).learns(settings)
    if kind.fixed_normalization:
        fix_normalizations(net)
    if train == "proposals":
        for layer in net.head.layers:
            layer.trainable = False
    elif train == "regions" and shared:
        for layer_name in PROPOSAL_LAYERS:
            net.get_layer(layer_name).trainable = False
    with_weights(net, weights, kind.published)
    return start_from_file(net, base) if base is not None and shared else net


def _proposals_of(
    base: str | None, image: keras.KerasTensor, untrained: Callable[[], keras.Model]
) -> keras.KerasTensor:
    """The proposals of a net, which stays as it is."""
    if base is not None and not Path(base).is_file():
        raise ValueError(
            f"base must be the path of the .keras file whose proposals are taken, not {base!r}."
        )
    trained = untrained() if base is None else keras.models.load_model(base, compile=False)
    found = keras.Model(trained.input, trained.output["proposals"], name="proposal_net")
    found.trainable = False
    return found(image)
