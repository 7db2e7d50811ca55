"""`convnets compile` and `convnets submit`: Kubeflow Pipelines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from components import trusted
from pipelines import kubeflow, served
from pipelines.beam import beam_options
from pipelines.commands.common import (
    GivenPath,
    beam_of,
    console,
    packages_option,
    recipe_of,
    settings_option,
    status,
    user_errors,
)
from pipelines.commands.recipe_options import recipe_options


@click.command("compile")
@click.argument("recipe")
@recipe_options
@packages_option
@click.option(
    "--output",
    required=True,
    type=GivenPath(dir_okay=False, path_type=Path),
    help="The file to write.",
)
@click.option("--data", metavar="URI", help="Where the cluster finds the images.")
@click.option("--name", help="Of the served model.  [default: RECIPE, or RECIPE-DATA with --data]")
@click.option(
    "--root",
    metavar="URI",
    default=kubeflow.ROOT,
    show_default=True,
    help="A folder that every step can reach: a bucket, or where the volume is mounted.",
)
@click.option(
    "--image",
    metavar="NAME",
    default=kubeflow.IMAGE,
    show_default=True,
    help="Container image that has this package installed.",
)
@click.option("--volume", metavar="CLAIM", help="A PersistentVolumeClaim to mount at the root.")
@click.option(
    "--cpu", multiple=True, metavar="[STEP=]N", help="Cores of each step, or of one. Repeatable."
)
@click.option(
    "--memory",
    multiple=True,
    metavar="[STEP=]SIZE",
    help="Memory of each step, or of one, such as Trainer=16Gi. Repeatable.",
)
@click.option(
    "--gpu",
    multiple=True,
    metavar="[STEP=]N",
    help="GPUs of the training, or of another step. Repeatable.",
)
@beam_options
def compile_recipe(
    recipe: str,
    size: str | None,
    settings: Sequence[str],
    output: Path,
    data: str | None,
    name: str | None,
    root: str,
    image: str,
    volume: str | None,
    cpu: Sequence[str],
    memory: Sequence[str],
    gpu: Sequence[str],
    beam_runner: str,
    beam_arguments: Sequence[str],
) -> None:
    """Writes a recipe's pipeline for Kubeflow Pipelines.

    Its steps run the code of the packages that are allowed here, and no other's.
    """
    beam = beam_of(beam_runner, beam_arguments)
    if name is not None:
        settings = (*settings, f"served_name={json.dumps(name)}")
    chosen = recipe_of(recipe, size, settings, data)
    screen = console()
    served.quiet_libraries()
    with user_errors(), status(screen, "loading TFX and compiling"):
        from pipelines.kubeflow import compiling

        compiling.compile_recipe(chosen, str(output), root, image, beam, volume, cpu, memory, gpu)
    screen.print(f"wrote {output}")
    if packages := trusted.listed():
        screen.print(f"{image} has to have {', '.join(packages)} installed", soft_wrap=True)


@click.command("submit")
@click.argument("pipeline", type=GivenPath(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--endpoint",
    required=True,
    envvar="KF_PIPELINES_ENDPOINT",
    show_envvar=True,
    metavar="URL",
    help="Of Kubeflow Pipelines, such as http://localhost:8080.",
)
@click.option(
    "--token",
    envvar="KF_PIPELINES_TOKEN",
    show_envvar=True,
    metavar="TEXT",
    help="A bearer token, where the endpoint asks for one.",
)
@click.option("--namespace", metavar="NAME", help="Yours, where several users share Kubeflow.")
@settings_option
@click.option("--data", metavar="URI", help="Where the cluster finds the images.")
@click.option("--root", metavar="URI", help="Another root than the pipeline was compiled with.")
@click.option("--webhook", metavar="URL", help="The run's outcome is posted there.")
@click.option("--cron", metavar="EXPRESSION", help="Run at these times, such as '0 3 * * *'.")
@click.option("--watch/--no-watch", default=True, help="Wait for the end of the run, or do not.")
def submit(
    pipeline: Path,
    endpoint: str,
    token: str | None,
    namespace: str | None,
    settings: Sequence[str],
    data: str | None,
    root: str | None,
    webhook: str | None,
    cron: str | None,
    watch: bool,
) -> None:
    """Uploads a compiled pipeline to Kubeflow Pipelines, runs it and watches it."""
    from pipelines.kubeflow import submitting
    from pipelines.kubeflow.cron import with_seconds

    screen = console()
    given = {"overrides": list(settings), "data": data, "root": root, "webhook": webhook}
    parameters = {name: value for name, value in given.items() if value}
    with user_errors():
        submitting.check_settings(submitting.read(pipeline, parameters), settings)
        if cron:
            with_seconds(cron)
        place = submitting.Endpoint(endpoint, token, namespace)
        version = place.upload(pipeline)
        screen.print(f"uploaded {version.name}, version {version.version_id}")
        if cron:
            screen.print(f"recurring run {place.recur(version, parameters, cron)}: {cron}")
            return
        run = place.run(version, parameters)
        screen.print(f"run {run}: {place.link(run)}", soft_wrap=True)
        if not watch:
            return
        try:
            ended = place.watch(run, lambda step, state: screen.print(f"  {step}: {state.lower()}"))
        except KeyboardInterrupt:
            raise click.ClickException(f"no longer watching; run {run} goes on") from None
        if ended.state != "SUCCEEDED":
            raise click.ClickException(f"run {run} {ended.state.lower()}. {ended.error}".strip())
        screen.print(f"run {run} succeeded")
