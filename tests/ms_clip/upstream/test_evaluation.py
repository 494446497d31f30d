"""Upstream's evaluation: a file for each set, several models in one figure, a folder of one's own, and what is refused."""

import csv
import shutil
from pathlib import Path

import pytest

from eocore.distributed import Ranks
from eocore.errors import ConfigError, DataError
from eocore.synthetic.test_sets.catalogue import write_published
from ms_clip.benchmarks import OF_BANDS
from ms_clip.upstream.evaluation import EvaluatedModel, Evaluation, EvaluationChoices, choose_sets, evaluate_models

ONE_RANK = Ranks()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published")
    write_published(root, num_scenes=3, size=48)
    return root


def scores(path: Path) -> dict[str, str]:
    with path.open() as lines:
        rows = list(csv.reader(lines))
    assert rows[0] == ["metric", "value", "low", "high"]
    return {row[0]: row[1] for row in rows[1:]}


@pytest.fixture(scope="module")
def compared(band_model: Path, picture_model: Path, published: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    models = [EvaluatedModel(name=str(band_model), save_name="bands"), EvaluatedModel(name=str(picture_model), save_name="pictures")]
    choices = EvaluationChoices(dataset_dir=published, save_path=tmp_path_factory.mktemp("results"), templates="clip", device="cpu")
    return evaluate_models(models, choices, ranks=ONE_RANK)


def test_each_set_that_a_model_can_read_has_a_file(compared: Evaluation) -> None:
    assert not compared.failed, compared.outcomes
    done = {(name, item.benchmark) for name, item in compared.outcomes if item.state == "done"}
    assert {item for name, item in done if name == "bands"} == set(OF_BANDS)
    assert len({item for name, item in done if name == "pictures"}) == 10
    skipped = [item.reason for name, item in compared.outcomes if name == "bands" and item.state == "skipped"]
    assert len(skipped) == 7 and "colours alone" in skipped[0]
    tables = [path for path in compared.files if path.suffix == ".csv"]
    assert {tuple(path.name.rsplit("_", 1)[0].split("_", 1)) for path in tables} == done


def test_files_hold_upstream_names_first_and_every_class(compared: Evaluation) -> None:
    found = {path.name.rsplit("_", 1)[0]: scores(path) for path in compared.files if path.suffix == ".csv"}
    assert list(found["bands_EuroSAT_MS"])[:4] == ["acc1", "acc5", "mean_per_class_recall", "mAP"]
    assert "accuracy of AnnualCrop" in found["bands_EuroSAT_MS"] and found["bands_EuroSAT_MS"]["images"] == "10.000000"
    assert "accuracy of coal mines" in found["bands_METERML_MS"]
    assert {"mean_accuracy", "macro_f1", "mAP", "map_macro"} <= set(found["bands_BigEarthNet_MS"])
    assert found["pictures_METERML_MS"] == found["pictures_METERML_RGB"], "the same bands make the picture"


def test_models_meet_in_one_figure(compared: Evaluation) -> None:
    figures = [path for path in compared.files if path.suffix == ".png"]
    assert len(figures) == 1 and figures[0].read_bytes().startswith(b"\x89PNG")
    assert set(compared.measures["bands"]) == {
        *(f"{name} {measure}" for name in ("EuroSAT_MS", "METERML_MS") for measure in ("acc1", "mAP")),
        "BigEarthNet_MS mean_accuracy",
        "BigEarthNet_MS mAP",
    }


def test_a_folder_of_ones_own_is_a_set_and_bands_are_told_from_its_files(
    band_model: Path, chips: Path, published: Path, tmp_path: Path
) -> None:
    folder = chips / "test" / "multispectral"
    choices = EvaluationChoices(datasets=[str(folder)], dataset_dir=published, save_path=tmp_path, templates="clip", device="cpu")
    done = evaluate_models([EvaluatedModel(name=str(band_model), save_name="own")], choices, ranks=ONE_RANK)
    assert not done.failed and scores(done.files[0])["images"] == "10.000000"
    again = evaluate_models([EvaluatedModel(name=str(band_model), save_name="own")], choices, ranks=ONE_RANK)
    assert scores(again.files[0]) == scores(done.files[0])


def test_a_class_for_everything_else_decides_where_it_is_asked_for(band_model: Path, published: Path, tmp_path: Path) -> None:
    def measured(*, other: bool) -> dict[str, str]:
        choices = EvaluationChoices(
            datasets=["BigEarthNet_MS"], dataset_dir=published, save_path=tmp_path / str(other), other_features=other, device="cpu"
        )
        return scores(evaluate_models([EvaluatedModel(name=str(band_model), save_name="a")], choices, ranks=ONE_RANK).files[0])

    plain, with_other = measured(other=False), measured(other=True)
    assert plain["mean_accuracy"] != with_other["mean_accuracy"] and plain["map_macro"] == with_other["map_macro"]


def test_random_weights_are_a_control(tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = EvaluatedModel(name="RN50", save_name="control", pretrained=False)
    with pytest.raises(ConfigError, match="no size 'RN50'"):
        evaluate_models([model], EvaluationChoices(dataset_dir=published, save_path=tmp_path), ranks=ONE_RANK)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"datasets": ["EuroSATMS"]}, "did you mean 'EuroSAT_MS'"),
        ({"datasets": ["AID_RGB", "AID_RGB"]}, "named twice: AID_RGB"),
        ({"precision": "half"}, "choices: amp, fp32"),
        ({"batch_size": 0}, "batch size is 0"),
    ],
)
def test_choices_that_cannot_be_are_told(choices: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?i){message}"):
        choose_sets(EvaluationChoices(**choices))  # type: ignore[arg-type]


def test_models_and_folders_that_are_none_are_told(band_model: Path, tmp_path: Path, published: Path) -> None:
    choices = EvaluationChoices(dataset_dir=published, save_path=tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no folder of images for each class"):
        choose_sets(EvaluationChoices(datasets=[str(tmp_path / "empty")]))
    with pytest.raises(ConfigError, match=r"is no imported model.*tools/import_weights.py"):
        evaluate_models([EvaluatedModel(name=str(tmp_path / "empty"), save_name="a")], choices, ranks=ONE_RANK)
    twice = [EvaluatedModel(name=str(band_model), save_name="a")] * 2
    with pytest.raises(ConfigError, match="a --save-name of its own for each"):
        evaluate_models(twice, choices, ranks=ONE_RANK)


def test_a_set_that_lacks_a_folder_fails_and_the_others_are_done(band_model: Path, published: Path, tmp_path: Path, chips: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(published / "METERML_MS", root / "METERML_MS")
    shutil.copytree(published / "EuroSAT_MS", root / "EuroSAT_MS")
    shutil.rmtree(next(path for path in sorted((root / "METERML_MS").iterdir())))
    choices = EvaluationChoices(dataset_dir=root, save_path=tmp_path / "out", templates="clip", device="cpu")
    done = evaluate_models([EvaluatedModel(name=str(band_model), save_name="a")], choices, ranks=ONE_RANK)
    states = {item.benchmark: (item.state, item.reason) for _, item in done.outcomes}
    assert done.failed and states["EuroSAT_MS"][0] == "done" and states["METERML_MS"][0] == "failed"
    assert "holds 6 folders" in states["METERML_MS"][1] and states["BigEarthNet_MS"][0] == "skipped"
