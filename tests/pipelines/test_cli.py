import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from pipelines import cli, process
from pipelines.commands.common import status

TREE = Path(__file__).parents[2]
COMMANDS = [
    "list",
    "show",
    "run",
    "judge",
    "papers",
    "serve",
    "predict",
    "evaluate",
    "data",
    "claims",
    "compile",
    "schedule",
    "history",
    "rollback",
]
HEAVY = {"tensorflow", "tfx", "apache_beam", "numpy", "matplotlib", "grpc", "keras", "PIL", "kfp"}

JUDGEMENT = {
    "recipe": "lenet",
    "size": "small",
    "dataset": "mnist",
    "protocol": "1-crop",
    "examples": 10000,
    "metrics": {"error": 0.0087, "top5_error": 0.0001, "cross_entropy": 0.031},
    "labels": list("0123456789"),
    "rows": [
        {
            "id": "lecun1998-lenet5",
            "paper": "LeCun, Bottou, Bengio, Haffner 1998",
            "table": "Figure 9",
            "model": "LeNet-5",
            "data": "mnist",
            "split": "test",
            "protocol": "1-crop",
            "metric": "error",
            "unit": "%",
            "note": "[quoted] note",
            "paper_value": 0.95,
            "ours": 0.87,
            "difference": -0.08,
            "comparable": True,
            "why": "",
        }
    ],
}
INCOMPARABLE = {
    **JUDGEMENT,
    "dataset": "/photos",
    "rows": [
        {
            **JUDGEMENT["rows"][0],
            "comparable": False,
            "why": "other data: the paper's is mnist, ours /photos",
        }
    ],
}


@pytest.fixture
def convnets(monkeypatch, tmp_path):
    """Runs the command line on a wide screen, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments, code=0):
        result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.fixture
def photos(tmp_path):
    for name in ("cat", "dog"):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        (folder / "1.png").touch()
    return tmp_path / "photos"


def remember(root, run_id, judgement=None, **more):
    """Puts a run's summary, and its judgement, where a run leaves them."""
    path = None
    if judgement is not None:
        path = root / "pipelines" / f"{run_id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(judgement))
    summary = {
        "run_id": run_id,
        "recipe": "lenet",
        "size": "small",
        "dataset": "mnist",
        "started": f"2026-11-23T{run_id}",
        "judgement": path and str(path),
        **more,
    }
    (root / "runs").mkdir(parents=True, exist_ok=True)
    (root / "runs" / f"{run_id}.json").write_text(json.dumps(summary))


class TestHelp:
    @pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS)])
    def test_imports_nothing_heavy(self, arguments):
        script = (
            "import sys, atexit\n"
            "from pipelines.cli import main\n"
            "atexit.register(lambda: print('loaded', *sys.modules))\n"
            "main(prog_name='convnets')\n"
        )
        child = subprocess.run(
            [sys.executable, "-c", script, *arguments, "--help"],
            cwd=TREE,
            capture_output=True,
            text=True,
            check=True,
        )
        text, _, loaded = child.stdout.partition("loaded")
        assert text.startswith("Usage: convnets")
        assert HEAVY.isdisjoint(loaded.split())

    def test_names_every_command(self, convnets):
        text = convnets("--help")
        for command in COMMANDS:
            assert f"  {command} " in text

    def test_python_m_pipelines_is_the_same(self):
        child = subprocess.run(
            [sys.executable, "-m", "pipelines", "-h"],
            cwd=TREE,
            capture_output=True,
            text=True,
            check=True,
        )
        assert child.stdout.startswith("Usage: convnets")


@pytest.mark.parametrize("arguments", [["list"], ["judge"], ["papers"]])
def test_tables_need_no_tensorflow(arguments, tmp_path):
    remember(tmp_path, "12:00:00", JUDGEMENT)
    root = ["--root", str(tmp_path)] if arguments[0] in ("judge", "papers") else []
    script = (
        "import sys\n"
        "from pipelines.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "assert not {'tensorflow', 'tfx', 'apache_beam', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, *arguments, *root], cwd=TREE, check=True)


