"""Scores of saved answers: as counted by hand, and what does not fit together is refused."""

from pathlib import Path

import pytest

from eocore.errors import AnnotationError, DataError
from ms_clip.upstream.saved_answers import score_saved

ANSWERS = """Image,Class,water,bare ground,snow
a.tif,water,0.7,0.2,0.1
b.tif,snow,0.1,0.3,0.6
c.tif,bare ground,0.2,0.5,0.3
d.tif,water,0.5,0.3,0.2
"""
TRUTH = "image,label\na.tif,water\nb.tif,snow\nc.tif,water\nd.tif,BareGround\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "answers.csv").write_text(ANSWERS)
    (tmp_path / "truth.csv").write_text(TRUTH)
    return tmp_path / "answers.csv", tmp_path / "truth.csv"


def test_scores_are_those_counted_by_hand(files: tuple[Path, Path]) -> None:
    scored = score_saved(*files)["settings"]["multispectral"]["classification"]
    metrics = scored["overall"]["metrics"]
    assert metrics["accuracy"]["value"] == 0.5
    assert metrics["balanced_accuracy"]["value"] == pytest.approx((1 / 2 + 0 + 1) / 3)
    # water: a (0.7) d (0.5) c (0.2): hits 1 and 3; bare ground: c (0.5), then b and d (0.3, d last of equals); snow: b first
    assert scored["reference_compat"]["map_macro@100_of_hits"]["value"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 3 + 1) / 3)


def test_truth_may_be_folders_of_classes(files: tuple[Path, Path], tmp_path: Path) -> None:
    for image, label in (("a", "water"), ("b", "snow"), ("c", "water"), ("d", "bare_ground")):
        (tmp_path / "images" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / label / f"{image}.tif").write_bytes(b"")
    by_folder, by_table = score_saved(files[0], tmp_path / "images"), score_saved(*files)
    task = ("settings", "multispectral", "classification")
    for key in task:
        by_folder, by_table = by_folder[key], by_table[key]
    assert by_folder["overall"]["metrics"] == by_table["overall"]["metrics"]


@pytest.mark.parametrize(
    ("answers", "truth", "error", "message"),
    [
        (ANSWERS.replace("d.tif", "a.tif"), TRUTH, AnnotationError, "a.tif stands there twice"),
        (
            ANSWERS,
            TRUTH.replace("d.tif", "e.tif"),
            DataError,
            r"1 images of .* have no answer .*e.tif.* 1 answers have no true class .*d.tif",
        ),
        (ANSWERS, TRUTH.replace("snow", "ice"), AnnotationError, "the classes ice are none of"),
        ("Image,Similarity\na.tif,0.5\n", TRUTH, DataError, "with --run-classification --save-path"),
        (ANSWERS.replace("0.7", "much"), TRUTH, DataError, "must hold numbers in every line"),
        ("", TRUTH, DataError, "cannot be read as CSV"),
    ],
)
def test_what_does_not_fit_is_refused(answers: str, truth: str, error: type[Exception], message: str, files: tuple[Path, Path]) -> None:
    files[0].write_text(answers)
    files[1].write_text(truth)
    with pytest.raises(error, match=message):
        score_saved(*files)
