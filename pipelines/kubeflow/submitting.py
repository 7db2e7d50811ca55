"""Hands a compiled pipeline to a Kubeflow Pipelines endpoint, by kfp's client."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import trusted
from pipelines.kubeflow import KubeflowMissing
from pipelines.kubeflow.cron import check_parameters, with_seconds
from pipelines.kubeflow.specification import allowed, recipe_of

# kfp's own wait_for_run_completion waits forever for a run that was cancelled.
ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
# How often the state of a run is asked for.
EVERY_SECONDS = 5.0
# So many times it is asked again where it does not answer: after 5 seconds, then 10, up to 160.
_PATIENCE = 6
_AWAY = (429, 502, 503, 504)
_REACHED_SECONDS = 10.0
_EXPERIMENT = "convnets"


class SubmitError(ValueError):
    """The endpoint could not be reached, or refused; the text says why."""


class EndpointAway(SubmitError):
    """The endpoint does not answer, or says that it cannot now; it may later."""


@dataclass(frozen=True)
class Version:
    """An uploaded pipeline."""

    name: str
    pipeline_id: str
    version_id: str


@dataclass(frozen=True)
class Ended:
    """How a run ended: its `state` (one of `ENDED`) and, where it failed, why."""

    state: str
    error: str


class Endpoint:
    """A Kubeflow Pipelines endpoint.

    Attributes:
      url: of the endpoint, as the browser shows it.
    """

    def __init__(self, url: str, token: str | None = None, namespace: str | None = None):
        """Connects.

        Args:
          url: such as `http://localhost:8080`.
          token: a bearer token, where the endpoint asks for one.
          namespace: of the user, where several share Kubeflow.

        Raises:
          KubeflowMissing: kfp is not installed.
          SubmitError: nobody answers there.
        """
        self.url = url.rstrip("/")
        # Before kfp, whose import takes many seconds.
        _check_reached(self.url)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import kfp
        except ImportError as error:
            raise KubeflowMissing("handing in a pipeline") from error
        self._namespace = namespace
        with warnings.catch_warnings(), self._refusals():
            warnings.simplefilter("ignore")
            self._client = kfp.Client(self.url, namespace=namespace or "", existing_token=token)

    def upload(self, path: Path) -> Version:
        """Uploads a compiled pipeline as a new version, unless this very file is there already.

        Raises:
          SubmitError: no pipeline, or refused.
        """
        specification = read(path)
        name = specification["pipelineInfo"]["name"]
        label = f"{name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        with self._refusals():
            pipeline = self._client.get_pipeline_id(name)
            if pipeline is None:
                made = self._client.upload_pipeline(
                    str(path), pipeline_name=name, namespace=self._namespace
                )
                pipeline = made.pipeline_id
            version = self._version(pipeline, label)
            if version is None:
                uploaded = self._client.upload_pipeline_version(
                    str(path), pipeline_version_name=label, pipeline_id=pipeline
                )
                version = uploaded.pipeline_version_id
        return Version(name, pipeline, version)

    def run(self, version: Version, parameters: Mapping[str, Any]) -> str:
        """Starts a run; returns its id.

        Raises:
          SubmitError: refused.
        """
        with self._refusals():
            started = self._client.run_pipeline(
                self._experiment(),
                f"{version.name} {time.strftime('%Y-%m-%d %H:%M:%S')}",
                params=dict(parameters),
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
            )
        return started.run_id

    def recur(self, version: Version, parameters: Mapping[str, Any], cron: str) -> str:
        """Starts runs by the clock, never two at a time; returns the recurring run's id.

        Raises:
          SubmitError: refused.
          CronError: `cron` is no cron expression.
        """
        expression = with_seconds(cron)
        with self._refusals():
            made = self._client.create_recurring_run(
                self._experiment(),
                version.name,
                cron_expression=expression,
                max_concurrency=1,
                no_catchup=True,
                params=dict(parameters),
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
            )
        return made.recurring_run_id

    def watch(self, run: str, tell: Callable[[str, str], None]) -> Ended:
        """Waits for the end of a run.

        Args:
          run: its id.
          tell: called with a step and its new state.

        Raises:
          SubmitError: the endpoint is gone, and was for minutes; the run goes on.
        """
        known: dict[str, str] = {}
        while True:
            found = self._look(run)
            for step, state in _states(found):
                if known.get(step) != state:
                    known[step] = state
                    tell(step, state)
            if found.state in ENDED:
                return Ended(found.state, found.error.message if found.error else "")
            time.sleep(EVERY_SECONDS)

    def link(self, run: str) -> str:
        """The page of a run."""
        return f"{self.url}/#/runs/details/{run}"

    def _look(self, run: str) -> Any:
        """The run; an endpoint that is away for a moment, as in an update, is asked again."""
        for attempt in itertools.count():
            try:
                with self._refusals():
                    return self._client.get_run(run)
            except EndpointAway as error:
                if attempt == _PATIENCE:
                    raise EndpointAway(f"no longer watching, run {run} goes on: {error}") from error
            time.sleep(EVERY_SECONDS * 2**attempt)

    def _version(self, pipeline: str, label: str) -> str | None:
        equals = {"operation": "EQUALS", "key": "display_name", "stringValue": label}
        found = self._client.list_pipeline_versions(
            pipeline, filter=json.dumps({"predicates": [equals]})
        )
        versions = found.pipeline_versions or ()
        return next((each.pipeline_version_id for each in versions), None)

    def _experiment(self) -> str:
        made = self._client.create_experiment(_EXPERIMENT, namespace=self._namespace)
        return made.experiment_id

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """What the endpoint refuses is one line; kfp's own lines for notebooks are not shown."""
        import kfp_server_api
        import urllib3

        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except kfp_server_api.ApiException as error:
            kind = EndpointAway if error.status in _AWAY else SubmitError
            raise kind(f"{self.url} refused: {_reason(error)}") from error
        except (urllib3.exceptions.HTTPError, TimeoutError) as error:
            raise EndpointAway(f"{self.url} does not answer: {error}") from error