def test_what_a_recipe_cannot_be_set_to_is_told_before_anything_starts(tmp_path):
    script = (
        "import sys, click\n"
        "from pipelines.cli import main\n"
        "for setting in ('model_args.foo=1', 'model=nomod:Net', 'model_args.classifier=rfb'):\n"
        "    try:\n"
        "        main([*sys.argv[1:], '--set', setting], standalone_mode=False)\n"
        "    except click.ClickException as error:\n"
        "        print(error.message)\n"
        "assert not {'tensorflow', 'tfx', 'apache_beam', 'keras'} & set(sys.modules)\n"
    )
    root = tmp_path / "runs"
    ran = subprocess.run(
        [sys.executable, "-c", script, "run", "lenet", "--root", str(root)],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=True,
    )
    of_argument, of_module, of_value = ran.stdout.splitlines()
    assert of_argument.startswith("unknown key 'model_args.foo': known: model_args.")
    assert of_module == "model: there is no module 'nomod'"
    assert of_value == "unknown model_args.classifier 'rfb': did you mean rbf?"
    assert not root.exists()


class TestRecipes:
    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def test_show_needs_no_keras_where_the_network_was_counted_before(self, convnets):
        counted = convnets("show", "lenet", "--layers")
        script = (
            "import sys\n"
            "from pipelines.cli import main\n"
            "main(['show', 'lenet', '--layers'], standalone_mode=False)\n"
            "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
        )
        again = subprocess.run(
            [sys.executable, "-c", script], cwd=TREE, capture_output=True, text=True, check=True
        )
        assert again.stdout == counted

    def test_list(self, convnets):
        text = convnets("list")
        assert "lenet" in text
        assert "mnist" in text
        assert text.index("Gradient-based learning") < text.index("Deep residual learning")
        assert len([line for line in text.splitlines() if "cifar-resnet20 " in line]) == 1

    def test_show_sets_the_published_figures_beside(self, convnets):
        text = convnets("show", "lenet")
        assert "LeNet5" in text
        assert "0.95 %" in text
        assert "0.8 %" in text

    def test_show_with_changes(self, convnets):
        text = convnets("show", "lenet", "--set", "epochs=77", "--size", "paper")
        assert "77" in text
        assert "lenet (paper)" in text

    def test_show_counts_what_the_network_costs(self, convnets):
        lines = [" ".join(line.split()) for line in convnets("show", "lenet").splitlines()]
        start = lines.index("What the network costs, for one picture of 32 x 32 x 1 and 10 classes")
        assert lines[start + 2 : start + 8] == [
            "parameters 60,000",
            "multiply-adds 326,520",
            "connections 340,908",
            "units 6,518",
            "activations 9,128 (0.0365 MB in float32)",
            "a unit of the last maps sees 16 x 16 pixels, in steps of 4",
        ]

    def test_show_layer_by_layer(self, convnets):
        lines = [
            " ".join(line.split()) for line in convnets("show", "lenet", "--layers").splitlines()
        ]
        assert "C1 28x28x6 156 117.6 k 4.704 k 5 /1" in lines
        assert "S2 14x14x6 12 1.176 k 6 /2" in lines
        assert "C1" not in convnets("show", "lenet")

    def test_show_follows_the_changes(self, convnets):
        text = convnets(
            *("show", "lenet", "--set", "model_args.classifier=softmax"),
            *("--set", "preprocess.size=[28, 40]"),
        )
        assert "one picture of 28 x 40 x 1 and 10 classes" in text

    def test_show_sets_the_papers_counts_beside(self, convnets):
        ids = ["lecun1998-lenet5-parameters", "krizhevsky2012-parameters", "lecun1998-lenet5"]
        text = convnets("show", "lenet", "--set", f"benchmarks={json.dumps(ids)}")
        figures, _, counts = text.partition("The papers' own counts")
        assert "Section II.A" not in figures and "0.95 %" not in counts
        lines = [" ".join(line.split()) for line in counts.splitlines()]
        assert any(
            line.startswith("LeNet-5 parameters 60,000 60,000 Section II.A") for line in lines
        )
        assert any(line.startswith("AlexNet parameters 60 M 0.06 M Abstract") for line in lines)
        assert "the paper's network is for imagenet2012" in counts
        assert "own counts" not in convnets("show", "lenet-relu")

    def test_show_says_what_the_network_does_not_take(self, convnets):
        text = convnets("show", "lenet", "--set", "preprocess.size=[8, 8]", code=1)
        assert "at least 16" in text.splitlines()[-1]

    @pytest.mark.parametrize("command", ["show", "run", "judge"])
    def test_unknown_recipe(self, convnets, command):
        text = convnets(command, "lennet", code=1)
        assert text.startswith("Error: unknown recipe 'lennet': did you mean lenet or lenet1")

    @pytest.mark.parametrize("command", ["show", "run"])
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--set", "epoch=3"], ["'epoch'", "epochs"]),
            (["--set", "epochs=three"], ["epochs", "'three'"]),
            (["--size", "smal"], ["'smal'", "small"]),
        ],
    )
    def test_unknown_key_or_size(self, convnets, command, arguments, words):
        text = convnets(command, "lenet", *arguments, code=1)
        assert text.startswith("Error: ")
        assert text.count("\n") == 1
        for word in words:
            assert word in text


