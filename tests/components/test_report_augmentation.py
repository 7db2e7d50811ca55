import base64
import io
import re

import numpy as np
from PIL import Image

from components.report import augmentation

RECIPE = {
    "task": "classification",
    "seed": 3,
    "augment": [{"step": "area_aspect"}, {"step": "pca_colour", "std": 0.1}],
}


def pixels_of(picture) -> np.ndarray:
    (content,) = re.findall(r"base64,([^\"]+)", picture.markup)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_a_row_an_image_with_what_the_network_saw(photographs):
    recipe = {**RECIPE, "preprocess": photographs.preprocess}
    picture = augmentation.contact_sheet(photographs.examples, photographs.graph, recipe)
    assert picture.alt == (
        "6 training images and 6 views of each as the training draws them: area aspect, pca colour"
    )
    sheet = pixels_of(picture)
    # Stored images of 28 x 28, and views of 24 x 24, three times as large.
    cell, gap = 84, 6
    assert sheet.shape == (6 * (cell + gap) - gap, 7 * (cell + gap) + gap, 4)
    stored, _ = photographs.images.arrays
    for row, image in enumerate(stored.numpy()[:6]):
        shown = sheet[row * (cell + gap) : row * (cell + gap) + cell, :cell]
        np.testing.assert_array_equal(shown[1::3, 1::3, :3], image)
        views = [
            sheet[row * (cell + gap) + 6 :, left + 6 :][:72, :72]
            for left in range(cell + 3 * gap, 7 * (cell + gap), cell + gap)
        ]
        assert all((view[..., 3] == 255).all() for view in views)
        assert len({view.tobytes() for view in views}) == 6
    again = augmentation.contact_sheet(photographs.examples, photographs.graph, recipe)
    assert again.markup == picture.markup


def test_grey_images(mnist_examples, transformed):
    graph = transformed["none"].transform_savedmodel_dir.rsplit("/", 1)[0]
    settings = {"size": [32, 32], "channels": 1, "fit": "pad"}
    recipe = {**RECIPE, "preprocess": settings, "augment": [{"step": "affine", "rotate": 20.0}]}
    sheet = pixels_of(augmentation.contact_sheet(mnist_examples, graph, recipe))
    assert sheet.shape[0] == 6 * 102 - 6
    assert (sheet[..., 0] == sheet[..., 2]).all()
    plain = {**recipe, "augment": []}
    assert augmentation.contact_sheet(mnist_examples, graph, plain) is None
