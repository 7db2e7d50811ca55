"""The part of the report about a search."""

import json

from components.report import trials

RATE = "optimizer.learning_rate.warmup_target"
FOUND = {
    "search": "random",
    "best": "1",
    "space": {RATE: {"low": 1e-4, "high": 1e-1, "sampling": "log"}, "model_args.k": ["a", "b"]},
    "rows": [
        {
            "trial": str(number),
            "status": "FAILED" if score is None else "COMPLETED",
            "values": {RATE: rate, "model_args.k": kind},
            "epochs": None if score is None else 3,
            "seconds": None if score is None else 7.4,
            "score": score,
            "error": "the loss is not a finite number after epoch 1" if score is None else None,
        }
        for number, (rate, kind, score) in enumerate(
            [(0.02, "b", 0.5), (0.003, "a", 0.875), (0.09, "b", None), (0.001, "a", 0.75)]
        )
    ],
}


def test_what_is_said_drawn_and_listed():
    section = trials.section(FOUND)
    assert "4 sets of values were chosen at random" in section.explanation
    assert "Trial 2 has the highest" in section.explanation
    assert section.explanation.endswith("1 came to nothing.")
    by_trial, by_rate, by_kind = section.pictures
    assert by_trial.alt.endswith("3 points; the highest, 87.5, at trial 2")
    assert by_rate.title == "Accuracy by warmup_target, %"
    assert by_rate.alt.endswith(f"the highest, 87.5, at {RATE} 0.003")
    assert by_kind.alt.endswith("at model_args.k a")
    assert all(picture.markup.startswith("<svg ") for picture in section.pictures)
    (table,) = section.tables
    assert table.columns == ("Trial", RATE, "model_args.k", "Epochs", "Seconds", "Accuracy")
    assert [row[0] for row in table.rows] == ["2", "4", "1", "3"]
    assert table.rows[0] == ("2", "0.003", "a", "3", "7", "87.50 %")
    assert table.rows[-1] == ("3", "0.09", "b", "", "", FOUND["rows"][2]["error"])


def test_values_that_are_no_numbers():
    steps = [[], [{"step": "flip"}]]
    rows = [row | {"values": {"augment": steps[0]}} for row in FOUND["rows"]]
    section = trials.section(FOUND | {"space": {"augment": steps}, "rows": rows})
    assert section.tables[0].rows[0][1] == json.dumps([])


def test_a_search_with_one_trial():
    section = trials.section(FOUND | {"rows": FOUND["rows"][1:2]})
    assert "1 set of values was chosen at random" in section.explanation
