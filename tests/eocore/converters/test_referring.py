"""Referring sets from generated folders in the shape of their releases; what comes out is read by the data set that trains and tests."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eocore.converters.referring import PhraseRelease, count_phrases, prepare_phrases, prepare_rrsisd
from eocore.data.dataset import SampleKey
from eocore.data.formats.refer import ReferDataset
from eocore.data.io.masks import decode_mask
from eocore.errors import AnnotationError, DataError
from eocore.sensors.scene import by_role
from eocore.synthetic.test_sets.images import MadeScenes, make_scenes
from eocore.synthetic.test_sets.releases import write_refsegrs, write_risbench, write_rrsisd

FOLDERS = {"refsegrs": ("images", "masks"), "risbench": ("img_rgb", "mask")}


@pytest.fixture(scope="module")
def scenes() -> MadeScenes:
    return make_scenes(3, size=48, seed=1)


def read(folder: Path, split: str) -> ReferDataset:
    images = {"rgb": {"root": str(folder / "images"), "pattern": "{name}", "sensor": "rgb_uint8"}}
    return ReferDataset(annotations=str(folder / "refs(unc).p"), images=images, split=split)


def small_release(folder: Path, line: str = "1 the lake\n", mask: np.ndarray | None = None) -> Path:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "images/1.tif")
    pixels = np.full((8, 8), 255, np.uint8) if mask is None else mask
    Image.fromarray(pixels).save(folder / "masks/1.tif")
    (folder / "output_phrase_test.txt").write_text(line)
    return folder


@pytest.mark.parametrize(("name", "write"), [("refsegrs", write_refsegrs), ("risbench", write_risbench)])
def test_phrases_and_masks_become_refs(name: str, write, scenes: MadeScenes, tmp_path: Path) -> None:
    write(tmp_path / "release", scenes)
    images, masks = FOLDERS[name]
    whole = PhraseRelease(source=tmp_path / "release", images=images, masks=masks)
    counts = prepare_phrases(whole, tmp_path / "out")
    assert sum(counts.values()) == count_phrases(whole) == 6
    for split, count in counts.items():
        source = read(tmp_path / "out", split)
        assert len(source) == count
        record, loaded, _ = source.load(SampleKey(0, 0))
        shown = by_role(loaded, source="")
        number = Path(record.meta["image"]).stem
        drawn = np.asarray(Image.open(next((tmp_path / "release" / masks).glob(f"{number}.*")))) > 0
        assert record.expressions[0].mask is not None
        assert np.array_equal(decode_mask(record.expressions[0].mask, shown["rgb"].size, source="here"), drawn)
        assert f"{number} {record.expressions[0].text}" in (tmp_path / "release" / f"output_phrase_{split}.txt").read_text()


def test_phrases_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    release = small_release(tmp_path / "release")
    (release / "output_phrase_test.txt").write_text("1 the lake\n", encoding="utf-8-sig")
    prepare_phrases(PhraseRelease(source=release, images="images", masks="masks", splits=("test",)), tmp_path / "out")
    record, _, _ = read(tmp_path / "out", "test").load(SampleKey(0, 0))
    assert record.expressions[0].text == "the lake" and record.meta["image"] == "1.tif"


def test_rrsisd_is_put_where_it_is_read(scenes: MadeScenes, tmp_path: Path) -> None:
    write_rrsisd(tmp_path / "release", scenes)
    counts = prepare_rrsisd(tmp_path / "release", tmp_path / "out")
    assert list(counts) == ["test"]
    assert len(read(tmp_path / "out", "test")) == counts["test"]
    assert (tmp_path / "out/images").is_symlink()
    read(tmp_path / "out", "test").load(SampleKey(0, 0))


def test_images_may_be_copied_and_a_second_run_changes_nothing(scenes: MadeScenes, tmp_path: Path) -> None:
    write_rrsisd(tmp_path / "release", scenes)
    for _ in range(2):
        prepare_rrsisd(tmp_path / "release", tmp_path / "out", copy=True)
    assert not (tmp_path / "out/images").is_symlink()
    assert len(list((tmp_path / "out/images").iterdir())) == 3


def test_a_missing_image_of_rrsisd_is_named(scenes: MadeScenes, tmp_path: Path) -> None:
    write_rrsisd(tmp_path, scenes)
    (tmp_path / "images/rrsisd/JPEGImages/00001.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images are missing \(00001.jpg\)"):
        prepare_rrsisd(tmp_path, tmp_path / "out")


def release(folder: Path) -> PhraseRelease:
    """The test split of what `small_release` writes to `r`."""
    return PhraseRelease(source=folder / "r", images="images", masks="masks", splits=["test"])


def test_one_image_with_two_phrases_is_listed_once(tmp_path: Path) -> None:
    small_release(tmp_path / "r", "1 the lake\n1 the blue water\n")
    prepare_phrases(release(tmp_path), tmp_path / "out")
    assert len(read(tmp_path / "out", "test")) == 2


@pytest.mark.parametrize(
    ("line", "mask", "kind", "message"),
    [
        ("1\n", None, AnnotationError, r"output_phrase_test.txt:1: '1'; expected '<id> <expression>'"),
        ("1 the lake\n7 a road\n", None, DataError, r"output_phrase_test.txt:2: .*images has no file called 7"),
        ("1 the lake", np.zeros((8, 8), np.uint8), AnnotationError, r"output_phrase_test.txt:1: mask 1.tif is empty"),
        ("1 the lake", np.ones((4, 4), np.uint8), DataError, r"mask 1.tif is \(4, 4\) px, its image \(8, 8\)"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, line: str, mask: np.ndarray | None, kind: type[Exception], message: str) -> None:
    small_release(tmp_path / "r", line, mask)
    with pytest.raises(kind, match=message):
        prepare_phrases(release(tmp_path), tmp_path / "out")


def test_something_else_in_the_place_of_the_images_is_left_alone(tmp_path: Path) -> None:
    small_release(tmp_path / "r")
    (tmp_path / "out/images").mkdir(parents=True)
    with pytest.raises(DataError, match="is there already and is no link"):
        prepare_phrases(release(tmp_path), tmp_path / "out")
