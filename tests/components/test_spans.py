"""Spans in real folders."""

from dataclasses import replace

import pytest

from components.ingest import sources, spans
from components.ingest.spans import Span, SpanError
from tests.photos import write_crops


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Makes folders below a temporary one, which becomes the current one."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> None:
        for name in names:
            (tmp_path / name).mkdir(parents=True)

    return make


def test_spans_are_found_by_number_and_the_window_is_as_in_tfx(folders):
    folders("photos/span-2", "photos/span-10", "photos/span-1", "photos/span-old")
    found = spans.find("photos/span-{SPAN}/")
    assert found == [Span(n, None, f"photos/span-{n}") for n in (1, 2, 10)]
    assert [span.number for span in spans.rolling(found, 1)] == [10]
    assert [span.number for span in spans.rolling(found, 9)] == [10, 2]
    assert [span.number for span in spans.rolling(found, 100)] == [10, 2, 1]


def test_a_newer_version_replaces_the_older(folders):
    folders("p/1/v1/images", "p/1/v10/images", "p/1/v9/images", "p/2/v3/images", "p/3/empty")
    assert spans.find("p/{SPAN}/v{VERSION}/images") == [
        Span(1, 10, "p/1/v10/images"),
        Span(2, 3, "p/2/v3/images"),
    ]


def test_days_are_numbered_as_tfx_numbers_them(folders):
    from tfx.components.example_gen import utils

    folders("p/2026/11/22", "p/2026/11/23", "p/2026/13/01", "flat/20261123")
    day = utils.date_to_span_number(2026, 11, 23)
    assert [span.number for span in spans.find("p/{YYYY}/{MM}/{DD}")] == [day - 1, day]
    assert spans.find("flat/{YYYY}{MM}{DD}") == [Span(day, None, "flat/20261123")]


def test_a_width_takes_numbers_with_zeros(folders):
    folders("s[1]/span-01", "s[1]/span-12", "s[1]/span-123")
    assert [span.number for span in spans.find("s[1]/span-{SPAN:2}")] == [1, 12]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("p/{SPAN}", (True, False, False)),
        ("p/{YYYY}/{MM}/{DD}/v{VERSION:2}", (False, True, True)),
        ("{SPAN:3}/x", (True, False, False)),
    ],
)
def test_tfx_takes_the_patterns_that_are_taken_here(pattern, found):
    """And finds the same in them: a span, a date, a version."""
    from tfx.components.example_gen import utils
    from tfx.proto import example_gen_pb2

    spans.check(pattern)
    split = example_gen_pb2.Input.Split(name="all", pattern=pattern)
    assert utils.verify_split_pattern_specs(split) == found


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("p/{span}", r"\{span\} is unknown; there are \{SPAN\}"),
        ("p/{SPAN}/{SPAN}", r"\{SPAN\} may stand there once"),
        ("p/{YYYY}/{MM}", "a day takes all of"),
        ("p/{VERSION}", "needs either"),
        ("p/{SPAN}/{YYYY}{MM}{DD}", "needs either"),
        ("nowhere/span-{SPAN}", "looked for span-{SPAN} in nowhere: there is no such folder"),
        ("there/span-{SPAN}", "in there: no folder looks like it"),
        ("zeros/span-{SPAN}", r"span-01 has no number of that form .* \{SPAN:2\}"),
    ],
)
def test_what_is_wrong_is_said(folders, pattern, reason):
    folders("there", "zeros/span-01")
    with pytest.raises(SpanError, match=reason):
        spans.find(pattern)


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("/data/photos/span-{SPAN}/", ("/data/photos", "span-{SPAN}")),
        ("/data/{YYYY}/{MM}/{DD}/v{VERSION}", ("/data", "{YYYY}/{MM}/{DD}/v{VERSION}")),
        ("gs://bucket/{SPAN}/images", ("gs://bucket", "{SPAN}/images")),
        ("{SPAN}", (".", "{SPAN}")),
        ("/{SPAN}", ("/", "{SPAN}")),
    ],
)
def test_a_pattern_is_divided_at_its_first_brace(pattern, parts):
    assert spans.is_pattern(pattern)
    assert spans.divided(pattern) == parts


def test_other_paths_are_no_patterns():
    assert not spans.is_pattern("photos/{1}")
    assert not spans.is_pattern("tfds:cifar10")


@pytest.fixture
def photos(tmp_path):
    """Makes a span of a few pieces of two photographs; the higher its number, the larger."""

    def make(name: str, side: int):
        write_crops(tmp_path / "photos" / name, 25, side)

    make.pattern = str(tmp_path / "photos" / "span-{SPAN:2}" / "v{VERSION}")
    return make


def ingested(source, to) -> tuple[dict, set]:
    """What the driver decides, and the heights of the images that are then read."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    from components.ingest.component import ImageExampleGen
    from components.ingest.driver import Driver
    from components.ingest.executor import Executor
    from components.validate import facts

    properties = dict(ImageExampleGen(source).exec_properties)
    decided = Driver(None).resolve_exec_properties(properties, None, None)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(to)
    runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    context = BaseBeamExecutor.Context(beam_pipeline_args=[f"--runner={runner}"])
    Executor(context).Do({}, {"examples": [artifact]}, decided)
    return decided, set(facts.read(artifact.uri)["height"])


def test_each_span_of_a_window_is_read_in_its_newest_version(photos, tmp_path):
    photos("span-01/v1", 21)
    photos("span-02/v1", 31)
    photos("span-02/v2", 32)
    newest, *earlier = sources.window(photos.pattern, 2)
    for source, number, version, side in ((newest, 2, 2, 32), (*earlier, 1, 1, 21)):
        decided, heights = ingested(source, tmp_path / f"examples-{number}")
        assert (decided["span"], decided["version"]) == (number, version)
        assert heights == {side}


def test_without_a_number_the_driver_takes_the_newest_span(photos, tmp_path):
    photos("span-01/v1", 21)
    photos("span-02/v1", 31)
    source = replace(sources.resolve(photos.pattern), span=None)
    photos("span-11/v3", 43)
    decided, heights = ingested(source, tmp_path / "examples")
    assert (decided["span"], decided["version"], heights) == (11, 3, {43})


def test_a_window_needs_spans(photos):
    photos("span-01/v1", 21)
    assert len(sources.window(photos.pattern, 5)) == 1
    with pytest.raises(sources.SourceError, match=r"a window of 2 needs data in spans"):
        sources.window("mnist", 2)
