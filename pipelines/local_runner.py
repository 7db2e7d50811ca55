"""A local TFX runner that tells when stages start and end."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils, tfx_runner
from tfx.proto.orchestration import pipeline_pb2

from components.ingest import engine, forking_runner
from pipelines.history import revision

# Of an execution: the code that made it.
CODE = "code"


class LocalRunner(tfx_runner.IrBasedRunner):
    """Runs the stages one after the other, as TFX's LocalDagRunner does.

    LocalDagRunner says nothing of its progress but in log messages; this one calls `record(stage,
    state, seconds=, artifacts=, error=)` with the states `running`, and `done`, `cached` or
    `failed`. Artifacts are ML Metadata protos by type name.
    """

    def __init__(self, record: Callable[..., None], last: str | None = None):
        """
        Args:
          record: called as stages start and end.
          last: the stage after which this runner ends, and which it never takes from the cache;
            without it, that is the pipeline's last.
        """
        super().__init__()
        self._record = record
        self._last = last

    def run_with_ir(
        self,
        pipeline: pipeline_pb2.Pipeline,
        run_options: pipeline_pb2.RunOptions | None = None,
    ) -> None:
        """Runs a compiled pipeline; raises what the first failing stage raised."""
        del run_options
        run_id = datetime.datetime.now().isoformat()
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = deployment.metadata_connection_config
        config = getattr(connection, connection.WhichOneof("connection_config"))
        for node in pipeline.nodes:
            is_last = node.pipeline_node.node_info.id == self._last
            if is_last:
                node.pipeline_node.execution_options.caching_options.enable_cache = False
            self._run_node(pipeline, node.pipeline_node, deployment, config)
            if is_last:
                break

    def _run_node(self, pipeline, node, deployment, config) -> None:
        stage = node.node_info.id
        self._record(stage, "running")
        begun = time.monotonic()
        # TFX runs gRPC beside each stage.
        ingests = stage.startswith(engine.STAGE)
        workers = forking_runner.forked() if ingests else contextlib.nullcontext()
        try:
            with workers:
                execution = launcher.Launcher(
                    pipeline_node=node,
                    mlmd_connection=metadata.Metadata(config),
                    pipeline_info=pipeline.pipeline_info,
                    pipeline_runtime_spec=pipeline.runtime_spec,
                    executor_spec=runner_utils.extract_executor_spec(deployment, stage),
                    custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, stage),
                ).launch()
        except Exception as error:
            self._record(stage, "failed", seconds=time.monotonic() - begun, error=error)
            raise
        state, artifacts = _outcome(config, execution.execution_id)
        self._record(stage, state, seconds=time.monotonic() - begun, artifacts=artifacts)


def _outcome(config, execution_id: int) -> tuple[str, dict[str, Any]]:
    """Whether an execution came from the cache, and its output artifacts by type name."""
    with metadata.Metadata(config) as handle:
        store = handle.store
        (execution,) = store.get_executions_by_id([execution_id])
        outputs = {
            event.artifact_id
            for event in store.get_events_by_execution_ids([execution_id])
            if event.type == metadata_store_pb2.Event.OUTPUT
        }
        artifacts = {artifact.type: artifact for artifact in store.get_artifacts_by_id(outputs)}
        cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
        if not cached:
            execution.custom_properties[CODE].string_value = revision.version()
            store.put_executions([execution])
    return ("cached" if cached else "done"), artifacts
