"""Frames of videos: which are shown, what they look like, and what is no video."""

import builtins
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from video_making import grey_video, shade

from eocore.data.io import video_files
from eocore.data.io.readers import image_size, read_scene, scene_header
from eocore.data.io.video_files import VideoFrame, frame_refs, read_frames, sampled_numbers
from eocore.data.records import ImageRef
from eocore.errors import ConfigError, DataError

COUNT = 50
CODEC_ERROR = 3
"""Grey levels that H.264 may be off by."""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av", reason="extra video is not installed")
    return grey_video(tmp_path_factory.mktemp("videos") / "a.mp4", COUNT)


def test_frames_stand_at_even_distances_from_the_first_to_the_last() -> None:
    assert sampled_numbers(50, 5) == [0, 12, 24, 36, 49]
    assert sampled_numbers(3, 32) == [0, 1, 2]
    assert sampled_numbers(50, 1) == [0]
    with pytest.raises(ConfigError, match="0 frames of a video: expected at least 1"):
        sampled_numbers(50, 0)


@pytest.mark.parametrize("count", [1, 2, 7, 32, 64])
def test_each_frame_is_the_one_that_its_number_says(video: Path, count: int) -> None:
    frames = read_frames(video, count)
    assert [frame.number for frame in frames] == sampled_numbers(COUNT, count)
    assert [frame.seconds for frame in frames] == pytest.approx([frame.number / 10 for frame in frames])
    found, expected = [frame.pixels.mean() for frame in frames], [shade(frame.number, COUNT) for frame in frames]
    np.testing.assert_allclose(found, expected, atol=CODEC_ERROR)


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "libx264"), (".avi", "mpeg4"), (".mov", "mpeg4")])
def test_other_containers_are_read_too(tmp_path: Path, video: Path, suffix: str, codec: str) -> None:
    other = grey_video(tmp_path / f"b{suffix}", 20, codec=codec)
    found = [frame.pixels.mean() for frame in read_frames(other, 4)]
    np.testing.assert_allclose(found, [shade(number, 20) for number in (0, 6, 12, 19)], atol=CODEC_ERROR)
    assert [ref.item for ref in frame_refs(ImageRef("rgb", "rgb_uint8", (str(other),)), 4)] == ["1/4", "2/4", "3/4", "4/4"]


def test_a_part_of_a_video_is_named_in_seconds(video: Path) -> None:
    assert [frame.seconds for frame in read_frames(video, 3, between=(2.0, 4.0))] == pytest.approx([2.0, 3.0, 4.0])
    with pytest.raises(DataError, match=r"a\.mp4: no frame from 60 to 70 s; the video ends at 4.9 s"):
        read_frames(video, 3, between=(60.0, 70.0))


