"""The part of the report about a search."""

import dataclasses
import json

from components import tasks
from components.report import trials

TASK = tasks.find("classification")

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
    section = trials.section(FOUND, TASK)
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
    section = trials.section(FOUND | {"space": {"augment": steps}, "rows": rows}, TASK)
    assert section.tables[0].rows[0][1] == json.dumps([])


def test_a_search_with_one_trial():
    section = trials.section(FOUND | {"rows": FOUND["rows"][1:2]}, TASK)
    assert "1 set of values was chosen at random" in section.explanation


def test_a_task_whose_score_is_better_the_lower_it_is():
    task = dataclasses.replace(TASK, monitor="val_loss", monitor_less_is_better=True)
    section = trials.section({**FOUND, "best": "0"}, task)
    assert "The loss is that on the last fifth" in section.explanation
    assert "Trial 1 has the lowest" in section.explanation
    assert section.pictures[0].title == "Loss by trial"
    assert section.pictures[0].alt.endswith("3 points; the lowest, 0.5, at trial 1")
    (table,) = section.tables
    assert table.columns[-1] == "Loss"
    assert [row[-1] for row in table.rows[:3]] == ["0.5", "0.75", "0.875"]
    metric = tasks.Metric("depth", "distance to the wall", "nats", less_is_better=True)
    task = dataclasses.replace(task, monitor="val_depth", metrics=(metric,))
    section = trials.section(FOUND, task)
    assert section.pictures[0].title == "Distance to the wall by trial, nats"
    assert section.tables[0].rows[0][-1] == "0.5 nats"
