"""How Fast R-CNN and Faster R-CNN are trained: Girshick, Fast R-CNN, ICCV 2015, section 2.3; Ren,
He, Girshick, Sun, Faster R-CNN, NIPS 2015, sections 3.1.2, 3.1.3 and 3.2."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_models.detection.boxes import areas, encode, floats, inside
from keras_models.detection.matching import POSITIVE, gather, match, sample
from keras_models.detection.proposals import object_logits
from keras_models.detection.regions import DEVIATIONS, by_class
from keras_models.losses import proposal_loss, region_loss

# What a net is trained with.
SETTINGS: Mapping[str, Any] = {
    # Whether the proposal net learns, and the head.
    "proposals": True,
    "regions": True,
    # Anchors a picture, and the largest share of positive ones.
    "anchors": 256,
    "positive": 0.5,
    # Lambda of Eqn 1.
    "balance": 10.0,
    # Regions a picture, the largest share of foreground, and the overlaps of background.
    "sampled": 128,
    "foreground": 0.25,
    "background": [0.0, 0.5],
    "seed": None,
}
_PARTS = ("proposal_class_loss", "proposal_box_loss", "region_class_loss", "region_box_loss")


class _Truths(NamedTuple):
    """The true boxes [N, M, 4], their classes [N, M], and what they weigh [N, M], or None."""

    boxes: keras.KerasTensor
    labels: keras.KerasTensor
    weights: keras.KerasTensor | None

    def weights_of(self, numbers, kinds):
        """What boxes that learn from these numbers [N, S] weigh, negative ones 1."""
        if self.weights is None:
            return 1.0
        return ops.where(kinds == POSITIVE, gather(self.weights, numbers), 1.0)


@keras.saving.register_keras_serializable(package="keras_models")
class RegionTrained(keras.Model):
    """A net of proposals and regions, with its loss.

    Its outputs are a dict: `maps`, what regions are pooled from, and `proposals` [N, R, 4] of the
    head; with a proposal net `proposal_logits` and `proposal_codes`. A part is trained where its
    setting is true. Anchors and regions are drawn anew each step, and the head is then applied to
    those that are drawn: what it answers about others takes no part, and a compiled step leaves it
    out.

    `compute_loss` takes the targets {"boxes": [N, M, 4] in fractions, "classes": int [N, M], -1
    where there is none}, and as weights [N, M] how much what learns from each of them counts. The
    parts of the loss are metrics: proposal_class_loss, proposal_box_loss, region_class_loss,
    region_box_loss.

    The constructor is that of `keras.Model`; `learns` follows it.
    """

    def learns(self, settings: Mapping[str, Any]) -> "RegionTrained":
        """Says how the net is trained.

        Args:
            settings: those of `SETTINGS` that are others.

        Returns:
            the net.

        Raises:
            ValueError: no anchors or regions of a step, or a balance that is negative.
        """
        self.settings = dict(settings)
        anchors, sampled, balance = map(self._setting, ("anchors", "sampled", "balance"))
        if anchors < 1 or sampled < 1 or balance < 0:
            raise ValueError(
                "anchors and regions of a step must be 1 or more, and balance 0 or more: not "
                f"{anchors!r}, {sampled!r}, {balance!r}."
            )
        self._seeds = keras.random.SeedGenerator(self._setting("seed"))
        self._parts = {
            part: keras.metrics.Mean(part)
            for part in _PARTS
            if self._setting("proposals" if part.startswith("proposal") else "regions")
        }
        return self

    def _setting(self, name: str) -> Any:
        return self.settings.get(name, SETTINGS[name])

    @functools.cached_property
    def head(self) -> keras.Model:
        """Pooled regions to the answers about them, on the layers of this net."""
        outputs = [self.get_layer(name).output for name in ("class_logits", "box_codes")]
        return keras.Model(self.get_layer("region_pool").output, outputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        # With one that is not there, for batches that have none.
        boxes = ops.pad(floats(y["boxes"]), ((0, 0), (0, 1), (0, 0)))
        labels = ops.pad(ops.cast(y["classes"], "int32"), ((0, 0), (0, 1)), constant_values=-1)
        image = x["image"] if isinstance(x, Mapping) else x
        weights = None
        if sample_weight is not None:
            weights = ops.pad(ops.cast(sample_weight, "float32"), ((0, 0), (0, 1)))
        truths = _Truths(boxes, labels, weights)
        parts = {}
        if self._setting("proposals"):
            parts |= self._proposal_losses(image, y_pred, truths)
        if self._setting("regions"):
            parts |= self._region_losses(image, y_pred, truths, training)
        for name, losses in parts.items():
            self._parts[name].update_state(losses)
        return ops.mean(sum(parts.values())) + sum(self.losses)

    def _proposal_losses(self, image, answers, truths: "_Truths"):
        """Eqn 1, on anchors that cross no side of the picture."""
        height, width = ops.shape(image)[1:3]
        logits = answers["proposal_logits"]
        places = ops.shape(logits)[1:3]
        sides = ops.cast(ops.stack([height, width, height, width]), "float32")
        anchors = self.get_layer("proposals").anchors(*places) / sides
        matches = match(
            anchors[None],
            truths.boxes,
            truths.labels >= 0,
            counted=ops.broadcast_to(
                inside(anchors)[None], (ops.shape(logits)[0], ops.shape(anchors)[0])
            ),
            best_of_each=True,
        )
        drawn, kinds = sample(
            matches.kinds, self._setting("anchors"), self._setting("positive"), self._seeds
        )
        of = gather(matches.truths, drawn)
        targets = encode(gather(truths.boxes, of), ops.take(anchors, drawn, axis=0))
        codes = ops.reshape(answers["proposal_codes"], (-1, ops.shape(anchors)[0], 4))
        class_loss, box_loss = proposal_loss(
            gather(object_logits(logits), drawn),
            gather(codes, drawn),
            kinds,
            targets,
            ops.cast(places[0] * places[1], "float32"),
            weights=truths.weights_of(of, kinds),
        )
        return {
            "proposal_class_loss": class_loss,
            "proposal_box_loss": self._setting("balance") * box_loss,
        }

    def _region_losses(self, image, answers, truths: "_Truths", training):
        """The multi-task loss, on drawn proposals; true boxes are among them in training."""
        regions = ops.stop_gradient(floats(answers["proposals"]))
        present = truths.labels >= 0
        if training:
            true = ops.where(present[..., None], truths.boxes, 0.0)
            regions = ops.concatenate([regions, true], axis=1)
        matches = match(
            regions,
            truths.boxes,
            present,
            0.5,
            self._setting("background"),
            counted=areas(regions) > 0,
        )
        drawn, kinds = sample(
            matches.kinds, self._setting("sampled"), self._setting("foreground"), self._seeds
        )
        regions = gather(regions, drawn)
        of = gather(matches.truths, drawn)
        targets = encode(gather(truths.boxes, of), regions, DEVIATIONS)
        # 0 is a negative region and the background, -1 no region.
        classes = ops.where(kinds == POSITIVE, gather(truths.labels, of) + 1, kinds)
        pixels = self.get_layer("region_pixels")([regions, image])
        pooled = self.get_layer("region_pool")([answers["maps"], pixels])
        logits, codes = self.head(pooled, training=training)
        class_loss, box_loss = region_loss(
            logits, by_class(codes), classes, targets, weights=truths.weights_of(of, kinds)
        )
        return {"region_class_loss": class_loss, "region_box_loss": box_loss}

    def get_config(self):
        return super().get_config() | {"settings": self.settings}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        settings = config.pop("settings")
        return super().from_config(config, custom_objects).learns(settings)