def read(path: Path, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A compiled pipeline's specification.

    Raises:
      SubmitError: the file is none.
      ValueError: a parameter that the pipeline does not have.
    """
    import yaml

    try:
        found = next(yaml.safe_load_all(path.read_text(encoding="utf-8")), None)
        specification = found.get("pipelineSpec", found)
        check_parameters(specification, parameters or {})
        specification["pipelineInfo"]["name"]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise SubmitError(f"{path} is no pipeline that `convnets compile` wrote") from error
    return specification


def check_settings(specification: Mapping[str, Any], settings: Sequence[str]) -> None:
    """Whether the pipeline's recipe can be set so; the cluster would say it minutes later.

    Pipelines of another version of this package are left to it.

    Raises:
      RecipeError: it cannot.
    """
    try:
        recipe = recipe_of(specification)
    except (KeyError, ValueError):
        return
    with trusted.allowing(allowed(specification)):
        recipe.override(settings)


def _check_reached(url: str) -> None:
    """kfp's client asks five times, with pauses, before it says that nobody is there."""
    if not url.startswith(("http://", "https://")):
        raise SubmitError(f"an endpoint looks like http://localhost:8080, not {url!r}")
    try:
        with urllib.request.urlopen(f"{url}/apis/v2beta1/healthz", timeout=_REACHED_SECONDS):
            pass
    except urllib.error.HTTPError:
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SubmitError(f"no Kubeflow Pipelines endpoint at {url}: {reason}") from error


def _states(run: Any) -> Iterator[tuple[str, str]]:
    details = run.run_details.task_details if run.run_details else None
    for task in details or ():
        # Drivers and the groups around steps are Kubeflow's own.
        if task.state and task.display_name and not task.display_name.endswith("-driver"):
            yield task.display_name, task.state


def _reason(error: Any) -> str:
    try:
        body = json.loads(error.body)
        return body.get("error") or body.get("message") or error.reason
    except (TypeError, ValueError):
        return f"{error.status} {error.reason}"
