"""Files of several moments: dates given or in the names, pairs, and series that are refused."""

from pathlib import Path

import pytest
from image_making import numbers, write_tif
from video_making import grey_video, shade

from eocore.data.io import video_files
from eocore.errors import ConfigError, DataError
from eocore.predict.series_files import find_pair, find_series, read_series, read_video

DAYS = ("2021-03-04", "2021-06-01")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s2").mkdir()
    for day, name in zip(DAYS, ("T32_20210304T101500", "T32_20210601T101500"), strict=True):
        write_tif(tmp_path / "s2" / f"{name}.tif", numbers(12, "uint16"))
        write_tif(tmp_path / f"sar_{day}.tif", numbers(2, "float32"))
    return tmp_path


def test_dates_are_read_from_the_names_of_a_folder(folder: Path) -> None:
    found = find_series([str(folder / "s2")], [], options={})
    assert [(one.input, one.time) for one in found] == [("optical", day) for day in DAYS]
    assert list(read_series(found)) == [f"multispectral {day}" for day in DAYS]


def test_several_inputs_are_put_in_the_order_of_their_dates(folder: Path) -> None:
    sar = [f"sar={folder}/sar_{day}.tif" for day in DAYS]
    scenes = read_series(find_series([str(folder / "s2"), *sar], [], options={}))
    assert list(scenes) == [f"{role} {day}" for day in DAYS for role in ("multispectral", "sar")]
    assert [scene.time for scene in scenes.values()] == [DAYS[0]] * 2 + [DAYS[1]] * 2


def test_given_dates_count(folder: Path) -> None:
    found = find_series([str(folder / "s2")], ["2020-01-01", "2020-02-01"], options={})
    assert [one.time for one in found] == ["2020-01-01", "2020-02-01"]


def test_dates_other_than_those_of_the_names_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find_series([str(folder / "s2")], list(DAYS), options={})
    assert "--dates" not in capsys.readouterr().err
    (folder / "s2" / "T32_20210601T101500.tif").rename(folder / "s2" / "T31_20210601T101500.tif")  # comes first by its name now
    find_series([str(folder / "s2")], list(DAYS), options={})
    told = "2 of 2 files have another date in their names (T31_20210601T101500.tif is given 2021-03-04, T32_20210304T101500.tif is given"
    assert told in capsys.readouterr().err
    sar = [f"sar={folder}/sar_{day}.tif" for day in DAYS]
    find_pair(sar[:1], sar[1:], dates=["2021-03-04T10:00:00Z", "20210602"], options={})
    assert f"1 of 2 files have another date in their names (sar_{DAYS[1]}.tif is given 20210602)" in capsys.readouterr().err


def test_names_with_several_dates_say_which_is_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("S2A_MSIL2A_20210304T101500_N0500_20210305T101500.tif", "mean_20210401_20210430.tif", "a_20210601_2021-06-01.tif")
    paths = [write_tif(folder / name, numbers(12, "uint16")) for name in names]
    assert [one.time for one in find_series(paths, [], options={})] == ["2021-03-04", "2021-04-01", "2021-06-01"]
    told = "names of 1 of 3 files hold several dates, of which the first is taken: mean_20210401_20210430.tif is taken for an image of"
    assert f"{told} 2021-04-01" in capsys.readouterr().err
    find_series(paths, ["2021-03-05", "2021-04-30", "2021-06-01"], options={})
    assert capsys.readouterr().err == ""


def test_parts_of_a_date_may_stand_apart(folder: Path) -> None:
    paths = [write_tif(folder / name, numbers(12, "uint16")) for name in ("a_2021-03-04.tif", "a_2021_06_01.tif", "20210815.tif")]
    assert [one.time for one in find_series(paths, [], options={})] == [*DAYS, "2021-08-15"]


