"""What every task promises the stages: the same modules and functions, which fit its `Task`."""

import inspect
import io
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components import tasks
from components.ingest.contract import as_example
from components.ingest.features import BYTES, FEATURES
from components.ingest.normals import encoded
from components.judge.protocols import PROTOCOLS
from components.judge.results import SCALES
from components.report.evidence import Evidence
from components.tasks import task as described
from components.tasks.task import CLASSES

# By module the functions that stages call, with the names of their parameters. Those of "_" may be
# called anything: they are given by place.
PARTS = {
    "targets": {
        "placed": ("parsed", "settings"),
        "trained": ("parsed", "placed"),
        "fitted": ("targets", "model"),
        "sample": ("count", "size", "classes"),
        "truths": ("features",),
    },
    "answers": {
        "check": ("model", "classes"),
        "served": ("_", "names", "size"),
        "signatures": ("serve", "names"),
        "finish": ("folder",),
    },
    "metrics": {
        "rows": ("answers", "_", "arguments"),
        "figures": ("rows", "arguments"),
        "constant": ("truths", "names", "arguments"),
        "needed": ("_", "level", "arguments"),
        "of_training": ("history", "wanted"),
    },
    "checks": {
        "objections": ("answers", "names"),
        "check": ("answers", "truths", "names"),
    },
    "words": {
        "columns": (),
        "row": ("answer", "names"),
        "draw": ("picture", "answer", "names"),
        "fields": ("names", "top"),
        "values": ("answer", "names", "top"),
    },
    "pictures": {
        "headline": ("evidence",),
        "facts": ("evidence",),
        "curves": ("history",),
        "sections": ("evidence",),
    },
}
NAMES = ("ant", "bee", "cat")


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# And of tasks with classes.
OF_CLASSES = {"targets": {"counts": ("parsed", "classes"), "weights": ("targets", "by_class")}}
# And of those whose answers are not averaged.
OF_LISTS = {"metrics": {"combined": ("answers",)}, "checks": {"apart": ("one", "other")}}
# Of the picture itself, in every example.
OF_EVERY_EXAMPLE = {"image/height", "image/width"}
# Of each task the truths of four examples, as they are stored. A new task has a line here.
STORED = {
    "classification": {"label": np.array([0, 1, 1, 2])},
    "depth": {
        "depth/encoded": np.array(
            [_png(np.full((6, 8), 1000 * far, np.uint16)) for far in (1, 2, 2, 4)]
        )
    },
    "normals": {
        "normals/encoded": np.array(
            [
                _png(encoded(np.full((6, 8, 3), normal)))
                for normal in ((0, 0, -1), (0, -1, 0), (0.6, 0, -0.8), (0, 0, -1))
            ]
        )
    },
    "detection": {
        "objects/bbox": [[0, 0, 1, 0.5], [0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1], [], [0, 0, 0.5, 0.25]],
        "objects/label": [[0], [0, 1], [], [2]],
        "objects/difficult": [[0], [0, 1], [], []],
        "objects/crowd": [[], [0, 0], [], []],
        "objects/area": [[24.0], [12.0, 12.0], [], []],
        "image/height": [6] * 4,
        "image/width": [8] * 4,
    },
    "verification": {
        "same": np.array([0, 1, 1, 0]),
        "fold": np.array([0, 0, 1, 1]),
        "pair/encoded": np.array([_png(np.full((6, 8), shade, np.uint8)) for shade in range(4)]),
    },
}
STORED["depth_normals"] = {**STORED["depth"], **STORED["normals"]}

every_task = pytest.mark.parametrize("task", [*map(tasks.find, tasks.names())], ids=tasks.names())


def answered(task: tasks.Task) -> SimpleNamespace:
    """The task's stored truths, and to each the best answer that takes no look at the picture."""
    metrics, arguments = task.part("metrics"), task.arguments
    truths = task.part("targets").truths(STORED[task.name])
    names = NAMES if task.has_classes else ()
    constant = metrics.constant(iter([truths]), names, arguments)
    answers = {name: np.repeat(value, len(truths), axis=0) for name, value in constant.items()}
    return SimpleNamespace(metrics=metrics, truths=truths, names=names, answers=answers)


def figures(task: tasks.Task, found: SimpleNamespace, answers: Mapping[str, np.ndarray]) -> dict:
    rows = found.metrics.rows(answers, found.truths, task.arguments)
    assert (rows.dtype, rows.ndim) == (np.float64, 2)
    return found.metrics.figures(rows, task.arguments)


@every_task
def test_it_has_the_functions_that_stages_call(task):
    for module, functions in PARTS.items():
        part = task.part(module)
        more = OF_CLASSES.get(module, {}) if task.has_classes else {}
        lists = {} if task.averages else OF_LISTS.get(module, {})
        for name, parameters in {**functions, **more, **lists}.items():
            function = getattr(part, name)
            wanted = f"wanted is {module}.{name}({', '.join(parameters)})"
            given = tuple(inspect.signature(function).parameters)
            assert len(given) == len(parameters), wanted
            for name_wanted, name_given in zip(parameters, given, strict=True):
                assert name_wanted in ("_", name_given), wanted
            assert function.__doc__, f"{module}.{name} has no docstring"


