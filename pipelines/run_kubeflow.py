"""Compiles a recipe's pipeline for Kubeflow Pipelines."""

from __future__ import annotations

from pathlib import Path

from components.ingest.sources import prepare, resolve
from pipelines.beam import Beam
from pipelines.paths import Paths
from pipelines.recipe import Recipe

IMAGE = "convnets:latest"
ROOT = "/runs"
_IN_THE_STEP = Beam()
_ENTRYPOINT = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"


class KubeflowMissing(ImportError):
    """The Kubeflow compiler is not installed, or cannot be on this Python."""


def compile_recipe(
    recipe: Recipe,
    output: str,
    root: str = ROOT,
    image: str = IMAGE,
    beam: Beam = _IN_THE_STEP,
) -> None:
    """Writes a recipe's pipeline as a Kubeflow Pipelines v2 specification.

    Args:
      recipe: what is trained.
      output: a `.yaml` or `.json` file.
      root: a folder that every step can reach, where artifacts and models go: the URI of a bucket,
        or a path at which every step mounts the same volume.
      image: container image of the steps; it has this package installed.
      beam: where the stages on Beam compute.

    Raises:
      KubeflowMissing: kfp is not installed.
      ValueError: `output` ends in neither `.yaml` nor `.json`.
    """
    path = Path(output)
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise ValueError(f"{output}: the specification is written as .yaml or .json")
    try:
        import kfp  # noqa: F401
    except ImportError as error:
        raise KubeflowMissing(
            "the Kubeflow compiler needs kfp: pip install 'convnets[kubeflow]' "
            "(TFX supports it on Python 3.11 and earlier)"
        ) from error
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow

    from pipelines.build import create_pipeline

    if recipe.window > 1:
        raise ValueError("on Kubeflow a run takes the newest span; window must be 1")
    source = prepare(resolve(recipe.dataset, recipe.task))
    paths = Paths(root.rstrip("/"))
    pipeline = create_pipeline(recipe, source, paths, metadata=False, beam=beam)
    config = kubeflow.KubeflowV2DagRunnerConfig(
        display_name=recipe.name,
        default_image=image,
        default_commands=["python", "-m", _ENTRYPOINT],
    )
    runner = kubeflow.KubeflowV2DagRunner(
        config, output_dir=str(path.parent), output_filename=path.name
    )
    runner.run(pipeline)
