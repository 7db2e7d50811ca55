"""A recipe's pipeline as a Kubeflow Pipelines v2 specification."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components import trusted
from components.ingest.layouts import Source
from pipelines.beam import Beam
from pipelines.kubeflow import IMAGE, ROOT, KubeflowMissing, specification
from pipelines.kubeflow.inputs import Data, several
from pipelines.kubeflow.resources import of_steps
from pipelines.paths import Paths, of_cluster
from pipelines.recipe import Recipe, RecipeError
from pipelines.stages import stages

_IN_THE_STEP = Beam()
# A resolver, of which Kubeflow has none.
_NO_STEP = "PreviousData"
# Stands for the images, which only the cluster sees: the Plan puts the real source in.
_UNSEEN = Source("folder", "", (("all", "*/*"),))


def compile_recipe(
    recipe: Recipe,
    output: str,
    root: str = ROOT,
    image: str = IMAGE,
    beam: Beam = _IN_THE_STEP,
    claim: str | None = None,
    cpu: Sequence[str] = (),
    memory: Sequence[str] = (),
    gpus: Sequence[str] = (),
) -> None:
    """Writes a recipe's pipeline as a Kubeflow Pipelines v2 specification.

    The images need not be reachable from here: where they are is a parameter of each run, as the
    root and changes of the recipe are. Packages that are allowed now (`components.trusted`) are so
    in the steps; no parameter allows others.

    Args:
      recipe: what is trained.
      output: a `.yaml` or `.json` file.
      root: a folder that every step can reach, where checkpoints, verdicts on data and models go:
        the URI of a bucket, or the path at which `claim` is mounted.
      image: container image of the steps; it has this package installed.
      beam: where the stages on Beam compute.
      claim: name of a PersistentVolumeClaim that every step mounts at `root`.
      cpu, memory, gpus: what steps ask for, see `pipelines.kubeflow.resources.of_steps`.

    Raises:
      KubeflowMissing: kfp is not installed.
      ValueError: `output` ends in neither `.yaml` nor `.json`; a root that is no place for a
        claim, or that libraries take for a pattern; resources of a step that there is not; a
        recipe that Kubeflow cannot run.
    """
    path = Path(output)
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise ValueError(f"{output}: the specification is written as .yaml or .json")
    if claim and not root.startswith("/"):
        raise ValueError(f"a volume is mounted at a path such as {ROOT}, not at {root}")
    if recipe.strategy == "multi_worker":
        raise RecipeError("on Kubeflow a step is one container; strategy must not be multi_worker")
    # Before TFX is loaded, which takes half a minute.
    resources = of_steps(steps(recipe), cpu, memory, gpus)
    paths = of_cluster(root)
    unseen = dataclasses.replace(_UNSEEN, task=recipe.task)
    data = Data(unseen, (unseen,) * (recipe.window - 1), unseen if recipe.fixed else None)
    compiled = tfx_specification(recipe, data, paths, image, beam)
    spec = specification.with_plan(compiled, recipe, paths, image, beam)
    specification.ask_for(spec, resources)
    specification.allow(spec, trusted.listed())
    if "://" in root:
        spec["defaultPipelineRoot"] = paths.pipeline(recipe.model_name)
    documents = [spec]
    if claim:
        documents.append(specification.mounts(spec, claim, paths.root))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(documents, path.suffix), encoding="utf-8")


def steps(recipe: Recipe) -> list[str]:
    """The names of all steps."""
    earlier = [f"{specification.INGEST}-earlier-{place}" for place in range(1, recipe.window)]
    others = {specification.PLAN, specification.FINISH}
    return sorted({*stages(recipe), *earlier, *others} - {_NO_STEP})


def tfx_specification(
    recipe: Recipe, data: Data, paths: Paths, image: str, beam: Beam
) -> dict[str, Any]:
    """What TFX makes of a recipe's pipeline: every value of every step in its place.

    Raises:
      KubeflowMissing: kfp is not installed.
    """
    try:
        import kfp  # noqa: F401
    except ImportError as error:
        raise KubeflowMissing("the Kubeflow compiler") from error
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow

    from pipelines.build import create_pipeline

    pipeline = create_pipeline(
        recipe, data.newest, paths, False, beam, earlier=data.earlier, fixed=data.fixed
    )
    for component in pipeline.components:
        _divide(component.spec.inputs)
    config = kubeflow.KubeflowV2DagRunnerConfig(
        default_image=image,
        default_commands=list(specification.STEP_COMMAND),
        # Kubeflow's own driver reads no other; the older one is Vertex AI's.
        use_pipeline_spec_2_1=True,
    )
    return kubeflow.KubeflowV2DagRunner(config).run(pipeline, write_out=False)["pipelineSpec"]


def _divide(inputs: dict[str, Any]) -> None:
    """Makes an input of several channels several inputs, which TFX can write down, in place."""
    from tfx.types.channel import UnionChannel

    for name, channel in list(inputs.items()):
        if isinstance(channel, UnionChannel):
            inputs[name], *others = channel.channels
            inputs |= {several(name, number): each for number, each in enumerate(others, 2)}


def _text(documents: list[Mapping[str, Any]], suffix: str) -> str:
    """As kfp's own compiler writes it: the platform's part is a second document."""
    if suffix == ".json":
        if len(documents) > 1:
            raise ValueError("a volume is described in a second document: write a .yaml file")
        return json.dumps(documents[0], indent=1, sort_keys=True)
    import yaml

    class Plain(yaml.SafeDumper):
        """Not every reader of Kubeflow's files knows YAML's references."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump_all(documents, Dumper=Plain, sort_keys=True, width=1_000)
