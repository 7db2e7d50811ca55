"""Every family of networks on the whole road, with a few steps on a few real images."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from pipelines import recipes, run_local
from pipelines.run_local import STAGES

PHOTOS = {"cat": skimage.data.chelsea, "coffee": skimage.data.coffee}
FAMILIES = [
    ("lenet1", "small", ()),
    ("ciresan-signs", "small", ()),
    ("dropconnect-cifar10", "small", ()),
    ("stochastic-pooling", "small", ()),
    ("alexnet", "small", ()),
    # The published size takes days: its net and its protocol on smaller views.
    (
        "alexnet",
        "paper",
        ("preprocess.size=[64,64]", "preprocess.resize=73", "model_args.units=16"),
    ),
    ("zfnet", "small", ()),
    ("vgg16", "small", ()),
    (
        "vgg16",
        "paper",
        (
            "preprocess.size=[32,32]",
            "preprocess.resize=37",
            "model_args.units=16",
            "model_args.width=0.1",
        ),
    ),
    ("googlenet", "small", ()),
    ("bn-x5", "small", ()),
    ("prelu-net", "small", ()),
    ("cifar-resnet20", "small", ()),
    ("resnet18", "small", ()),
    ("highway-mnist", "small", ()),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder per class of crops of two photographs."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name, load in PHOTOS.items():
        (folder / name).mkdir()
        photo = load()
        for number in range(30):
            top, left = (random.integers(0, length - 80) for length in photo.shape[:2])
            crop = Image.fromarray(photo[top : top + 80, left : left + 80])
            crop.save(folder / name / f"{number:02d}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "changes"), FAMILIES, ids=[f"{name}-{size}" for name, size, _ in FAMILIES]
)
def test_it_trains_is_judged_and_pushed(name, size, changes, photos, tmp_path):
    recipe = recipes.find(name, size).on_data(str(photos))
    few = ("epochs=1", "batch_size=8", "steps_per_execution=1", "distorted_copies=0")
    recipe = recipe.override([*few, *changes])
    request = {"run_id": "few", "recipe": json.loads(recipe.to_json()), "root": str(tmp_path)}
    (tmp_path / "request.json").write_text(json.dumps(request))
    code = run_local.main(str(tmp_path / "request.json"))
    run = json.loads((tmp_path / "runs" / "few.json").read_text())
    assert (code, run["error"]) == (0, None)
    assert {entry["stage"]: entry["state"] for entry in run["stages"]} == dict.fromkeys(
        STAGES, "done"
    )
    judgement = json.loads(Path(run["judgement"]).read_text())
    assert judgement["protocol"] == recipe.protocol
    assert not any(row["comparable"] for row in judgement["rows"])
    assert (Path(run["pushed"]) / "saved_model.pb").exists()