def test_large_frames_are_averaged_down_and_too_many_refused(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = grey_video(tmp_path / "large.mp4", 4, size=(540, 2048))
    (frame,) = read_frames(large, 1)
    assert frame.pixels.shape == (270, 1024, 3)
    monkeypatch.setattr(video_files, "MAX_BYTES", 3_000_000)
    with pytest.raises(DataError, match=r"4 frames of 270 x 1024 px take 3,317,760 bytes, at most 3,000,000. Take fewer"):
        read_frames(large, 4)


def test_frames_are_images_of_a_record(video: Path) -> None:
    refs = frame_refs(ImageRef("rgb", "rgb_uint8", (video.name,)), 5, root=video.parent)
    assert [(ref.time, ref.item) for ref in refs] == [(f"frame {number}", f"{number}/5") for number in range(1, 6)]
    scene = read_scene(refs[2], root=video.parent)
    assert (scene.unit, scene.size, scene.time) == ("uint8", (64, 64), "frame 3")
    assert abs(scene.pixels.mean() - shade(24, COUNT)) <= CODEC_ERROR
    header = scene_header(refs[2], root=video.parent)
    assert (header.size, header.bands) == (scene.size, scene.bands) and image_size(refs[0], root=video.parent) == (64, 64)
    part = read_scene(replace(refs[2], window=(0, 0, 8, 16)), root=video.parent)
    assert part.size == (8, 16)
    with pytest.raises(DataError, match=r"a\.mp4 \[6/5\]: expected NUMBER/COUNT"):
        read_scene(replace(refs[0], item="6/5"), root=video.parent)
    with pytest.raises(DataError, match=r"a\.mp4: 50 frames, but its header says 60 or more"):
        read_scene(replace(refs[0], item="1/60"), root=video.parent)


def _text(path: Path) -> None:
    path.write_text("no video")


def _playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")


def _picture(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path, format="png")


@pytest.mark.parametrize("write", [_text, _playlist, _picture])
def test_what_is_no_video_is_refused(tmp_path: Path, video: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "b.mp4")
    with pytest.raises(DataError, match=r"b\.mp4: cannot be read as a video \(.*\); it is damaged, .* kind than \.mp4, .*convert it"):
        read_frames(tmp_path / "b.mp4")


def test_files_that_are_missing_silent_empty_or_cut_short_are_refused(tmp_path: Path, video: Path) -> None:
    import av

    with pytest.raises(DataError, match=r"none\.mp4: there is no such video file"):
        read_frames(tmp_path / "none.mp4")
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(DataError, match=r"sound\.mkv: holds no video, only sound or text"):
        read_frames(tmp_path / "sound.mkv")
    for name, has_sound in (("empty", False), ("heard", True)):
        with av.open(str(tmp_path / f"{name}.mkv"), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.height, stream.width, stream.pix_fmt = 16, 16, "yuv420p"
            if has_sound:
                container.mux(container.add_stream("pcm_s16le", rate=8000, layout="mono").encode(sound))
            container.start_encoding()
        with pytest.raises(DataError, match=rf"{name}\.mkv: the video has no frames; it is empty or cut short"):
            read_frames(tmp_path / f"{name}.mkv")
        with pytest.raises(DataError, match=rf"{name}\.mkv: the video has no frames; it is empty or cut short"):
            VideoFrame(tmp_path / f"{name}.mkv", "1/4")
    whole = grey_video(tmp_path / "whole.mkv", 40, key_every=4)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert len(read_frames(tmp_path / "cut.mkv", 3)) == 3  # what is left of it is a shorter video


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_what_is_left_of_a_video_is_read_with_a_warning(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av", reason="extra video is not installed")
    codec = "libvpx-vp9" if suffix == "webm" else "mpeg4"
    whole = grey_video(tmp_path / f"whole.{suffix}", 40, key_every=4, codec=codec)
    read_frames(whole, 3)
    assert "cut short" not in capsys.readouterr().err
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    read_frames(cut, 3)
    told = capsys.readouterr().err
    assert f"cut.{suffix}: its last frame stands at" in told and "What is there is read" in told


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_frames_are_turned_as_the_file_asks(tmp_path: Path, degrees: int) -> None:
    av = pytest.importorskip("av", reason="extra video is not installed")
    lying = np.zeros((32, 64, 3), np.uint8)
    lying[:16, :32] = 255  # the upper left quarter is white
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 64, "yuv420p"
        stream.set_display_rotation(degrees)  # counter-clockwise, as FFmpeg's av_display_rotation_get
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(lying, format="rgb24")))
        container.mux(stream.encode())
    upright = np.rot90(lying, degrees // 90)
    refs = frame_refs(ImageRef("rgb", "rgb_uint8", ("a.mp4",)), 2, root=tmp_path)
    assert image_size(refs[1], root=tmp_path) == upright.shape[:2]
    for pixels in (read_frames(tmp_path / "a.mp4", 2)[1].pixels, read_scene(refs[1], root=tmp_path).pixels.transpose(1, 2, 0)):
        assert pixels.shape == upright.shape
        assert ((pixels > 127) == (upright > 127)).mean() > 0.95


def test_without_pyav_the_extra_is_named(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ConfigError, match=r"videos need PyAV. Install the extra: pip install 'eocore-earthmind\[video\]'"):
        read_frames(video)
