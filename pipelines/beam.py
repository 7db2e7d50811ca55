"""Beam's runners: where the stages that go through all images compute."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from components import extras
from components.settings import near_matches

_PORTABILITY = "apache_beam.runners.portability"


class BeamError(ValueError):
    """A runner that cannot be used as asked; the text says what is missing."""


@dataclass(frozen=True)
class _Kind:
    """One runner.

    Attributes:
      path: of its class, in full: newer Beams take the short name of the direct runner for one
        that downloads a program first.
      package: what has to be importable, with the command that brings it.
      java: whether Beam starts a job server that needs it.
      ingest_only: whether TFX' own stages ask for what the runner lacks.
    """

    path: str
    package: tuple[str, str] | None = None
    java: bool = False
    ingest_only: bool = False


RUNNERS = {
    "direct": _Kind(f"{_PORTABILITY}.fn_api_runner.FnApiRunner"),
    "dask": _Kind(
        "components.ingest.dask_runner.DaskRunner",
        package=("distributed", extras.command("dask")),
        # Side inputs, which nearly every stage but ours has.
        ingest_only=True,
    ),
    "flink": _Kind(f"{_PORTABILITY}.flink_runner.FlinkRunner", java=True),
    "spark": _Kind(f"{_PORTABILITY}.spark_runner.SparkRunner", java=True),
    "dataflow": _Kind(
        "apache_beam.runners.dataflow.dataflow_runner.DataflowRunner",
        package=("apitools", "pip install 'apache-beam[gcp]'"),
    ),
}
# One process: of data that fits on one machine's disk, TFX' own stages compute little, and each
# process that they start imports TensorFlow. Ingestion decides by the amount (its executor).
# No worker looks for an image here, but where one is named TFX does not pack itself for workers
# elsewhere, a second of each stage.
_DIRECT = ("--direct_running_mode=in_memory", "--sdk_container_image=none")
# With these, the job server runs elsewhere or is not needed.
_NO_JAVA = ("--job_endpoint", "--flink_submit_uber_jar", "--spark_submit_uber_jar")


@dataclass(frozen=True)
class Beam:
    """The runner of a run, by name, and arguments for Beam as its command line takes them."""

    runner: str = "direct"
    arguments: tuple[str, ...] = ()

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Beam:
        """The runner of the fields that `dataclasses.asdict` gave, also after JSON."""
        return cls(**{**values, "arguments": tuple(values.get("arguments", ()))})

    def check(self) -> None:
        """Checks what can be checked before anything heavy is imported.

        Raises:
          BeamError: no such runner, an argument that is none, or something is not installed.
        """
        if self.runner not in RUNNERS:
            raise BeamError(
                f"unknown Beam runner {self.runner!r}: {near_matches(self.runner, RUNNERS)}"
            )
        for argument in self.arguments:
            if not argument.startswith("--"):
                raise BeamError(f"--beam-arg takes --name=value, not {argument!r}")
            if argument.partition("=")[0] == "--runner":
                raise BeamError("the runner is named by --beam-runner")
        kind = RUNNERS[self.runner]
        if kind.package and importlib.util.find_spec(kind.package[0]) is None:
            name, command = kind.package
            raise BeamError(f"the {self.runner} runner needs {name}: {command}")
        if kind.java and not shutil.which("java") and not self._names(_NO_JAVA):
            raise BeamError(
                f"the {self.runner} runner starts a job server that needs Java, and there is no "
                "java on the PATH; --beam-arg=--job_endpoint=HOST:PORT names one that runs"
            )

    def ingest(self) -> list[str]:
        """Arguments of the stage that ingests."""
        direct = _DIRECT if self.runner == "direct" else ()
        return [f"--runner={RUNNERS[self.runner].path}", *direct, *self.arguments]

    def stages(self) -> list[str]:
        """Arguments of the other stages on Beam."""
        return Beam().ingest() if RUNNERS[self.runner].ingest_only else self.ingest()

    def _names(self, options: Sequence[str]) -> bool:
        return any(argument.partition("=")[0] in options for argument in self.arguments)


def beam_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command line's command `beam_runner` and `beam_arguments`."""
    runner = click.option(
        "--beam-runner",
        default="direct",
        show_default=True,
        metavar="|".join(RUNNERS),
        help="Where Beam computes: on this machine, or on a cluster.",
    )
    arguments = click.option(
        "--beam-arg",
        "beam_arguments",
        multiple=True,
        metavar="--NAME=VALUE",
        help="An argument for Beam, such as --direct_num_workers=4. Repeatable.",
    )
    return runner(arguments(command))
