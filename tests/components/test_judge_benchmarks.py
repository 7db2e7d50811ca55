import subprocess
import sys

import pytest

from components.judge import benchmarks, protocols, results


def test_every_figure_is_whole():
    rows = benchmarks.all_benchmarks().values()
    assert len(rows) >= 40
    for row in rows:
        assert row.unit in results._SCALE, row.id
        assert row.protocol in protocols.PROTOCOLS, row.id
        assert row.metric in results.METRICS, row.id
        assert all((row.paper, row.table, row.model, row.data, row.split)), row.id


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lecun1998-linear", 12.0),
        ("lecun1998-knn-deslant", 2.4),
        ("lecun1998-500-150-distortions", 2.45),
        ("lecun1998-lenet1", 1.7),
        ("lecun1998-lenet5", 0.95),
        ("lecun1998-lenet5-distortions", 0.8),
        ("lecun1998-boosted-lenet4-distortions", 0.7),
        ("lecun1998-boosted-lenet4-distortions-rejected", 0.5),
    ],
)
def test_figures_of_lecun_1998(name, value):
    (row,) = benchmarks.find([name])
    assert (row.value, row.unit, row.data) == (value, "%", "mnist")


def test_what_was_trained_or_tested_differently_says_so():
    for row in benchmarks.all_benchmarks().values():
        if "distortions" in row.id:
            assert "trained with distortions" in row.note
        if "deslant" in row.id:
            assert "deslanted" in row.note


def test_an_unknown_figure_names_the_near_ones():
    with pytest.raises(KeyError, match="did you mean lecun1998-lenet5"):
        benchmarks.find(["lecun1998-lenet5", "lecun1998-lenet-5"])
    with pytest.raises(KeyError, match="no id in the tables is like it"):
        benchmarks.find(["zzz"])


def test_an_unknown_protocol_names_the_near_ones():
    with pytest.raises(KeyError, match=r"'1-crops': did you mean 1-crop\?"):
        protocols.find("1-crops")
    with pytest.raises(KeyError, match="did you mean"):
        protocols.find("zzz")


def _mnist(**changes):
    return {"dataset": "mnist", "size": "small", "full_data": True, **changes}


def _compared(recipe, protocol="1-crop", metrics=None, name="lecun1998-lenet5"):
    (row,) = benchmarks.find([name])
    return results.compare(row, metrics or {"error": 0.0101}, recipe, protocol)


def test_same_data_and_protocol_compare():
    row = _compared(_mnist())
    assert row["comparable"] and row["why"] == ""
    assert row["paper_value"] == 0.95
    assert row["ours"] == pytest.approx(1.01)
    assert row["difference"] == pytest.approx(0.06)
    assert results.row_text(row) == {
        "metric": "error",
        "paper": "0.95 %",
        "ours": "1.01 %",
        "difference": "+0.06",
    }


@pytest.mark.parametrize(
    ("recipe", "protocol", "why"),
    [
        (_mnist(full_data=False), "1-crop", "the small size uses a part of mnist only"),
        ({"dataset": "mnist", "size": "small"}, "1-crop", "uses a part of mnist only"),
        (_mnist(dataset="photos"), "1-crop", "other data: the paper's is mnist, ours photos"),
        (_mnist(), "10-crop", "other protocol: the paper's is 1-crop, ours 10-crop"),
    ],
)
def test_what_does_not_compare_says_why(recipe, protocol, why):
    row = _compared(recipe, protocol)
    assert not row["comparable"]
    assert why in row["why"]


def test_paper_size_compares():
    assert _compared({"dataset": "mnist", "size": "paper"})["comparable"]


def test_a_metric_that_was_not_measured_has_no_difference():
    row = _compared(_mnist(), name="lecun1998-lenet5-train")
    assert (row["ours"], row["difference"], row["comparable"]) == (None, None, False)
    assert row["why"] == "error was not measured on the train split"
    assert results.row_text(row)["ours"] == "–"


def test_judged_table_keeps_rows_of_one_figure_together():
    runs = [
        {
            "recipe": name,
            "size": "small",
            "dataset": "mnist",
            "examples": 10_000,
            "rows": [_compared(_mnist(), name=figure) for figure in figures],
        }
        for name, figures in (
            ("lenet", ["lecun1998-lenet5", "lecun1998-linear"]),
            ("lenet-relu", ["lecun1998-lenet5"]),
        )
    ]
    rows = results.judged_table(runs)
    assert [(row["id"], row["recipe"]) for row in rows] == [
        ("lecun1998-lenet5", "lenet"),
        ("lecun1998-lenet5", "lenet-relu"),
        ("lecun1998-linear", "lenet"),
    ]
    assert rows[0]["examples"] == 10_000
    assert results.judged_table([]) == []


def test_tables_are_read_without_tensorflow():
    """The command line shows them, and has to answer at once."""
    code = (
        "import sys; from components.judge import benchmarks, protocols, results;"
        "from components import progress; benchmarks.all_benchmarks();"
        "heavy = {'tensorflow', 'tfx', 'keras', 'apache_beam', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
