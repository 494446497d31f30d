"""From the image field of an annotation to files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eocore.data.image_sources import ImageSource, build_sources, check_relative, file_inside, stem_of
from eocore.errors import AnnotationError, BandError, ConfigError, DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.png", "a"),
        ("d/a.TIF", "d/a"),
        ("a.json", "a"),
        ("282D.485L_3_3", "282D.485L_3_3"),
        ("v1.2/patch", "v1.2/patch"),
        ("a.b.jpg", "a.b"),
    ],
)
def test_only_image_suffixes_are_taken_off(name: str, stem: str) -> None:
    assert stem_of(name) == stem


def test_pattern_fields(tmp_path: Path) -> None:
    stem = ImageSource(root=str(tmp_path), sensor="sentinel2_l2a", bands=("B02",)).locate("d/a.png", "f#0", role="rgb")
    name = ImageSource(root=str(tmp_path), sensor="rgb_uint8", pattern="x/{name}").locate("d/a.png", "f#0", role="rgb")
    assert stem is not None and name is not None
    assert (stem.paths, stem.sensor, stem.bands) == ((f"{tmp_path}/d/a.tif",), "sentinel2_l2a", ("B02",))
    assert name.paths == (f"{tmp_path}/x/d/a.png",)


def test_paths_are_absolute_whatever_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ref = ImageSource(root="data", sensor="rgb_uint8").locate("a.png", "f#0", role="rgb")
    assert ref is not None and ref.paths == (f"{tmp_path}/data/a.tif",)


def test_band_pattern_names_one_file_for_each_band(tmp_path: Path) -> None:
    chosen = ImageSource(root=str(tmp_path), sensor="sentinel2_l2a", pattern="{stem}/{stem}_{band}.tif", bands=("B04", "B8A"))
    ref = chosen.locate("p.png", "f#0", role="rgb")
    assert ref is not None
    assert (ref.paths, ref.bands) == ((f"{tmp_path}/p/p_B04.tif", f"{tmp_path}/p/p_B8A.tif"), ("B04", "B8A"))
    all_bands = ImageSource(root=str(tmp_path), sensor="sentinel1_grd", pattern="{stem}_{band}.tif").locate("p", "f#0", role="rgb")
    assert all_bands is not None and all_bands.bands == ("VV", "VH")


def test_star_takes_all_files_in_order_and_nothing_of_the_name_is_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "p[1]/rgb_2.png", "p[1]/rgb_1.png", "p[1]/other.txt", "p1/rgb_1.png")
    ref = ImageSource(root=str(tmp_path), sensor="rgb_uint8", pattern="{stem}/rgb_*.png").locate("p[1].png", "f#0", role="rgb")
    assert ref is not None
    assert ref.paths == (f"{tmp_path}/p[1]/rgb_1.png", f"{tmp_path}/p[1]/rgb_2.png")


def test_star_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"f#0: no image 'p\.png': no file fits .*rgb_\*\.png\. Fetch it"):
        ImageSource(root=str(tmp_path), sensor="rgb_uint8", pattern="{stem}/rgb_*.png").locate("p.png", "f#0", role="rgb")


def test_first_alternative_that_exists_counts(tmp_path: Path) -> None:
    source = ImageSource(root=str(tmp_path), sensor="rgb_uint8", pattern=("{stem}.png", "{stem}.jpg"))
    touch(tmp_path, "a.jpg", "b.jpg", "b.png")
    found = [source.locate(name, "f#0", role="rgb") for name in ("a.tif", "b.tif")]
    assert [ref.paths[0] for ref in found if ref] == [f"{tmp_path}/a.jpg", f"{tmp_path}/b.png"]
    with pytest.raises(DataError, match=r"no image 'c\.tif': no file fits .*\.png, .*\.jpg"):
        source.locate("c.tif", "f#0", role="rgb")


def test_optional_image_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif")
    source = ImageSource(root=str(tmp_path), sensor="rgb_uint8", optional=True)
    assert source.locate("a.png", "f#0", role="rgb") is not None
    assert source.locate("b.png", "f#0", role="rgb") is None


@pytest.mark.parametrize(
    "path",
    [
        "../a.png",
        "a/../../b",
        "/etc/passwd",
        "~/a",
        "",
        "  ",
        "a\0b",
        "http://x/a.png",
        "vsizip://a",
        "WMS:a",
        "C:\\a",
        "..\\a",
        "\\\\host\\a",
    ],
)
def test_paths_that_leave_the_root_are_refused(path: str) -> None:
    with pytest.raises(AnnotationError, match=r"f#0: .* is no relative path inside the image folder"):
        check_relative(path, "f#0")


def test_dots_and_colons_inside_names_are_no_trick() -> None:
    check_relative("a..b/c.d:e.png", "f#0")


def test_mask_files_stay_inside_also_through_links(tmp_path: Path) -> None:
    touch(tmp_path, "in/mask.png", "out/secret.png")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out" / "secret.png")
    assert file_inside(tmp_path / "in", "mask.png", source="f#0") == f"{tmp_path}/in/mask.png"
    with pytest.raises(AnnotationError, match=r"f#0: 'link\.png' leads out of .* by a link"):
        file_inside(tmp_path / "in", "link.png", source="f#0")


def test_sources_come_in_the_order_of_the_config() -> None:
    images: dict[str, dict[str, Any]] = {
        "sar": {"root": "s", "sensor": "sentinel1_grd"},
        "rgb": {"root": "r", "sensor": "rgb_uint8", "pattern": ["{stem}.png", "{stem}.jpg"]},
    }
    sources = build_sources(images, "d")
    assert list(sources) == ["sar", "rgb"]
    assert sources["rgb"].patterns == ("{stem}.png", "{stem}.jpg")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"Radar 1": {}}, r"d: images has the key 'Radar 1'; expected roles: words of lower-case letters"),
        (
            {"sar": {"root": "x", "sensor": "sentinel1_grd", "patern": "y"}},
            r"d: images\['sar'\] has no key patern\. Keys: root, sensor, pattern",
        ),
        ({"sar": {"pattern": "y"}}, r"d: images\['sar'\] needs root, sensor"),
        (
            {"sar": {"root": "x", "sensor": "sentinel1_grd", "pattern": "{stm}.tif"}},
            r"pattern '\{stm\}\.tif' may use \{stem\}, \{name\} and",
        ),
        ({"sar": {"root": "x", "sensor": "sentinel1_grd", "pattern": "{stem.tif"}}, r"may use \{stem\}, \{name\} and \{band\} only"),
        ({"sar": {"root": "x", "sensor": "sentinel1_grd", "pattern": []}}, r"pattern must be a text or a list of texts, found \(\)"),
    ],
)
def test_wrong_configs_are_named(images: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_sources(images, "d")


def test_unknown_sensor_is_named_at_once() -> None:
    with pytest.raises(BandError, match="sentinel9"):
        build_sources({"sar": {"root": "x", "sensor": "sentinel9"}}, "d")


def test_an_index_finds_files_whose_names_do_not_follow(tmp_path: Path) -> None:
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"a": "s1/x.tif", "b": ["s1/y_vv.tif", "s1/y_vh.tif"]}))
    source = ImageSource(root=str(tmp_path), sensor="sentinel1_grd", index=str(index))
    found = [source.locate(name, "f#0", role="sar") for name in ("a", "b")]
    assert [[Path(path).name for path in ref.paths] for ref in found if ref] == [["x.tif"], ["y_vv.tif", "y_vh.tif"]]
    with pytest.raises(DataError, match=r"f#0: no image 'c' in .*index.json. Add it there"):
        source.locate("c", "f#0", role="sar")
    assert replace(source, optional=True).locate("c", "f#0", role="sar") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [("[", "is no JSON"), ("[]", "expected an object"), ('{"a": 1}', "expected an object"), ('{"a": "../x"}', "no relative path")],
)
def test_a_broken_index_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(AnnotationError, match=message):
        ImageSource(root=str(tmp_path), sensor="rgb_uint8", index=str(tmp_path / "index.json")).locate("a", "f#0", role="rgb")
    with pytest.raises(DataError, match="the index of images cannot be read"):
        ImageSource(root=str(tmp_path), sensor="rgb_uint8", index=str(tmp_path / "gone.json")).locate("a", "f#0", role="rgb")
