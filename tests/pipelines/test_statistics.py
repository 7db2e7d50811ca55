"""The statistics of the pipeline say to schema and checks what exact ones would."""

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.ingest.sources import resolve
from pipelines import recipes
from pipelines.build import create_pipeline
from pipelines.paths import Paths


def split(images: int, classes: int) -> pa.RecordBatch:
    """Examples as TFX reads them: bytes that are no text, ids of their own, and classes."""
    random = np.random.default_rng(images)
    numbers = np.arange(images) % classes
    features = {
        "image/encoded": [[b"\x89PNG" + random.bytes(40)] for _ in range(images)],
        "image/id": [[f"photos/{number:05d}".encode()] for number in range(images)],
        "label": [[number] for number in numbers],
        "label/text": [[f"class {number}".encode()] for number in numbers],
        "label/many": [[f"class {number % 101}".encode()] for number in range(images)],
    }
    return pa.RecordBatch.from_pydict(features)


def found(folder, name: str, batch: pa.RecordBatch, options: tfdv.StatsOptions):
    path = str(folder / name)
    with beam.Pipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create([batch.slice(0, 700), batch.slice(700)])
            | tfdv.GenerateStatistics(options)
            | tfdv.WriteStatisticsToBinaryFile(path)
        )
    return tfdv.load_stats_binary(path)


@pytest.fixture
def options(tmp_path) -> tfdv.StatsOptions:
    pipeline = create_pipeline(recipes.find("lenet"), resolve("mnist"), Paths(str(tmp_path)))
    (component,) = (each for each in pipeline.components if each.id == "StatisticsGen")
    return tfdv.StatsOptions.from_json(component.exec_properties["stats_options_json"])


def test_schema_and_anomalies_are_those_of_exact_statistics(options, tmp_path):
    splits = {"train": split(images=2_000, classes=100), "test": split(images=900, classes=102)}
    ways = {"exact": tfdv.StatsOptions(), "pipeline": options}
    exact, ours = (
        {name: found(tmp_path, f"{way}-{name}", splits[name], ways[way]) for name in splits}
        for way in ways
    )
    schema = tfdv.infer_schema(exact["train"])
    assert tfdv.infer_schema(ours["train"]) == schema
    # TFDV makes a domain of 100 values, and none of 101.
    assert [domain.name for domain in schema.string_domain] == ["label/text"]
    for name in splits:
        anomalies = tfdv.validate_statistics(exact[name], schema)
        assert tfdv.validate_statistics(ours[name], schema) == anomalies
    assert "class 101" in anomalies.anomaly_info["label/text"].description
    assert common(ours["test"]) == common(exact["test"])


def common(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> list:
    """What is known of each feature besides its distribution: presence, lengths, missing values."""
    (dataset,) = statistics.datasets
    return sorted(
        (feature.path.step[0], stats.common_stats.SerializeToString(deterministic=True))
        for feature in dataset.features
        for stats in (feature.string_stats, feature.num_stats)
    )