def test_a_file_that_is_given_twice_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (f"sar={folder}/sar_{day}.tif" for day in DAYS)
    read_series(find_pair([first], [second], dates=[], options={}))
    assert "is given" not in capsys.readouterr().err
    read_series(find_pair([first], [first], dates=[], options={}))
    assert f"sar_{DAYS[0]}.tif is given 2 times (sar before, sar after): the model sees no change" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dates", "error", "message"),
    [
        (["2020-01-01"], ConfigError, r"--dates: 1 date for 2 images \(T32_20210304T101500.tif, .*Give one for each"),
        (["2020-01-01", "May"], ConfigError, r"--dates May: expected ISO 8601 dates"),
        (["2020-01-01", "2020-01-01"], DataError, r"2 images of 1 date; a series has at least two"),
        (["2020-02-01", "2020-01-01"], DataError, r"--series, optical images: 2020-01-01 is earlier than the image before it"),
    ],
)
def test_dates_that_do_not_fit_are_refused(folder: Path, dates: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find_series([str(folder / "s2")], dates, options={})


def test_files_without_dates_and_empty_folders_are_refused(folder: Path) -> None:
    path = write_tif(folder / "image.tif", numbers(12, "uint16"))
    with pytest.raises(ConfigError, match=r"image.tif: its name holds no date.*Give --dates"):
        find_series([path], [], options={})
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no image files or product folders"):
        find_series([str(folder / "empty")], [], options={})
    with pytest.raises(ConfigError, match=r"ser=x.tif: expected \[INPUT=\]PATH.*Did you mean 'sar'\?"):
        find_series(["ser=x.tif"], [], options={})
    with pytest.raises(ConfigError, match=r"sar=: expected \[INPUT=\]PATH, with INPUT one of [a-z, ]+\.$"):
        find_series(["sar="], [], options={})


@pytest.mark.parametrize("dates", [[], ["2020-01-01", "2020-02-01"]])
def test_what_is_not_there_is_said_before_dates_are_asked_for(folder: Path, dates: list[str]) -> None:
    with pytest.raises(DataError, match=r"--series .*nope': there is no such file or folder"):
        find_series([str(folder / "nope")], dates, options={})


def test_a_folder_of_two_missions_is_put_in_the_order_of_its_dates(folder: Path) -> None:
    (folder / "s2" / "T32_20210304T101500.tif").rename(folder / "s2" / "T33_20210304T101500.tif")
    found = find_series([str(folder / "s2")], [], options={})
    assert [one.time for one in found] == list(DAYS)
    assert [Path(path).name for one in found for path in one.file.paths] == ["T33_20210304T101500.tif", "T32_20210601T101500.tif"]


def test_images_of_unlike_places_are_refused(folder: Path) -> None:
    other = write_tif(folder / "other_2021-09-01.tif", numbers(12, "uint16"), corner=(500_400.0, 6_000_000.0))
    with pytest.raises(DataError, match=r"do not cover the same ground"):
        read_series(find_series([str(folder / "s2"), other], [], options={}))


def test_two_images_of_one_moment_and_role_are_refused(folder: Path) -> None:
    pictures = [write_tif(folder / f"{name}.tif", numbers(12, "uint16")) for name in "ab"]
    with pytest.raises(ConfigError, match=r"another multispectral image of before is given .*Give each its own date"):
        read_series(find_pair([f"optical={pictures[0]}", f"multispectral={pictures[1]}"], [pictures[0]], dates=[], options={}))


def test_frames_of_a_video_are_pictures_of_their_moments(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="extra video is not installed")
    path = str(grey_video(tmp_path / "a.mp4", 9))
    decoded = video_files._frames_of.cache_info().misses
    scenes, seconds = read_video(path, max_frames=3)
    assert video_files._frames_of.cache_info().misses == decoded + 1
    assert list(seconds) == list(scenes) and seconds["rgb frame 1"] == 0
    assert seconds["rgb frame 3"] == pytest.approx(2 * seconds["rgb frame 2"]) and seconds["rgb frame 3"] > 0
    assert [(name, scene.role, scene.time) for name, scene in scenes.items()] == [
        (f"rgb frame {number}", "rgb", f"frame {number}") for number in (1, 2, 3)
    ]
    assert [scene.pixels.mean() for scene in scenes.values()] == pytest.approx([shade(number, 9) for number in (0, 4, 8)], abs=3)
    (single,), (first,) = (found.values() for found in read_video(path, max_frames=1))
    assert (single.role, single.time, first) == ("rgb", "", 0)
    with pytest.raises(DataError, match=r"none\.mp4: there is no such video file"):
        read_video(str(tmp_path / "none.mp4"), max_frames=3)
    for other in ("", str(tmp_path / "a.gif"), str(tmp_path)):
        with pytest.raises(DataError, match=r"--video '.*': expected a video file, by its name one of \.mp4, .*Rename or convert it"):
            read_video(other, max_frames=3)


class TestPair:
    def test_a_pair_needs_no_dates(self, folder: Path) -> None:
        before, after = sorted(map(str, (folder / "s2").iterdir()))
        assert [one.time for one in find_pair([before], [after], dates=[], options={})] == ["before", "after"]
        assert [one.time for one in find_pair([before], [after], dates=list(DAYS), options={})] == list(DAYS)

    def test_what_does_not_make_a_pair_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"--before and --after belong together"):
            find_pair(["a.tif"], [], dates=[], options={})
        with pytest.raises(ConfigError, match=r"--dates: 1 date, but --before and --after are two moments"):
            find_pair(["a.tif"], ["b.tif"], dates=["2020-01-01"], options={})
        with pytest.raises(DataError, match=r"--before, --after: 2020-01-01 is earlier than"):
            find_pair(["a.tif"], ["b.tif"], dates=["2020-02-01", "2020-01-01"], options={})
