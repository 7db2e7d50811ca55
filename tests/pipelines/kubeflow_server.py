"""A Kubeflow Pipelines endpoint on loopback: the few calls that are made of it.

Paths, methods and the types of answers are read from kfp_server_api, the client that is generated
from Kubeflow's OpenAPI description; bodies are parsed into, and answers made from, its models. A
call, a field or a query that the description does not have is answered with 400.
"""

from __future__ import annotations

import email
import email.policy
import http.server
import inspect
import json
import re
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as api

_APIS = (
    api.ExperimentServiceApi,
    api.HealthzServiceApi,
    api.PipelineServiceApi,
    api.PipelineUploadServiceApi,
    api.RecurringRunServiceApi,
    api.RunServiceApi,
)
_BODY = ":param body:"
_CALL = re.compile(r"call_api\(\s*'(?P<path>[^']+)', '(?P<method>\w+)'")
_ANSWER = re.compile(r"response_type='(\w+)'")
_QUERY = re.compile(r"query_params\.append\(\('(\w+)'")
_MODELS = api.ApiClient()


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, code: int, text: str):
        super().__init__(text)
        self.code = code


class Operation(SimpleNamespace):
    """One call of the description: `name`, `method`, `path` (an expression), `query`, `body`."""


def described() -> list[Operation]:
    """All calls that kfp_server_api describes."""
    found = []
    for service in _APIS:
        for name, function in inspect.getmembers(service, inspect.isfunction):
            if not name.endswith("_with_http_info"):
                continue
            source = inspect.getsource(function)
            call = _CALL.search(source)
            answer = _ANSWER.search(source)[1]
            found.append(
                Operation(
                    name=name.removesuffix("_with_http_info"),
                    method=call["method"],
                    path=re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", call["path"])),
                    query=set(_QUERY.findall(source)),
                    answer=answer,
                    # What is created is sent as what comes back, with less in it.
                    body=answer if _BODY in function.__doc__ else None,
                )
            )
    return found


