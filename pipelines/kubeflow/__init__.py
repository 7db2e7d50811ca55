"""Kubeflow Pipelines: a recipe as a specification, what its steps run, and handing it in.

Nothing heavy is imported here: the command line asks for names and defaults only.
"""

from components import extras

IMAGE = "convnets:latest"
ROOT = "/runs"


class KubeflowMissing(ImportError):
    """What Kubeflow needs is not installed, or cannot be on this Python."""

    def __init__(self, what: str):
        super().__init__(
            f"{what} needs kfp: {extras.command('kubeflow')} "
            "(TFX supports it on Python 3.11 and earlier)"
        )
