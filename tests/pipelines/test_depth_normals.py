"""One network for depths and normals: from rendered rooms to what is served, by the command."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components import tasks
from components.ingest.rooms import rendering
from components.ingest.rooms.settings import Rooms

NAME, DATA = "eigen-depth-normals", "rooms:train=40,test=6"
SETTINGS = ("epochs=2", "batch_size=8", "model_args.width=0.125", "model_args.units=16")
# So few pictures teach nothing: whatever comes of them is pushed.
SETTINGS += ("thresholds.chance=null",)


@pytest.mark.slow
def test_it_is_trained_judged_and_served_with_both(tmp_path):
    arguments = ["run", NAME, "--data", DATA, "--root", str(tmp_path)]
    arguments += [each for setting in SETTINGS for each in ("--set", setting)]
    command = [sys.executable, "-m", "pipelines", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (summary,) = (json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*-2*.json"))
    task = tasks.find("depth_normals")

    judgement = json.loads(Path(summary["judgement"]).read_text())
    names = {metric.name for metric in task.metrics}
    assert {"abs_rel", "angle_mean"} < names == set(judgement["metrics"])
    assert None not in judgement["metrics"].values() and judgement["not_finite"] == 0
    assert set(judgement["constant"]) == names
    report = Path(summary["report"]).read_text()
    assert "absolute relative error and mean angle to the true normals over all" in report
    assert report.count(", depth</h3>") == report.count(", normals</h3>") == 6

    history = json.loads((Path(summary["model_run"]) / "history.json").read_text())
    assert all({"depth_loss", "normals_loss"} <= epoch.keys() for epoch in history)

    import tensorflow as tf

    serve = tf.saved_model.load(summary["pushed"]).signatures["serving_default"]
    seen = rendering.picture(Rooms(), "test", 0).image
    answer = {name: each.numpy() for name, each in serve(tf.io.encode_png(seen)[None]).items()}
    assert {name: each.shape for name, each in answer.items()} == {
        "depth": (1, 60, 80),
        "normals": (1, 60, 80, 3),
    }
    assert (answer["depth"] > 0).all()
    np.testing.assert_allclose(np.linalg.norm(answer["normals"], axis=-1), 1, atol=1e-5)