def test_the_functions_that_stages_call_are_told_where_tasks_are_described():
    guide = (Path(__file__).parents[2] / "docs" / "adding-a-task.md").read_text()
    every = (PARTS, OF_CLASSES, OF_LISTS)
    for module, functions in (each for parts in every for each in parts.items()):
        for name in functions:
            assert f"`{name}(" in described.__doc__, f"{module}.{name}"
            assert f"`{name}(" in guide, f"{module}.{name}"


@every_task
def test_a_sample_of_its_targets_is_what_a_training_has(task):
    found = task.part("targets").sample(4, (6, 8), len(NAMES) if task.has_classes else None)
    assert all(each.shape[0] == 4 for each in tf.nest.flatten(found))
    parsed = tf.io.parse_example(_stored(task), task.part("targets").FEATURES)
    settings = {"size": [6, 8], "fit": "stretch"}
    if task.part("targets").MOVES:
        parsed = {name: value[0] for name, value in parsed.items()}
        one = task.part("targets").trained(parsed, task.part("targets").placed(parsed, settings))
        tf.nest.assert_same_structure(found, one)
        for several, each in zip(tf.nest.flatten(found), tf.nest.flatten(one), strict=True):
            # Of ragged targets the first side is open.
            assert several.dtype == each.dtype and several.shape[1:].is_compatible_with(each.shape)
            assert several.shape[1:].is_fully_defined() or isinstance(several, tf.RaggedTensor)
        return
    several = task.part("targets").trained(parsed, {})
    assert (found.dtype, found.shape) == (several.dtype, several.shape)


@every_task
def test_its_classes_are_counted_and_weigh_as_they_are_told_to(task):
    if not task.has_classes:
        return
    targets, names = task.part("targets"), len(NAMES)
    parsed = tf.io.parse_example(_stored(task), targets.FEATURES)
    found = targets.counts(parsed, names).numpy()
    assert found.shape == (names,) and found.dtype == np.int64 and found.sum() >= 4
    sample = targets.sample(4, (6, 8), names)
    weights = targets.weights(sample, tf.range(names, dtype=tf.float32))
    numbers = sample["classes"] if isinstance(sample, Mapping) else sample
    assert weights.dtype == tf.float32
    for mine, given in zip(weights, tf.cast(numbers, tf.float32), strict=True):
        np.testing.assert_array_equal(mine, given)


def _stored(task: tasks.Task, **others: list) -> list[bytes]:
    """The task's stored truths as serialised examples, with other features by name."""
    columns = {**STORED[task.name], **{f"image/{name}": each for name, each in others.items()}}
    rows = (dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True))
    return [as_example(row).SerializeToString() for row in rows]


@every_task
def test_it_is_described_in_the_words_of_the_others(task):
    assert task.name == Path(inspect.getfile(task.part("targets"))).parent.name
    assert set(task.features) <= FEATURES.keys()
    assert set(task.part("targets").FEATURES) <= {*task.features, *OF_EVERY_EXAMPLE}
    assert task.protocols and set(task.protocols) <= PROTOCOLS.keys()
    every = (*task.metrics, *task.blessing)
    assert every and {metric.unit for metric in every} <= SCALES.keys()
    assert len({metric.name for metric in task.metrics}) == len(task.metrics)
    assert len({output.name for output in task.outputs}) == len(task.outputs)
    assert task.measured, "nothing is judged and compared"
    # The mean of lists would be taken over views.
    assert task.averages or not any(PROTOCOLS[name].parts for name in task.protocols)
    assert all(each.shape[-1] in (2, 4) for each in task.outputs if each.is_place)
    for output in task.outputs:
        assert np.dtype("str" if output.dtype == "string" else output.dtype)
        assert task.has_classes or CLASSES not in output.shape
    assert task.served_facts()["task"] == task.name


@every_task
def test_its_inputs_and_its_truths_are_what_stages_take_them_for(task):
    assert len({each.name for each in task.inputs}) == len(task.inputs) > 0
    assert {each.feature for each in task.inputs} <= FEATURES.keys()
    for each in task.inputs:
        assert FEATURES[each.feature].kind == BYTES
        # A stack's length is an argument, and its feature holds several pictures.
        assert bool(each.frames) == FEATURES[each.feature].several
        assert not each.frames or task.arguments[each.frames] > 0
    if not task.one_picture:
        assert not any(PROTOCOLS[name].parts for name in task.protocols)
    if task.one_class:
        assert answered(task).truths.dtype == np.int64 and answered(task).truths.ndim == 1


