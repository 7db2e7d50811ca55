import io

import pytest
from rich.console import Console

from pipelines.console import display

STAGES = ["ImageExampleGen", "Trainer", "Pusher"]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def board(clock):
    board = display.Board(clock)
    board.take({"event": "stages", "stages": STAGES})
    return board


def console(terminal=False, width=100):
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, markup=False, highlight=False
    )


def drawn(renderable, width=100):
    output = console(width=width)
    output.print(renderable)
    return [" ".join(line.split()) for line in output.file.getvalue().splitlines()]


def stage(name, state, **more):
    return {"event": "stage", "stage": name, "state": state, **more}


def progress(name, done, total, text=""):
    return {"event": "progress", "stage": name, "done": done, "total": total, "text": text}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations(seconds, text):
    assert display.duration(seconds) == text


def test_says_that_tfx_starts_until_a_stage_does(board, clock):
    clock.now = 12.0
    assert "looking for what has changed" in drawn(board)[0]
    board.take({"event": "starting"})
    assert "starting TFX" in drawn(board)[0]
    assert "12 s" in drawn(board)[0]
    board.take({"event": "starting", "text": "ImageNet weights"})
    assert "ImageNet weights" in drawn(board)[0]
    board.take(stage("ImageExampleGen", "running"))
    assert not any("starting" in line for line in drawn(board))


def test_a_line_a_stage(board, clock):
    board.take(stage("ImageExampleGen", "cached", seconds=0.2))
    board.take(stage("Trainer", "running"))
    board.take(progress("Trainer", 3, 12, "epoch 3 of 12, accuracy 0.98"))
    clock.now = 65.0
    first, second, third = drawn(board)
    assert first == "✓ ImageExampleGen read the images cached"
    assert "Trainer" in second
    assert "━" in second
    assert second.endswith("1 min 05 s epoch 3 of 12, accuracy 0.98")
    assert third == "· Pusher hand to the server"
    board.take(stage("Trainer", "done", seconds=70))
    board.take(stage("Pusher", "failed", seconds=1, error="disk full"))
    _, second, third = drawn(board)
    assert second == "✓ Trainer train 1 min 10 s"
    assert third == "✗ Pusher hand to the server 1.0 s"


def test_a_failure_before_any_stage_is_no_stages(board):
    board.take({"event": "starting"})
    board.take({"event": "failed", "error": "no such network"})
    *stages, last = drawn(board)
    assert last == "✗ the run failed"
    assert [line[0] for line in stages] == ["·"] * len(STAGES)


def test_a_failure_before_any_stage_in_plain_lines(board):
    output = console()
    with display.watching(output, board) as on_event:
        on_event({"event": "failed", "error": "no such network"})
    assert output.file.getvalue() == "the run failed\n"


def test_progress_without_a_total_shows_its_number_and_no_bar(board, clock):
    board.take(stage("ImageExampleGen", "running"))
    board.take(progress("ImageExampleGen", 5000, 0, "images"))
    clock.now = 2.0
    assert drawn(board)[0].endswith("read the images 2.0 s 5,000 images")


def test_brackets_in_texts_are_only_brackets(board):
    board.take(stage("Trainer", "running"))
    board.take(progress("Trainer", 1, 2, "[red]loss[/red] [/]"))
    assert "[red]loss[/red] [/]" in drawn(board)[1]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_gets_a_line_a_stage_still(board, width):
    board.take(stage("Trainer", "running"))
    board.take(progress("Trainer", 1, 2, "x" * 200))
    assert len(drawn(board, width)) == len(STAGES)


def test_stages_that_were_not_announced_are_shown(board):
    board.take(stage("Tuner", "done", seconds=3))
    assert drawn(board)[-1] == "✓ Tuner search hyperparameters 3.0 s"


def test_unknown_events_are_passed_over(board):
    assert board.take({"event": "weather", "sun": True}) is None


def test_a_pipe_gets_plain_lines_as_stages_end(board, clock):
    output = console()
    with display.watching(output, board) as on_event:
        on_event({"event": "starting"})
        on_event(stage("ImageExampleGen", "running"))
        on_event(stage("ImageExampleGen", "cached", seconds=0.1))
        on_event(stage("Trainer", "running"))
        for epoch in range(1, 7):
            clock.now += 6.0
            on_event(progress("Trainer", epoch, 6, f"epoch {epoch} of 6"))
        on_event(stage("Trainer", "done", seconds=36.0))
        on_event(progress("Trainer", 6, 6, "late"))
        on_event(stage("Pusher", "failed", seconds=0.5, error="disk full"))
        on_event({"event": "stopping"})
    text = output.file.getvalue()
    assert "\x1b" not in text
    assert text.splitlines() == [
        "starting TFX, some ten seconds",
        "ImageExampleGen: cached",
        "Trainer: epoch 4 of 6",
        "Trainer: done, 36 s",
        "Pusher: failed, 0.5 s",
        "stopping the run; press Ctrl-C again to end it at once",
    ]


def test_what_is_answered_at_once_says_nothing_of_a_start(board):
    output = console()
    with display.watching(output, board) as on_event:
        on_event(stage("ImageExampleGen", "cached"))
    assert output.file.getvalue() == "ImageExampleGen: cached\n"


def test_a_terminal_is_left_clean(board):
    output = console(terminal=True)
    with display.watching(output, board) as on_event:
        on_event(stage("Trainer", "running"))
    text = output.file.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor is shown again"
