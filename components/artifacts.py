"""Artifact types of ours; the others of the pipeline are TFX' standard types."""

from tfx.types.artifact import Artifact

# An artifact with this property stands for none: on Kubeflow every output is an artifact.
ABSENT = "absent"


class Judgement(Artifact):
    """A model measured by a protocol, beside the published figures.

    Holds `judgement.json` (metrics and rows, see `components.judge.executor.judge`) and
    `predictions.npz` (the rows of the task's metrics and the answers that are kept, see
    `components.judge.executor.Answers`).
    """

    # Kubeflow imports the type by this name: one dot, so the package's root answers for it.
    TYPE_NAME = "components.Judgement"


class Report(Artifact):
    """One page about one run: `index.html`, which needs no other file."""

    TYPE_NAME = "components.Report"


class Probes(Artifact):
    """What linear classifiers make of a network's features, layer by layer.

    Holds `probes.json` and its rows as `probes.csv`, see `components.probe.executor`.
    """

    TYPE_NAME = "components.Probes"


class DataVerdict(Artifact):
    """Whether data are fit to train on.

    Holds `verdict.json` (see `components.validate.verdict`), the whole lists `duplicates.jsonl` and
    `leaks.jsonl`, and `statistics.pb` of the training split, with which the next data are compared.
    """

    TYPE_NAME = "components.DataVerdict"