class TestRun:
    @pytest.fixture
    def runner(self, stand_in, monkeypatch):
        """Lets `convnets run` start a stand-in."""

        def use(body):
            monkeypatch.setattr(process, "RUNNER", stand_in(body))

        return use

    def test_ends_with_one_screen(self, convnets, runner, tmp_path):
        (tmp_path / "judgement.json").write_text(json.dumps(JUDGEMENT))
        (tmp_path / "verdict.json").write_text('{"line": "spans 2, 1: fit to train on"}')
        runner(
            """
            stages = [
                {"stage": "ImageExampleGen", "state": "cached", "seconds": 0.1},
                {"stage": "ImageExampleGen-span-1", "state": "cached", "seconds": 0.1},
                {"stage": "Trainer", "state": "done", "seconds": 65.0},
            ]
            for each in stages:
                say(event="stage", **each)
            summary(
                stages=stages, blessed=True, why=["accuracy 0.9913 >= 0.97"], dead_letters=3,
                judgement="judgement.json", data_verdict="verdict.json",
                report=str(root / "report/index.html"),
                pushed=str(root / "serving/lenet/173"), version="173",
            )
            """
        )
        text = convnets("run", "lenet")
        lines = [" ".join(line.split()) for line in text.splitlines()]
        assert "ImageExampleGen: cached" in lines
        assert "lenet (small) on mnist, 1 min 15 s" in lines
        assert "ImageExampleGen read the images cached" in lines
        assert "ImageExampleGen-span-1 read the images cached" in lines
        assert "Data spans 2, 1: fit to train on" in lines
        assert "Trainer train 1 min 05 s" in lines
        assert "Blessed: accuracy 0.9913 >= 0.97" in lines
        assert "lenet (small) on 10,000 test images of mnist, protocol 1-crop" in lines
        assert "error 0.87 %, top-5 error 0.01 %, cross-entropy 0.0310 nats" in lines
        assert "LeNet-5, error 0.95 % 0.87 % -0.08 yes" in lines
        assert "Figure 9, [quoted]" in text
        assert "Dead letters 3 images could not be used" in lines
        assert "Report runs/report/index.html" in lines
        assert "Served as lenet, version 173 in runs/serving/lenet/173" in lines
        assert lines[-4:] == [
            "Next",
            "convnets serve",
            "convnets predict IMAGE...",
            "convnets papers",
        ]

    def test_another_root_is_in_what_to_type_next(self, convnets, runner, tmp_path):
        runner('summary(pushed="p", version="1", blessed=True)')
        text = convnets("run", "lenet", "--root", tmp_path / "my runs")
        assert f"convnets serve --root '{tmp_path}/my runs'" in text

    def test_another_model_under_the_name_is_told_before_anything_is_loaded(self, convnets, runner):
        assets = Path("runs/serving/mine/7/assets")
        assets.mkdir(parents=True)
        (assets / "task.json").write_text('{"task": "depth"}')
        (assets.parent / "saved_model.pb").touch()
        runner("summary()")
        text = convnets("run", "lenet", "--name", "mine", code=1)
        assert text.startswith("Error: mine is served and answers another task: depth")
        assert "--name mine-2" in text
        assert not Path("runs/runs").exists()

    def test_of_several_models_predict_is_told_which(self, convnets, runner):
        for name in ("lenet", "lenet-photos"):
            Path("runs/serving", name, "7").mkdir(parents=True)
        runner('summary(pushed="p", version="7", blessed=True, served_name="lenet-photos")')
        text = convnets("run", "lenet")
        assert "convnets predict IMAGE... --model lenet-photos" in text
        assert "Served as  lenet-photos, version 7" in text

    def test_a_refused_model_says_why(self, convnets, runner):
        runner('summary(blessed=False, why=["accuracy 0.5 < 0.97"])')
        text = convnets("run", "lenet")
        assert "Not blessed, so not pushed: accuracy 0.5 < 0.97" in text
        assert "convnets serve" not in text

    def test_the_child_gets_the_recipe_as_asked(self, convnets, runner, photos):
        runner('(root / "request").write_text(json.dumps(request)); summary()')
        convnets(
            *("run", "lenet", "--set", "epochs=3", "--seed", 7, "--size", "paper"),
            *("--data", "photos", "--name", "2024"),
        )
        request = json.loads(Path("runs/request").read_text())
        assert request["root"] == str(Path("runs").absolute())
        assert request["recipe"]["epochs"] == 3
        assert request["recipe"]["seed"] == 7
        assert request["recipe"]["size"] == "paper"
        assert request["recipe"]["served_name"] == "2024"
        assert request["recipe"]["data_origin"] == str(photos)
        assert request["recipe"]["dataset"] == str(photos), "never compared with MNIST's figures"

    @pytest.mark.parametrize(
        ("recipe", "dataset"),
        [("cifar-resnet20", "cifar10"), ("resnet50 --size paper", "tfds:imagenet2012")],
    )
    def test_the_name_of_a_data_set_stays(self, convnets, runner, recipe, dataset):
        runner('(root / "request").write_text(json.dumps(request)); summary()')
        convnets("run", *recipe.split())
        assert json.loads(Path("runs/request").read_text())["recipe"]["dataset"] == dataset

    def test_a_failure_names_stage_error_and_log(self, convnets, runner):
        runner(
            """
            stages = [{"stage": "Trainer", "state": "failed", "seconds": 2.0}]
            say(event="stage", error="loss is not finite [inf]", **stages[0])
            summary(stages=stages, error="loss is not finite [inf]")
            sys.exit(1)
            """
        )
        text = convnets("run", "lenet", code=1)
        assert "Failed in Trainer: loss is not finite [inf]" in text
        (log,) = Path("runs/logs").glob("*.log")
        assert str(log) in text

    def test_a_child_that_dies_early_leaves_its_last_words(self, convnets, runner):
        runner("import no_such_module")
        text = convnets("run", "lenet", code=1)
        assert "No module named 'no_such_module'" in text

    def test_verbose_shows_the_log(self, convnets, runner):
        runner('print("a library speaks"); summary()')
        assert "a library speaks" in convnets("run", "lenet", "--verbose")
        assert "a library speaks" not in convnets("run", "lenet")

    def test_ctrl_c_stops_the_run(self, convnets, runner):
        runner(
            """
            stage("Trainer", "running")
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(600)
            """
        )
        # A shell that starts the tests in the background lets them ignore SIGINT.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            text = convnets("run", "lenet", code=130)
        finally:
            signal.signal(signal.SIGINT, before)
        assert "stopping the run" in text
        assert "the same command goes on" in text

    def test_a_busy_root_is_refused(self, convnets, runner):
        with process.locked(Path("runs")):
            text = convnets("run", "lenet", code=1)
        assert f"process {os.getpid()}" in text

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda folder: None, "no such folder"),
            (lambda folder: (folder / "cat").mkdir(parents=True), "no images"),
            (
                lambda folder: [
                    (folder / "cat").mkdir(parents=True),
                    (folder / "cat/1.png").touch(),
                ],
                "one class only (cat)",
            ),
            (
                lambda folder: [
                    (folder / "labels.csv").parent.mkdir(),
                    (folder / "labels.csv").write_text("file,label\n1.png,cat\n"),
                ],
                "no column path",
            ),
            (
                lambda folder: [
                    (folder / side / "1.png").parent.mkdir(parents=True)
                    or (folder / side / "1.png").touch()
                    for side in ("input", "target")
                ],
                "is data for restoration; needed is classification",
            ),
        ],
    )
    def test_bad_data_is_refused_at_once(self, convnets, make, words):
        make(Path("pictures"))
        text = convnets("run", "lenet", "--data", "pictures", code=1)
        assert words in text
        assert text.count("\n") == 1
        assert not Path("runs").exists()

    def test_a_root_that_is_a_file_is_refused(self, convnets):
        Path("runs").touch()
        assert "runs" in convnets("run", "lenet", code=2)

    def test_in_a_terminal_the_board_is_drawn_and_taken_away(self, stand_in, tmp_path):
        command = stand_in(
            """
            say(event="stages", stages=["Trainer", "Pusher"])
            say(event="starting")
            time.sleep(0.5)
            stage("Trainer", "running")
            time.sleep(0.5)
            stage("Trainer", "done", seconds=1.0)
            summary(stages=[{"stage": "Trainer", "state": "done", "seconds": 1.0}])
            """
        )
        script = (
            "import sys\n"
            "from pipelines import cli, process\n"
            "process.RUNNER = sys.argv[1].split('|')\n"
            "cli.main(['run', 'lenet', '--root', sys.argv[2]])\n"
        )
        arguments = ["|".join(command), str(tmp_path / "root")]
        screen = in_terminal([sys.executable, "-c", script, *arguments])
        assert "starting TFX" in screen
        assert "hand to the server" in screen
        assert "\x1b[?25h" in screen, "the cursor is shown again"
        assert "lenet (small) on mnist" in screen


