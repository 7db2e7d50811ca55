"""Video files, written here of photographs that move."""

import functools
import io
import json
import os
import random
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from components.ingest.contract import DeadLetter, Encoding, to_example
from components.ingest.images import ImageError
from components.ingest.readers import decoder, reader
from components.ingest.sources import SourceError, resolve

av = pytest.importorskip("av", reason="the extra video is not installed")

SIZE = WIDTH, HEIGHT = 96, 64
RATE, COUNT = 10, 30
PHOTOS = {"cats": skimage.data.chelsea, "rockets": skimage.data.rocket}


@functools.cache
def photo(name: str) -> Image.Image:
    return Image.fromarray(PHOTOS[name]()).resize((240, 160))


def crop(name: str, number: int) -> np.ndarray:
    """A frame: the photograph moves by three pixels a frame."""
    return np.asarray(photo(name).crop((number * 3, 40, number * 3 + WIDTH, 40 + HEIGHT)))


def written(path: Path, name: str, count: int = COUNT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE, width=WIDTH, height=HEIGHT)
        stream.bit_rate = 4_000_000
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(crop(name, number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def videos(tmp_path) -> Path:
    written(tmp_path / "cats" / "1.mp4", "cats")
    written(tmp_path / "rockets" / "1.avi", "rockets")
    return tmp_path


def loaded(folder: Path) -> tuple[dict, dict]:
    read = reader(resolve(str(folder)))
    pieces = [piece for root in read.roots("all") for piece in read.pieces(root)]
    found = [each for piece in pieces for each in read.load(piece)]
    letters = {each.identifier: each.reason for each in found if isinstance(each, DeadLetter)}
    records = {each.identifier: each for each in found if not isinstance(each, DeadLetter)}
    return records, letters


def test_a_folder_of_videos_per_class(videos):
    source = resolve(str(videos))
    assert (source.kind, source.task) == ("video", "video")
    records, letters = loaded(videos)
    assert letters == {}
    for identifier, name in (("cats/1.mp4", "cats"), ("rockets/1.avi", "rockets")):
        features = to_example(records[identifier], Encoding()).features.feature
        assert features["label"].int64_list.value[0] == sorted(PHOTOS).index(name)
        frames = features["frames/encoded"].bytes_list.value
        # Five a second of three seconds at ten a second: every second frame.
        assert len(frames) == 15
        for number, frame in enumerate(frames):
            assert frame.startswith(b"\xff\xd8")
            difference = np.asarray(Image.open(io.BytesIO(frame))) - crop(name, 2 * number).astype(
                int
            )
            assert np.abs(difference).mean() < 6
        assert features["image/encoded"].bytes_list.value[0] == frames[0]


@pytest.mark.parametrize(
    ("settings", "numbers"),
    [
        ({"frames_per_second": 2, "max_frames": 4}, [0, 5, 10, 15]),
        ({"frames_per_second": 50, "max_frames": 1000}, list(range(COUNT))),
        ({"frames_per_second": 0.5}, [0, 20]),
    ],
)
def test_how_many_frames(videos, settings, numbers):
    (videos / "dataset.json").write_text(json.dumps(settings))
    records, _ = loaded(videos)
    frames = records["cats/1.mp4"].features["frames/encoded"]
    assert len(frames) == len(numbers)
    for frame, number in zip(frames, numbers, strict=True):
        difference = np.asarray(Image.open(io.BytesIO(frame))) - crop("cats", number).astype(int)
        assert np.abs(difference).mean() < 6


def test_the_content_of_the_file_decides_its_side(videos):
    """Not that of a frame: many videos begin in black."""
    (videos / "cats" / "copy.mp4").write_bytes((videos / "cats" / "1.mp4").read_bytes())
    records, _ = loaded(videos)
    hashes = {name: each.features["image/sha256"] for name, each in records.items()}
    assert hashes["cats/1.mp4"] == hashes["cats/copy.mp4"] != hashes["rockets/1.avi"]


def test_files_that_give_no_example(videos):
    whole = (videos / "rockets" / "1.avi").read_bytes()
    (videos / "rockets" / "part.avi").write_bytes(whole[: len(whole) // 2])
    (videos / "cats" / "part.mp4").write_bytes((videos / "cats" / "1.mp4").read_bytes()[:3000])
    (videos / "cats" / "empty.mp4").write_bytes(b"")
    (videos / "cats" / "text.mp4").write_bytes(b"no video at all" * 99)
    (videos / "cats" / "notes.txt").write_text("notes")
    records, letters = loaded(videos)
    assert set(records) == {"cats/1.mp4", "rockets/1.avi"}
    assert letters["rockets/part.avi"].startswith("ends early: ")
    assert "cannot be decoded" in letters["cats/part.mp4"]
    assert "cannot be decoded" in letters["cats/empty.mp4"]
    assert "cannot be decoded" in letters["cats/text.mp4"]
    assert letters["cats/notes.txt"].startswith("no video: .avi, ")


def changed(whole: bytes, seed: int) -> bytes:
    """Some bytes at random places are others."""
    numbers = random.Random(seed)
    content = bytearray(whole)
    for _ in range(numbers.randint(1, 200)):
        content[numbers.randrange(len(content))] = numbers.randrange(256)
    return bytes(content)


def test_damaged_videos_cost_themselves_alone(videos):
    """The frames of three have no decoder: with FFmpeg 8.0 it was a segmentation fault to ask."""
    whole = (videos / "cats" / "1.mp4").read_bytes()
    seeds = (2, 40, 48, 3, 4, 5)
    for seed in seeds:
        (videos / "cats" / f"damaged-{seed}.mp4").write_bytes(changed(whole, seed))
    (videos / "cats" / "z.mp4").write_bytes(whole)
    records, letters = loaded(videos)
    assert {"cats/1.mp4", "rockets/1.avi", "cats/z.mp4"} <= set(records)
    assert len(records) + len(letters) == 3 + len(seeds)
    assert all("the decoder" not in reason for reason in letters.values())


def test_a_decoder_that_dies_is_replaced(videos):
    asked = decoder.Decoder()
    path = str(videos / "cats" / "1.mp4")
    frames = asked.frames(path, Fraction(5), 64)

    class Deadly(Fraction):
        """The process dies when this is asked of it, as it would of a damaged video."""

        def __str__(self) -> str:
            os.kill(asked._process.pid, signal.SIGSEGV)
            return super().__str__()

    with pytest.raises(ImageError, match=r"cannot be decoded: the decoder died of it \(SIGSEGV\)"):
        asked.frames(path, Deadly(5), 64)
    assert asked.frames(path, Fraction(5), 64) == frames


def test_a_decoder_that_stands_still_is_replaced(videos):
    asked = decoder.Decoder()
    path = str(videos / "cats" / "1.mp4")
    frames = asked.frames(path, Fraction(5), 64)
    os.kill(asked._process.pid, signal.SIGSTOP)
    asked.patience_seconds = 0.1
    with pytest.raises(ImageError, match=r"cannot be decoded: the decoder gave nothing for 0.1 s"):
        asked.frames(path, Fraction(5), 64)
    asked.patience_seconds = 60.0
    assert asked.frames(path, Fraction(5), 64) == frames


def test_lists_of_other_files_are_no_videos(videos):
    """FFmpeg would open what they name."""
    other = videos / "rockets" / "1.avi"
    (videos / "cats" / "list.mp4").write_text(f"ffconcat version 1.0\nfile {other.name}\n")
    (videos / "cats" / "stream.mp4").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{other}\n#EXT-X-ENDLIST\n"
    )
    _, letters = loaded(videos)
    assert set(letters) == {"cats/list.mp4", "cats/stream.mp4"}
    assert all("cannot be decoded" in each for each in letters.values())


def test_what_is_no_regular_file(videos):
    os.mkfifo(videos / "cats" / "pipe.mp4")
    (videos / "cats" / "zero.mp4").symlink_to("/dev/zero")
    _, letters = loaded(videos)
    assert letters == {
        f"cats/{name}.mp4": f"cats/{name}.mp4 cannot be read: it is a {kind}, and only regular "
        "files are read"
        for name, kind in (("pipe", "named pipe"), ("zero", "device"))
    }


def test_settings_that_there_are_not(videos):
    (videos / "dataset.json").write_text('{"frames_per_second": 0}')
    with pytest.raises(SourceError, match="frames_per_second: Input should be greater than 0"):
        resolve(str(videos))
    (videos / "dataset.json").write_text('{"fps": 5}')
    with pytest.raises(SourceError, match="unknown key 'fps'; allowed are frames_per_second, max_"):
        resolve(str(videos))
    (videos / "dataset.json").write_text("{")
    with pytest.raises(SourceError, match="no JSON"):
        resolve(str(videos))


def test_one_class(tmp_path):
    written(tmp_path / "cats" / "1.mp4", "cats", 3)
    with pytest.raises(SourceError, match=r"of one class only \(cats\)"):
        resolve(str(tmp_path))


def test_without_the_extra(videos, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SourceError, match=r"reading videos needs pip install -e '.*\[video\]'"):
        resolve(str(videos))
