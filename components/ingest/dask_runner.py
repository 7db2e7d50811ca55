"""Beam's runner on Dask, put right where it does not work with today's Dask."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.dask import dask_runner
from apache_beam.runners.runner import PipelineState

_PREFIX = "--dask_"


class _Result(dask_runner.DaskRunnerResult):
    def wait_until_finish(self, duration: int | None = None) -> str:
        # Beam's waits for the workers first, by a call that Dask has changed. Tasks wait by
        # themselves.
        self.client.gather(self.futures, errors="raise")
        self.client.close()
        self._state = PipelineState.DONE
        return self._state


class DaskRunner(dask_runner.DaskRunner):
    """Runs pipelines on Dask: `--dask_client_address`, or all cores of this machine."""

    def run_pipeline(
        self, pipeline: beam.Pipeline, options: PipelineOptions
    ) -> dask_runner.DaskRunnerResult:
        """See the base class.

        Beam's hands everything that is set to Dask's client, the runner's name too, and the client
        refuses what it does not know; only options that begin with `--dask_` are left.
        """
        flags = [flag for flag in options._flags if flag.startswith(_PREFIX)]
        started = super().run_pipeline(pipeline, PipelineOptions(flags))
        return _Result(started.client, started.futures)
