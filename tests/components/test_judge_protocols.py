"""The geometry of the protocols, on cases worked by hand."""

import pytest

from components.judge import protocols
from components.judge.protocols import Sizes, View

# A photograph of 500 x 375 pixels, its shorter side brought to 256.
HEIGHT, WIDTH = 256, 341


def corners(views):
    """Top and left of each view that is not mirrored."""
    return [(view.top, view.left) for view in views if not view.mirrored]


def test_the_centre():
    assert protocols.central_view(HEIGHT, WIDTH, 224) == [View(16, 58, 224, 224)]
    assert protocols.central_view(224, 224, 224) == [View(0, 0, 224, 224)]


def test_ten_views_are_of_the_central_square():
    views = protocols.ten_views(HEIGHT, WIDTH, 224)
    assert len(views) == 10
    # The square of 256 begins at column (341 - 256) // 2 = 42 and leaves 32 pixels to move.
    assert corners(views) == [(0, 42), (0, 74), (32, 42), (32, 74), (16, 58)]
    assert {view[2:4] for view in views} == {(224, 224)}
    # Each view comes with its reflection.
    assert [view._replace(mirrored=True) for view in views[::2]] == views[1::2]


def test_ten_views_of_an_upright_image():
    views = protocols.ten_views(WIDTH, HEIGHT, 224)
    assert corners(views) == [(42, 0), (42, 32), (74, 0), (74, 32), (58, 16)]


def test_144_crops_of_a_wide_image():
    (part,) = protocols.find("144-crop").parts
    scales = part.scales(Sizes.of(224))
    assert scales == (256, 288, 320, 352)
    views = [part.views(scale, scale * 4 // 3, 224) for scale in scales]
    assert [len(of_scale) for of_scale in views] == [36] * 4
    assert all(len(set(of_scale)) == 36 for of_scale in views)

    at_256 = views[0]
    assert corners(at_256) == [
        *[(0, 0), (0, 32), (32, 0), (32, 32), (16, 16), (0, 0)],
        *[(0, 42), (0, 74), (32, 42), (32, 74), (16, 58), (0, 42)],
        *[(0, 85), (0, 117), (32, 85), (32, 117), (16, 101), (0, 85)],
    ]
    squares = [view for view in at_256 if view.height == 256]
    assert [view[:5] for view in squares[::2]] == [
        (0, left, 256, 256, False) for left in (0, 42, 85)
    ]
    assert [view.mirrored for view in at_256] == [False, True] * 18


def test_144_crops_of_an_upright_image_are_top_centre_bottom():
    views = protocols.views_of_three_squares(469, 352, 224)
    assert {(view.top, view.left) for view in views if view.height == 352} == {
        (0, 0),
        (58, 0),
        (117, 0),
    }
    assert max(view.top + view.height for view in views) == 469


def test_150_crops_are_a_grid_of_25_at_three_scales():
    (part,) = protocols.find("150-crop").parts
    views = part.views(HEIGHT, WIDTH, 224)
    assert len(views) * len(part.scales(Sizes.of(224, 384))) == 150
    assert sorted({view.top for view in views}) == [0, 8, 16, 24, 32]
    # 117 pixels to move: 0, 29.25, 58.5, 87.75 and 117.
    assert sorted({view.left for view in views}) == [0, 29, 58, 87, 117]
    assert sum(view.mirrored for view in views) == 25


def test_dense_is_the_whole_image_and_its_reflection():
    assert protocols.whole_views(HEIGHT, WIDTH, 224) == [
        View(0, 0, HEIGHT, WIDTH, False),
        View(0, 0, HEIGHT, WIDTH, True),
    ]


@pytest.mark.parametrize(
    ("name", "side", "resize", "scales"),
    [
        # Simonyan & Zisserman 2014, Table 3: Q = S, or 384 where S was drawn from [256, 512].
        ("dense", 224, 256, (256,)),
        ("dense", 224, [256, 512], (384,)),
        # Table 4: 224,256,288; 352,384,416; 256,384,512.
        ("dense-3-scales", 224, 256, (224, 256, 288)),
        ("dense-3-scales", 224, 384, (352, 384, 416)),
        ("dense-3-scales", 224, [256, 512], (256, 384, 512)),
        # He et al. 2015, section 3.4.
        ("multi-scale", 224, 256, (224, 256, 384, 480, 640)),
        # Sermanet et al. 2014, Tables 2 and 5; the fast net's in proportion.
        ("overfeat-1-scale", 221, 256, (245,)),
        ("overfeat-4-scales", 221, 256, (245, 281, 389, 461)),
        ("overfeat-6-scales", 221, 256, (245, 281, 317, 389, 425, 461)),
        ("overfeat-4-scales", 231, 256, (256, 294, 407, 482)),
        # Smaller networks see smaller images.
        ("multi-scale", 32, None, (32, 37, 55, 69, 91)),
        ("144-crop", 32, None, (37, 41, 46, 50)),
        ("10-crop", 224, None, (256,)),
        ("10-crop", 32, None, (37,)),
        ("centre-crop", 227, 256, (256,)),
    ],
)
def test_scales(name, side, resize, scales):
    assert protocols.find(name).parts[0].scales(Sizes.of(side, resize)) == scales


def test_no_view_leaves_the_image():
    for protocol in protocols.PROTOCOLS.values():
        for part in protocol.parts:
            for scale in part.scales(Sizes.of(24, 40)):
                for height, width in ((scale, scale), (scale, scale * 2), (scale + 7, scale)):
                    for view in part.views(height, width, 24):
                        assert 0 <= view.top <= view.top + view.height <= height
                        assert 0 <= view.left <= view.left + view.width <= width


def test_ensembles_have_names():
    assert protocols.of_ensemble("144-crop", 7) == "7 x 144-crop"
    assert protocols.of_ensemble("144-crop", 1) == "144-crop"
    assert protocols.of_each("7 x 144-crop") == (7, "144-crop")
    assert protocols.of_each("144-crop") == (1, "144-crop")
