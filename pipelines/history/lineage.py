"""What made each version of a model: read from ML Metadata, without TensorFlow or TFX."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto

from components.settings import near_matches
from pipelines.history import rollback
from pipelines.paths import Paths
from pipelines.recipe import renamed

_EXAMPLES = "Examples"
_MODEL_RUN = "ModelRun"
_TRAINER = "tfx.components.trainer.component.Trainer"
_JUDGEMENT = "components.Judgement"
_CODE = "code"


@dataclass(frozen=True)
class Data:
    """The images of one span, or of data without spans.

    Attributes:
      span, version: its numbers; None where the data have none.
      images: training and test images.
      fingerprint: of the files (`components.ingest.identity`).
    """

    span: int | None
    version: int | None
    images: int
    fingerprint: str


@dataclass(frozen=True)
class Version:
    """A version of a model that has been pushed.

    Attributes:
      version: its number.
      state: `served`, `older`, `taken back` (by a rollback) or `gone` (from the disk).
      pushed_at: when.
      dataset: what the recipe names.
      data: what it was trained on, the newest span first.
      code: the code that trained it; None of versions from before that was noted.
      recipe: what it was trained by, with the values that a search has found.
      figures: the Judge's, on the newest data: those of the task's metrics that it has.
      model: folder of the Model artifact.
    """

    version: str
    state: str
    pushed_at: datetime.datetime
    dataset: str | None
    data: Sequence[Data]
    code: str | None
    recipe: Mapping[str, Any]
    figures: Mapping[str, float]
    model: str


def versions(root: Path, model: str) -> list[Version]:
    """All versions of a model that were ever pushed, the newest first.

    Raises:
      ValueError: nothing was pushed under this name below `root`.
    """
    path = Path(Paths(str(root)).metadata)
    # A run that was ended at once leaves an empty file.
    if not path.exists() or not path.stat().st_size:
        raise ValueError(f"{root} holds no runs; first: convnets run RECIPE")
    store = _open(path)
    states = rollback.states(root, model)
    pushes = [each for each in store.get_artifacts_by_type("PushedModel") if _is_of(each, model)]
    found = [_version(store, push, states) for push in pushes]
    if not found:
        names = sorted({_model(each) for each in store.get_artifacts_by_type("PushedModel")} - {""})
        known = near_matches(model, names) if names else "no model was"
        raise ValueError(f"no model {model!r} was pushed below {root}: {known}")
    return sorted(found, key=lambda version: -int(version.version))


def _open(path: Path) -> metadata_store.MetadataStore:
    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READONLY
    return metadata_store.MetadataStore(config)


def _model(push: proto.Artifact) -> str:
    return Path(_text(push, "pushed_destination") or "").parent.name


def _is_of(push: proto.Artifact, model: str) -> bool:
    return push.custom_properties["pushed"].int_value == 1 and _model(push) == model


def _version(
    store: metadata_store.MetadataStore, push: proto.Artifact, states: Mapping[str, str]
) -> Version:
    version = _text(push, "pushed_version")
    made = _producer(store, push.id)
    (model,) = _artifacts(store, made, proto.Event.INPUT, "Model")
    trainer = _producer(store, model.id)
    recipe = _recipe(store, trainer)
    spans = _artifacts(store, trainer, proto.Event.INPUT, _EXAMPLES)
    moment = datetime.datetime.fromtimestamp(
        push.create_time_since_epoch / 1000, datetime.timezone.utc
    )
    return Version(
        version=version,
        state=states.get(version, "gone"),
        pushed_at=moment,
        dataset=recipe.get("dataset"),
        data=sorted(map(_data, spans), key=lambda each: -(each.span or 0)),
        code=_text(trainer, _CODE),
        recipe=recipe,
        figures=_figures(store, model.id),
        model=model.uri,
    )


def _producer(store: metadata_store.MetadataStore, artifact: int) -> proto.Execution:
    """The execution that made an artifact: the first, for the later ones took it from the cache."""
    events = store.get_events_by_artifact_ids([artifact])
    made = [each.execution_id for each in events if each.type == proto.Event.OUTPUT]
    (execution,) = store.get_executions_by_id([min(made)])
    return execution


def _artifacts(
    store: metadata_store.MetadataStore, execution: proto.Execution, kind: int, name: str
) -> list[proto.Artifact]:
    events = store.get_events_by_execution_ids([execution.id])
    ids = {each.artifact_id for each in events if each.type == kind}
    return [each for each in store.get_artifacts_by_id(ids) if each.type == name]


def _recipe(store: metadata_store.MetadataStore, trainer: proto.Execution) -> Mapping[str, Any]:
    """As the Trainer has noted it or, where that is gone, as the Trainer was given it.

    A key's new name is no change of the recipe.
    """
    for run in _artifacts(store, trainer, proto.Event.OUTPUT, _MODEL_RUN):
        with contextlib.suppress(OSError, ValueError):
            return renamed(json.loads(Path(run.uri, "recipe.json").read_text(encoding="utf-8")))
    config = json.loads(_text(trainer, "custom_config") or "{}")
    return renamed(json.loads(config.get("recipe", "{}")))


def _data(examples: proto.Artifact) -> Data:
    fingerprint = _text(examples, "input_fingerprint") or ""
    numbers = examples.custom_properties
    images = sum(numbers[f"{split}_examples"].int_value for split in ("train", "test"))
    # TFX numbers data without spans 0, and so might somebody number a first span.
    span = numbers["span"].int_value if "span" in numbers else None
    version = numbers["version"].int_value if "version" in numbers else None
    return Data(span, version, images, fingerprint)


def _figures(store: metadata_store.MetadataStore, model: int) -> Mapping[str, float]:
    """Of the last judgement on a model."""
    readers = {
        event.execution_id
        for event in store.get_events_by_artifact_ids([model])
        if event.type == proto.Event.INPUT
    }
    judgements = [
        judgement
        for execution in store.get_executions_by_id(readers)
        for judgement in _artifacts(store, execution, proto.Event.OUTPUT, _JUDGEMENT)
    ]
    for judgement in sorted(judgements, key=lambda each: -each.id):
        try:
            text = Path(judgement.uri, "judgement.json").read_text(encoding="utf-8")
        except OSError:
            continue
        metrics = json.loads(text)["metrics"]
        return {name: value for name, value in metrics.items() if value is not None}
    return {}


def _text(found: proto.Artifact | proto.Execution, key: str) -> str | None:
    values = found.custom_properties
    return values[key].string_value if key in values else None


def changes(newer: Mapping[str, Any], older: Mapping[str, Any]) -> list[str]:
    """In what two recipes differ: `key: before -> after`, with the keys as `--set` has them."""
    before, after = dict(_leaves(older)), dict(_leaves(newer))
    return [
        f"{key}: {json.dumps(before.get(key))} -> {json.dumps(after.get(key))}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _leaves(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else key)
    else:
        yield path, value
