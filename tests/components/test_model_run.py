"""Networks too deep for Python's usual limit of calls: those of 1202 layers are read and served."""

import gc
import json
import tempfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from components import model_run
from components.train.signatures import ServingModule
from keras_models.classification.building import recursion


@pytest.fixture(scope="module")
def deep() -> keras.Model:
    x = image = keras.Input((2, 2, 1))
    for _ in range(1_100):
        x = keras.layers.Activation("linear")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    with recursion():
        return keras.Model(image, keras.layers.Dense(2)(x))


def test_a_very_deep_network_is_read(deep, tmp_path):
    deep.save(tmp_path / "model.keras")
    recipe = {"model": "keras_models.classification:CifarResNet"}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    read = model_run.network(str(tmp_path))
    assert len(read.layers) == len(deep.layers)
    assert read.count_params() == deep.count_params()


def test_a_very_deep_network_is_served_with_its_features(deep, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    transform = SimpleNamespace(transform_features_layer=lambda: SimpleNamespace(call=None))
    recipe = {
        "task": "classification",
        "features": ["pool"],
        "fully_convolutional": False,
        "preprocess": {"size": [2, 2]},
    }
    recipe["ingest"] = {"shorter_side": None, "format": "keep", "quality": 95}
    with pytest.raises(RecursionError):
        keras.Model(deep.input, deep.output)
    served = ServingModule(deep, transform, np.zeros((2, 2, 1), "float32"), ["no", "yes"], recipe)
    (labels,) = tmp_path.glob("*/labels.txt")
    assert labels.read_text() == "no\nyes\n"
    del served
    gc.collect()
    assert list(tmp_path.iterdir()) == [], "nothing temporary is left"
