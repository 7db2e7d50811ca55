"""Data and artifacts are found whatever their folders are called."""

import glob
import os
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems

from components import examples
from components.globs import escape
from components.ingest import engine, readers
from components.ingest.component import ImageExampleGen
from components.ingest.contract import Encoding
from components.ingest.driver import Driver, settings
from components.ingest.sources import prepare, resolve, window
from components.validate import facts
from pipelines.beam import Beam
from tests.odd_names import NAMES
from tests.photos import write_crops


@pytest.fixture(scope="module")
def artifact(tmp_path_factory) -> Path:
    """Sixty pieces of photographs, and their examples."""
    folder = tmp_path_factory.mktemp("examples")
    reader = readers.reader(resolve(str(write_crops(folder / "data", 30))))
    with beam.Pipeline(argv=Beam().ingest()) as pipeline:
        _ = pipeline | engine.Ingest(reader, "all", Encoding(), str(folder / "uri"))
    (folder / "uri" / "labels.txt").write_text("cat\ncoffee\n")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stands_for_itself_in_every_pattern(name, tmp_path):
    for each in (name, "1", "b", "a b"):
        (tmp_path / each).mkdir()
        (tmp_path / each / "x.json").touch()
    pattern = f"{escape(str(tmp_path / name))}/*.json"
    wanted = [str(tmp_path / name / "x.json")]
    assert glob.glob(pattern) == wanted
    assert tf.io.gfile.glob(pattern) == wanted
    (found,) = FileSystems.match([pattern])
    assert [each.path for each in found.metadata_list] == wanted


@pytest.mark.parametrize("name", NAMES)
def test_data_and_examples_are_read_below_any_name(name, tmp_path, artifact):
    """From `--data` to what is read, and from an artifact to what the later stages read."""
    (tmp_path / name).mkdir()
    os.symlink(artifact / "data", tmp_path / name / "data-1")
    source = prepare(resolve(str(tmp_path / name / "data-1")))
    # A name in braces is that of a span.
    spans = window(str(tmp_path / name / "data-{SPAN}"), 1) if "{" not in name else ()
    for each in (source, *spans):
        decided = Driver(None).resolve_exec_properties(
            dict(ImageExampleGen(each).exec_properties), None, None
        )
        files = sum(path.is_file() for path in (artifact / "data").rglob("*"))
        assert f"num_files:{files}," in decided["input_fingerprint"]
        reading = readers.reader(settings(decided)[0])
        pieces = [piece for root in reading.roots("all") for piece in reading.pieces(root)]
        assert len(pieces) == files
    os.symlink(artifact / "uri", tmp_path / name / "uri")
    uri = str(tmp_path / name / "uri")
    assert len(facts.read(uri)) == files
    assert engine.total_counts(uri)["read"] == files
    assert examples.count(examples.records(uri, "train")) > 0


def test_examples_are_written_below_all_names_at_once(artifact, tmp_path):
    uri = tmp_path.joinpath(*NAMES[:12])
    reader = readers.reader(resolve(str(artifact / "data")))
    with beam.Pipeline(argv=Beam().ingest()) as pipeline:
        _ = pipeline | engine.Ingest(reader, "all", Encoding(), str(uri))
    assert engine.total_counts(str(uri)) == engine.total_counts(str(artifact / "uri"))
