"""Perceptual hashes of real photographs and digits."""

import importlib.resources
import io
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from components.ingest import idx, likeness

PHOTOS = ("chelsea", "coffee", "astronaut", "rocket", "camera", "coins")


def photo(name: str) -> np.ndarray:
    return getattr(skimage.data, name)()


def as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def scaled(pixels: np.ndarray, factor: float) -> np.ndarray:
    size = [round(side * factor) for side in pixels.shape[1::-1]]
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def apart(first: np.ndarray, second: np.ndarray) -> int:
    hashes = (likeness.perceptual_hash(pixels) for pixels in (first, second))
    return bin(next(hashes) ^ next(hashes)).count("1")


@pytest.fixture(scope="module")
def digits() -> dict[str, np.ndarray]:
    folder = Path(str(importlib.resources.files("convnets_data"))) / "mnist"
    splits = {"train": "train-*", "test": "t10k-*"}
    return {split: idx.read_split(folder, pattern)[0][:2000] for split, pattern in splits.items()}


@pytest.mark.parametrize("name", PHOTOS)
def test_a_photograph_stored_anew_keeps_its_hash(name):
    original = photo(name)
    assert apart(original, as_jpeg(original, 40)) <= 4
    assert apart(original, scaled(original, 0.4)) <= 4
    assert apart(original, np.clip(original * 1.1, 0, 255).astype(np.uint8)) <= 4


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("suffix", ["PNG", "JPEG"])
def test_a_file_is_looked_at_as_its_pixels_are(name, suffix):
    pixels = photo(name)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, suffix)
    found, brightness = likeness.look(file.getvalue())
    assert bin(found ^ likeness.perceptual_hash(pixels)).count("1") <= 8
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    assert brightness == pytest.approx(grey.mean(), abs=1.0)


def test_other_photographs_and_digits_lie_far_apart(digits):
    hashes = [likeness.perceptual_hash(photo(name)) for name in PHOTOS]
    assert likeness.near_duplicates(hashes[:3], hashes[3:]) == []
    train, test = (list(map(likeness.perceptual_hash, digits[split])) for split in digits)
    assert len(likeness.near_duplicates(test, train)) <= 1


def test_the_hash_is_that_of_the_cosine_transform_as_scipy_has_it():
    from scipy.fft import dctn

    grey = photo("camera")
    grid = grey.reshape(32, 16, 32, 16).mean(axis=(1, 3))
    low = dctn(grid)[:16, :16].ravel()
    bits = np.packbits(low > np.median(low)).tobytes()
    assert likeness.perceptual_hash(grey) == int.from_bytes(bits, "big")


def test_grey_and_colour_and_small_images_have_hashes():
    grey = photo("camera")
    colour = np.repeat(grey[..., None], 3, axis=2)
    assert apart(grey, colour) <= 2
    assert likeness.perceptual_hash(grey[..., None]) == likeness.perceptual_hash(grey)
    assert likeness.perceptual_hash(np.zeros((1, 1), np.uint8)) == 0
    # A plain area has but its mean.
    assert bin(likeness.perceptual_hash(np.full((7, 300), 90, np.uint8))).count("1") == 1


@pytest.mark.parametrize("shape", [(4,), (4, 4, 2), (0, 4), (2, 4, 4, 3)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match=r"\[H, W\] or \[H, W, 3\]"):
        likeness.perceptual_hash(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("distance", [0, 6, likeness.NEAR])
def test_the_search_finds_what_comparing_all_with_all_finds(digits, distance):
    random = np.random.default_rng(0)
    train = [likeness.perceptual_hash(pixels) for pixels in digits["train"]]
    test = [likeness.perceptual_hash(pixels) for pixels in digits["test"][:100]]
    for number, place in enumerate(random.integers(len(train), size=60)):
        turned = random.choice(256, size=number % 20, replace=False)
        test.append(train[place] ^ sum(1 << int(bit) for bit in turned))
    found = likeness.near_duplicates(test, train, distance)
    least = [min(bin(value ^ other).count("1") for other in train) for value in test]
    expected = [(place, bits) for place, bits in enumerate(least) if bits <= distance]
    assert [(place, bits) for place, _, bits in found] == expected
    assert all(bin(test[a] ^ train[b]).count("1") == bits for a, b, bits in found)


def test_many_equal_images_are_each_found():
    assert likeness.near_duplicates([5, 5, 1 << 200], [9 << 100, 5, 5]) == [
        (0, 1, 0),
        (1, 1, 0),
        (2, 0, 3),
    ]
    assert likeness.near_duplicates([], [1]) == likeness.near_duplicates([1], []) == []


def test_a_distance_that_the_search_would_miss_is_refused():
    with pytest.raises(ValueError, match="0 to 15 bits, not 16"):
        likeness.near_duplicates([1], [1], 16)