class Endpoint:
    """Holds what was uploaded and started.

    Attributes:
      uploaded: the content of each file, by version id.
      runs, recurring: models, by id.
      progress: for each look at a run what it says: its state, and the states of its steps; or a
        refusal.
      tokens: the Authorization headers that were seen.
      refusal: what every call is answered with, where it is not None.
    """

    def __init__(self) -> None:
        self.uploaded: dict[str, bytes] = {}
        self.runs: dict[str, api.V2beta1Run] = {}
        self.recurring: dict[str, api.V2beta1RecurringRun] = {}
        self.progress: list[tuple[str, dict[str, str]] | Refused] = []
        self.tokens: set[str | None] = set()
        self.refusal: Refused | None = None
        self._pipelines: dict[str, api.V2beta1Pipeline] = {}
        self._versions: dict[str, api.V2beta1PipelineVersion] = {}
        self._experiments: dict[str, api.V2beta1Experiment] = {}
        self._operations = described()

    def __enter__(self) -> Endpoint:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, url: str, headers: Any, body: bytes) -> bytes:
        """What a call is answered.

        Raises:
          Refused: a call that the description does not have.
        """
        self.tokens.add(headers.get("Authorization"))
        if self.refusal:
            raise self.refusal
        parts = urlsplit(url)
        for operation in self._operations:
            match = operation.path.fullmatch(parts.path)
            if match and operation.method == method:
                break
        else:
            raise Refused(400, f"no call {method} {parts.path}")
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if set(query) - operation.query:
            raise Refused(400, f"{operation.name} takes no {set(query) - operation.query}")
        handler: Callable[..., Any] = getattr(self, f"_{operation.name}", None)
        if handler is None:
            raise Refused(501, f"{operation.name} is not played")
        if operation.body:
            query["body"] = parsed(json.loads(body), operation.body)
        elif body:
            query["file"] = _only_file(headers, body)
        answer = handler(**match.groupdict(), **query)
        assert type(answer).__name__ == operation.answer
        return json.dumps(_MODELS.sanitize_for_serialization(answer)).encode()

    def _get_healthz(self):
        return api.V2beta1GetHealthzResponse(multi_user=False)

    def _list_pipelines(self, filter: str, **_):
        found = _named(self._pipelines, filter)
        return api.V2beta1ListPipelinesResponse(pipelines=found, total_size=len(found))

    def _upload_pipeline(self, name: str, file: bytes, **_):
        pipeline = f"pipeline-{len(self._pipelines) + 1}"
        if any(each.display_name == name for each in self._pipelines.values()):
            raise Refused(409, f"there is a pipeline {name}")
        made = api.V2beta1Pipeline(pipeline_id=pipeline, display_name=name)
        self._pipelines[pipeline] = made
        # The first version has the pipeline's name.
        self._upload_pipeline_version(name=name, pipelineid=pipeline, file=file)
        return made

    def _upload_pipeline_version(self, name: str, pipelineid: str, file: bytes, **_):
        version = f"version-{len(self._versions) + 1}"
        self.uploaded[version] = file
        self._versions[version] = api.V2beta1PipelineVersion(
            pipeline_id=pipelineid, pipeline_version_id=version, display_name=name
        )
        return self._versions[version]

    def _list_pipeline_versions(self, pipeline_id: str, filter: str, **_):
        found = [e for e in _named(self._versions, filter) if e.pipeline_id == pipeline_id]
        return api.V2beta1ListPipelineVersionsResponse(pipeline_versions=found)

    def _list_experiments(self, filter: str, namespace: str | None = None, **_):
        named = _named(self._experiments, filter)
        # A single user's are in the namespace "".
        found = [each for each in named if (each.namespace or None) == namespace]
        return api.V2beta1ListExperimentsResponse(experiments=found)

    def _create_experiment(self, body: api.V2beta1Experiment):
        body.experiment_id = f"experiment-{len(self._experiments) + 1}"
        return self._experiments.setdefault(body.experiment_id, body)

    def _create_run(self, body: api.V2beta1Run, **_):
        self._check_started(body)
        body.run_id = f"run-{len(self.runs) + 1}"
        return self.runs.setdefault(body.run_id, body)

    def _get_run(self, run_id: str, **_):
        if run_id not in self.runs:
            raise Refused(404, f"there is no run {run_id}")
        said = self.progress.pop(0)
        if isinstance(said, Refused):
            raise said
        state, steps = said
        details = [
            api.V2beta1PipelineTaskDetail(display_name=name, state=each)
            for name, each in steps.items()
        ]
        error = api.GooglerpcStatus(message="a step failed") if state == "FAILED" else None
        self.runs[run_id].state, self.runs[run_id].error = state, error
        self.runs[run_id].run_details = api.V2beta1RunDetails(task_details=details)
        return self.runs[run_id]

    def _create_recurring_run(self, body: api.V2beta1RecurringRun):
        self._check_started(body)
        if body.trigger.cron_schedule and len(body.trigger.cron_schedule.cron.split()) != 6:
            raise Refused(400, "cron has six fields here")
        body.recurring_run_id = f"recurring-{len(self.recurring) + 1}"
        return self.recurring.setdefault(body.recurring_run_id, body)

    def _check_started(self, body: Any) -> None:
        assert body.experiment_id in self._experiments
        if body.pipeline_spec is None:
            reference = body.pipeline_version_reference
            version = self._versions[reference.pipeline_version_id]
            assert version.pipeline_id == reference.pipeline_id


def parsed(values: dict[str, Any], model: str) -> Any:
    """A body as the model of the description; Refused where it has other fields."""
    _check_fields(values, model)
    return _MODELS.deserialize(SimpleNamespace(data=json.dumps(values)), model)


def _check_fields(values: Any, model: str) -> None:
    described = getattr(api, model, None)
    if described is None or not hasattr(described, "attribute_map"):
        return
    if not isinstance(values, dict):
        # An enumeration is described as a class without fields.
        return
    types = {name: described.openapi_types[key] for key, name in described.attribute_map.items()}
    if set(values) - set(types):
        raise Refused(400, f"{model} has no {sorted(set(values) - set(types))}")
    for name, value in values.items():
        _check_fields(value, types[name])


def _named(found: dict[str, Any], filter: str) -> list[Any]:
    (predicate,) = json.loads(filter)["predicates"]
    # Kubeflow takes the operation's name or its number.
    assert predicate["operation"] in ("EQUALS", 1) and predicate["key"] == "display_name"
    return [each for each in found.values() if each.display_name == predicate["stringValue"]]


def _only_file(headers: Any, body: bytes) -> bytes:
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.default)
    (part,) = message.iter_parts()
    assert part.get_param("name", header="content-disposition") == "uploadfile"
    return part.get_payload(decode=True)


def _handler(endpoint: Endpoint) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                code, text = 200, endpoint.answer(self.command, self.path, self.headers, body)
            except Refused as refused:
                code, text = refused.code, json.dumps({"error": str(refused)}).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _answer

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
