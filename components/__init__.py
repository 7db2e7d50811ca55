"""The pipeline's stages and what they share: ingest, preprocess, train, judge, report, canary."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Gives `components.Judgement` and its like, importing TFX only when asked.

    A Kubeflow step recovers the type of an artifact by importing the type's name as a path of
    exactly one dot, so the two have to be found here.
    """
    if name in ("DataVerdict", "Judgement", "Probes", "Report"):
        from components import artifacts

        return getattr(artifacts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
