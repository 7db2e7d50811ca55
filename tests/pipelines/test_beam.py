"""The runner of Beam: what is refused before anything starts, and what reaches the stages."""

import dataclasses
import json
import sys

import pytest
from click.testing import CliRunner

from pipelines import recipes
from pipelines.beam import RUNNERS, Beam, BeamError
from pipelines.cli import main
from pipelines.paths import Paths


@pytest.mark.parametrize(
    ("beam", "message"),
    [
        (Beam("flnk"), "unknown Beam runner 'flnk': did you mean flink"),
        (Beam("direct", ("direct_num_workers=2",)), "--beam-arg takes --name=value"),
        (Beam("direct", ("--runner=FlinkRunner",)), "named by --beam-runner"),
    ],
)
def test_a_runner_that_cannot_be(beam, message):
    with pytest.raises(BeamError, match=message):
        beam.check()


@pytest.mark.parametrize(
    ("name", "package", "command"),
    [
        ("dask", "distributed", r"pip install -e '.*\[dask\]'"),
        ("dataflow", "apitools", r"pip install 'apache-beam\[gcp\]'"),
    ],
)
def test_packages_that_are_missing(monkeypatch, name, package, command):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BeamError, match=f"the {name} runner needs {package}: {command}"):
        Beam(name).check()


@pytest.mark.parametrize("name", ["flink", "spark"])
def test_java_is_missing(monkeypatch, tmp_path, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BeamError, match="needs Java"):
        Beam(name).check()
    Beam(name, ("--job_endpoint=cluster:8099",)).check()


def test_the_command_line_refuses_early():
    result = CliRunner().invoke(main, ["run", "lenet", "--beam-runner", "flnk"])
    assert result.exit_code == 1
    assert "did you mean flink" in result.output


def test_a_beam_goes_to_json_and_back():
    beam = Beam("flink", ("--flink_master=cluster:8081",))
    assert Beam.from_plain(json.loads(json.dumps(dataclasses.asdict(beam)))) == beam
    assert Beam.from_plain({}) == Beam()


def test_every_runner_is_one_of_this_beam():
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.runners.runner import create_runner

    for name in RUNNERS:
        options = PipelineOptions(Beam(name).ingest()).view_as(StandardOptions)
        assert create_runner(options.runner).__class__.__name__.endswith("Runner")


@pytest.mark.parametrize(
    ("beam", "ingest", "others"),
    [
        (Beam(), "FnApiRunner", "FnApiRunner"),
        (Beam("dask", ("--dask_client_address=tcp://x:1",)), "DaskRunner", "FnApiRunner"),
        (Beam("flink", ("--flink_master=x:8081",)), "FlinkRunner", "FlinkRunner"),
    ],
)
def test_what_reaches_the_stages(tmp_path, beam, ingest, others):
    from components.ingest.sources import resolve
    from pipelines.build import create_pipeline

    recipe = recipes.find("lenet")
    pipeline = create_pipeline(recipe, resolve("mnist"), Paths(str(tmp_path)), beam=beam)
    (examples,) = (each for each in pipeline.components if each.id == "ImageExampleGen")
    found = {
        "ingest": examples.executor_spec.beam_pipeline_args,
        "others": pipeline.beam_pipeline_args,
    }
    for where, name in (("ingest", ingest), ("others", others)):
        # The last one counts.
        runner = [each for each in found[where] if each.startswith("--runner=")][-1]
        assert runner.endswith(name)
    for argument in beam.arguments:
        assert found["ingest"].count(argument) == 1
        assert (argument in found["others"]) == (ingest == others)