def test_a_command_that_is_interrupted_ends_as_shells_count_it():
    @click.command()
    def wait():
        signal.raise_signal(signal.SIGINT)

    commands = type(cli.main)("convnets", {"wait": wait})
    # A shell that starts the tests in the background lets them ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = CliRunner().invoke(commands, ["wait"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert (result.exit_code, result.output) == (130, "\nstopped\n")


class TestStatus:
    """What commands say while they load libraries, some of which replace Python's `import`."""

    def test_is_drawn_by_no_thread(self):
        screen = Console(file=io.StringIO(), force_terminal=True, width=80)
        threads = threading.active_count()
        with status(screen, "loading TensorFlow") as say:
            assert threading.active_count() == threads
            assert "loading TensorFlow ..." in screen.file.getvalue()
            say("training")
            assert screen.file.getvalue().endswith("training ...\x1b[0m")
        assert screen.file.getvalue().count("\x1b[?25h") == 1, "the cursor is shown again"

    def test_says_nothing_to_a_pipe(self):
        screen = Console(file=io.StringIO())
        with status(screen, "loading TensorFlow") as say:
            say("training")
        assert screen.file.getvalue() == ""

    def test_no_command_has_rich_draw_in_a_thread(self):
        for path in sorted((TREE / "pipelines").rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            # A run's board is drawn in the parent, which loads no library meanwhile.
            allowed = 1 if path.name == "display.py" else 0
            assert source.count("refresh_per_second") == allowed, path
            assert ".status(" not in source and "rich.progress import" not in source, path


def in_terminal(command):
    """What a program writes to a terminal."""
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    process_ = subprocess.Popen(
        command, cwd=TREE, stdin=child, stdout=child, stderr=child, env=environment
    )
    os.close(child)
    written = b""
    try:
        while chunk := os.read(parent, 4096):
            written += chunk
    except OSError:
        # Linux' way of saying that the terminal's other side is closed.
        pass
    finally:
        os.close(parent)
    assert process_.wait() == 0, written.decode()
    return written.decode()


class TestJudgements:
    def test_nothing_run_yet(self, convnets):
        assert "convnets run lenet" in convnets("judge", code=1)
        assert "no run of lenet" in convnets("judge", "lenet", code=1)

    def test_the_last_judgement_of_the_recipe(self, convnets):
        remember(Path("runs"), "12:00:00", JUDGEMENT)
        remember(Path("runs"), "13:00:00", INCOMPARABLE)
        remember(Path("runs"), "14:00:00", None, error="failed before the judge")
        text = convnets("judge", "lenet")
        assert "on 10,000 test images of /photos" in text
        assert "no: other data" in text
        assert "test images of mnist" not in text

    def test_a_damaged_summary_is_passed_over(self, convnets):
        remember(Path("runs"), "12:00:00", JUDGEMENT)
        Path("runs/runs/broken.json").write_text('{"recipe": "le')
        assert "LeNet-5" in convnets("judge")

    def test_papers_sets_every_figure_beside_what_was_run(self, convnets):
        remember(Path("runs"), "12:00:00", JUDGEMENT)
        remember(Path("runs"), "13:00:00", INCOMPARABLE)
        text = convnets("papers")
        assert "tangent distance" in text
        assert text.count("0.87 %") == 2
        assert "not comparable: other data" in text

    def test_papers_counts_a_cached_judgement_once(self, convnets):
        remember(Path("runs"), "12:00:00", JUDGEMENT)
        same = json.loads(Path("runs/runs/12:00:00.json").read_text())
        same["started"] = "2026-11-23T15:00:00"
        Path("runs/runs/again.json").write_text(json.dumps(same))
        assert convnets("papers").count("0.87 %") == 1

    def test_papers_before_anything_was_run(self, convnets):
        assert "LeNet-5" in convnets("papers")

    def test_a_model_needs_a_recipe_and_images(self, convnets):
        Path("model").mkdir()
        assert "RECIPE" in convnets("judge", "--model", "model", code=2)
        assert "no SavedModel" in convnets("judge", "lenet", "--model", "model", code=1)
        Path("model/saved_model.pb").touch()
        assert "convnets run lenet" in convnets("judge", "lenet", "--model", "model", code=1)


class TestCompile:
    def test_without_kfp_says_what_to_install(self, convnets, monkeypatch):
        monkeypatch.setitem(sys.modules, "kfp", None)
        arguments = ("--output", "lenet.yaml", "--root", "gs://bucket/runs")
        text = convnets("compile", "lenet", *arguments, code=1)
        assert text.startswith("Error: ")
        assert f"pip install -e '{TREE}[kubeflow]'" in text

    def test_a_file_of_another_kind_is_refused(self, convnets):
        text = convnets("compile", "lenet", "--output", "lenet.txt", code=1)
        assert "lenet.txt" in text
        assert ".yaml" in text


def test_tensorboard_starts_without_a_word_of_tensorflows(tmp_path):
    (tmp_path / "pipelines").mkdir()
    command = (sys.executable, "-m", "pipelines", "tensorboard", "--root", str(tmp_path))
    started = subprocess.Popen((*command, "--port", "0"), stderr=subprocess.PIPE, text=True)
    said = []
    for line in started.stderr:
        said.append(line)
        if " at http" in line:
            break
    started.terminate()
    started.communicate()
    assert said[-1].startswith("TensorBoard ")
    assert not any(word in "".join(said) for word in ("external/", "tensorflow/core", "Warning"))