@every_task
def test_a_constant_answer_has_every_figure(task):
    found = answered(task)
    wanted = {metric.name for metric in (*task.metrics, *task.blessing)}
    assert figures(task, found, found.answers).keys() == wanted
    assert set(found.answers) == set(task.measured)
    task.part("checks").check(found.answers, found.truths, found.names)


@every_task
def test_rows_of_batches_are_put_together(task):
    found = answered(task)
    rows = [
        found.metrics.rows(
            {name: value[part] for name, value in found.answers.items()},
            found.truths[part],
            task.arguments,
        )
        for part in (slice(0, 1), slice(1, 4))
    ]
    of_all = found.metrics.figures(np.concatenate(rows), task.arguments)
    at_once = figures(task, found, found.answers)
    assert list(of_all) == list(at_once)
    # A figure that there is not, None, becomes NaN in both.
    both = (np.array([*each.values()], np.float64) for each in (of_all, at_once))
    np.testing.assert_allclose(*both, rtol=1e-12)


@every_task
def test_no_rows_have_no_figures(task):
    found = answered(task)
    rows = found.metrics.rows(found.answers, found.truths, task.arguments)[:0]
    assert set(found.metrics.figures(rows, task.arguments).values()) == {None}


@every_task
def test_an_answer_that_is_not_a_number_is_never_the_better_one(task):
    found = answered(task)
    strange = {
        name: np.full_like(value, np.nan) if value.dtype.kind == "f" else value
        for name, value in found.answers.items()
    }
    good, bad = figures(task, found, found.answers), figures(task, found, strange)
    for metric in task.blessing:
        assert bad[metric.name] is None or not metric.passes(bad[metric.name], good[metric.name])


@every_task
def test_an_answer_is_shown_under_its_headings(task):
    found, words = answered(task), task.part("words")
    answer = {name: value[0] for name, value in found.answers.items()}
    answer |= {each.name: NAMES[0] for each in task.outputs if each.dtype == "string"}
    row = words.row(answer, found.names)
    assert len(row) == len(words.columns()) and all(isinstance(text, str) for text in row)
    top = 2 if words.RANKED else 1
    fields, values = words.fields(found.names, top), words.values(answer, found.names, top)
    assert len(fields) == len(values) == len(set(fields)) > 0
    assert not {"file", "error"} & set(fields)
    assert all(isinstance(value, (str, np.number)) for value in values)
    for mode in ("RGB", "L"):
        drawn = words.draw(Image.new(mode, (8, 6)), answer, found.names)
        assert drawn.width >= 8 and drawn.height >= 6


@every_task
def test_a_constant_answer_is_never_enough(task):
    found = answered(task)
    rows = found.metrics.rows(found.answers, found.truths, task.arguments)
    figure = found.metrics.figures(rows, task.arguments)[task.blessing[0].name]
    value, text = found.metrics.needed(rows, tasks.LEVEL, task.arguments)
    assert not task.blessing[0].passes(figure, value)
    assert "test " in text and not text.endswith(".")


@every_task
def test_the_report_shows_it(task, tmp_path):
    found, ids = answered(task), ["a", "b", "c", "d"]
    pictures = [_png(np.full((6, 8, 3), shade, np.uint8)) for shade in (0, 80, 160, 240)]
    (tmp_path / "Split-test").mkdir()
    path, options = tmp_path / "Split-test" / "data.gz", tf.io.TFRecordOptions("GZIP")
    with tf.io.TFRecordWriter(str(path), options) as file:
        for record in _stored(task, id=ids, encoded=pictures):
            file.write(record)
    judgement = {
        "metrics": figures(task, found, found.answers),
        "not_finite": 0,
        "labels": list(found.names),
        "examples": len(ids),
    }
    rows = found.metrics.rows(found.answers, found.truths, task.arguments)
    evidence = Evidence(judgement, rows, ids, found.answers, str(tmp_path), [])
    part = task.part("pictures")
    assert part.headline(evidence).figure and part.headline(evidence).words
    assert all(name and text for name, text in part.facts(evidence))
    sections = part.sections(evidence)
    assert sections and all(section.heading and section.markup for section in sections)
    shown = re.findall(r'<img[^>]* src="([^"]*)"', "".join(each.markup for each in sections))
    assert [source for source in shown if not source.startswith("data:image/")] == []


@every_task
def test_what_is_not_averaged_is_combined_and_compared_by_the_task(task):
    if task.averages:
        return
    found = answered(task)
    apart = task.part("checks").apart
    np.testing.assert_array_equal(apart(found.answers, found.answers), np.zeros(4))
    together = found.metrics.combined([found.answers, found.answers])
    assert {name: (each.dtype, each.shape) for name, each in together.items()} == {
        name: (each.dtype, each.shape) for name, each in found.answers.items()
    }
    np.testing.assert_allclose(apart(together, found.answers), np.zeros(4), atol=1e-6)
    assert figures(task, found, together) == figures(task, found, found.answers)
