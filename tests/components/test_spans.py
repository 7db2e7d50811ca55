"""Spans in real folders."""

import pytest

from components.ingest import spans
from components.ingest.spans import Span, SpanError


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


@pytest.mark.parametrize("pattern", ["p/{SPAN}", "p/{YYYY}/{MM}/{DD}/v{VERSION:2}", "{SPAN:3}/x"])
def test_tfx_takes_the_patterns_that_are_taken_here(pattern):
    from tfx.components.example_gen import utils
    from tfx.proto import example_gen_pb2

    spans.check(pattern)
    utils.verify_split_pattern_specs(example_gen_pb2.Input.Split(name="all", pattern=pattern))


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
