"""What the other stages hear of a recipe's augmentation."""

import json

import pytest

from components.ingest.sources import Source
from pipelines import build, recipes
from pipelines.paths import Paths

# The paper's steps, by recipe.
PUBLISHED = {
    "alexnet": ["flip", "pca_colour"],
    "zfnet": ["corner_crop", "flip"],
    "overfeat": ["flip"],
    "vgg16": ["scale_jitter", "flip", "pca_colour"],
    "googlenet": ["area_aspect", "flip", "photometric"],
    "bn-x5": ["area_aspect", "flip", "photometric"],
    "prelu-net": ["scale_jitter", "flip", "pca_colour"],
    "resnet50": ["scale_jitter", "flip", "pca_colour"],
    "ciresan-mnist": ["affine", "elastic"],
    "cifar-resnet20": ["pad", "flip"],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_papers_steps(name):
    recipe = recipes.find(name, "paper")
    assert [step["step"] for step in recipe.augment] == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "resize", "axes"),
    [("vgg16", [256, 512], True), ("resnet50", 256, True), ("googlenet", 256, False)],
)
def test_judge_and_transform_hear_of_it(name, resize, axes, tmp_path):
    """VGG is tested in the middle of its scales, and at all of them; the others at 256."""
    recipe = recipes.find(name, "paper")
    source = Source("folder", str(tmp_path), (("all", "*/*"),))
    pipeline = build.create_pipeline(recipe, source, Paths(str(tmp_path)))
    nodes = {component.id: component for component in pipeline.components}
    judged = json.loads(nodes["Judge"].exec_properties["recipe"])
    assert judged["preprocess"]["resize"] == resize
    config = json.loads(nodes["Transform"].exec_properties["custom_config"])
    assert config.get("axes", False) == axes
    assert "transform_graph" in nodes["Report"].inputs
