"""The upstream functions with the upstream arguments: tables as those of the commands, files written, wrong calls refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from eocore.errors import ConfigError
from ms_clip.upstream.calls import run_inference_classification, run_inference_retrieval
from ms_clip.upstream.inference import classify_images, retrieve_images
from ms_clip.upstream.models import Loaded, Tokenize


@pytest.fixture
def loaded(make_task: Callable[..., Any]) -> Loaded:
    task = make_task()
    return Loaded(task.model.eval(), task.processor.pixels, Tokenize(task.processor))


@pytest.fixture
def folder(chips: Path) -> Path:
    return next(path for path in sorted((chips / "test" / "multispectral").iterdir()) if path.is_dir())


def test_classification_by_path_and_names_is_the_commands_and_is_written(loaded: Loaded, folder: Path, tmp_path: Path) -> None:
    names = ["water", "bare ground"]
    table = run_inference_classification(
        **loaded._asdict(), image_path=str(folder), class_names=names, save_path=tmp_path / "a" / "classes"
    )
    pd.testing.assert_frame_equal(table, classify_images(loaded, folder, class_names=names))
    written = pd.read_csv(tmp_path / "a" / "classes.csv")
    assert written["Class"].tolist() == table["Class"].tolist() and list(written.columns) == ["Image", "Class", *names]


def test_retrieval_reads_its_queries_from_a_file(loaded: Loaded, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.yaml").write_text("queries: [water, snow]\n")
    table = run_inference_retrieval(**loaded._asdict(), image_path=folder, queries_file=tmp_path / "queries.yaml", top_k=1, verbose=False)
    pd.testing.assert_frame_equal(table, retrieve_images(loaded, folder, queries=["water", "snow"], top_k=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda loaded, folder: run_inference_classification(**loaded._asdict(), class_names=["a"]), "image_path is missing"),
        (
            lambda loaded, folder: run_inference_classification(**loaded._asdict(), image_path=folder),
            "class_names or classes_file: neither",
        ),
        (
            lambda loaded, folder: run_inference_retrieval(**loaded._asdict(), image_path=folder, queries=["a"], queries_file="b.txt"),
            "queries or queries_file: both are given",
        ),
        (lambda loaded, folder: run_inference_retrieval(model=loaded.model, image_path=folder, queries=["a"]), "belong together"),
    ],
)
def test_calls_that_say_too_little_or_too_much_are_refused(
    call: Callable[[Loaded, Path], object], message: str, loaded: Loaded, folder: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        call(loaded, folder)


def test_a_model_is_found_by_its_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="pretrained/clip-vit-b-16 is not there"):
        run_inference_classification(model_name="ViT-B-16", image_path=folder, class_names=["a"])
