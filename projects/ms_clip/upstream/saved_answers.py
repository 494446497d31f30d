"""Scores of what the inference command saved: its CSV of class probabilities against the true classes."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from eocore.data.formats.class_folders import ClassFolderDataset
from eocore.data.formats.class_tables import ClassTableDataset
from eocore.errors import AnnotationError, DataError
from eocore.evaluate.metrics.classification import normalise_label
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.reporting.summary import Result
from eocore.evaluate.scoring.score import score_predictions
from eocore.evaluate.vectors import VectorFile
from eocore.text import some_of

IMAGE, CLASS = "Image", "Class"


def score_saved(answers: Path, truth: Path) -> Result:
    """The scores of saved answers, as of an evaluation.

    Args:
        answers: CSV with columns Image, Class and the probability of each class.
        truth: a CSV with columns image and label, or a folder with a folder of images for each class.

    Raises:
        DataError: a file is missing or cannot be read, or an image has no answer.
        AnnotationError: an image stands twice, or a true class is none of the answers'.
    """
    table = _read_answers(answers)
    labels = _read_truth(truth)
    classes = [str(name) for name in table.columns if name not in (IMAGE, CLASS)]
    forms = {normalise_label(name): name for name in classes}
    strange = sorted({label for label in labels.values() if normalise_label(label) not in forms})
    if strange:
        raise AnnotationError(
            f"{truth}: the classes {some_of(strange)} are none of those of {answers}: {', '.join(classes)}. Correct one of them."
        )
    known = set(table[IMAGE])
    absent, further = sorted(set(labels) - known), sorted(known - set(labels))
    if absent or further:
        raise DataError(
            f"{len(absent)} images of {truth} have no answer in {answers} ({some_of(absent) or 'none'}), and {len(further)} answers have "
            f"no true class ({some_of(further) or 'none'}). Nothing was scored; give the truth of these very images."
        )
    with tempfile.TemporaryDirectory() as folder:
        return {"settings": score_predictions(_predictions(table, labels, classes=classes, folder=Path(folder)))["settings"]}


def _read_answers(path: Path) -> pd.DataFrame:
    """Raise DataError if it is no table of classes, or an image stands twice."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' own errors are of the latter kind
        raise DataError(f"{path} cannot be read as CSV: {' '.join(str(error).split())}. Give what --save-path wrote.") from error
    classes = [name for name in table.columns if name not in (IMAGE, CLASS)]
    if IMAGE not in table or CLASS not in table or len(classes) < 2 or not len(table):
        raise DataError(
            f"{path} has the columns {', '.join(map(str, table.columns))}; expected {IMAGE}, {CLASS} and one of each class, as the "
            "inference command writes them with --run-classification --save-path."
        )
    if not all(pd.api.types.is_numeric_dtype(table[name]) for name in classes) or not np.isfinite(table[classes].to_numpy()).all():
        raise DataError(f"{path}: the columns of classes must hold numbers in every line. Write the file again.")
    twice = sorted(table[IMAGE][table[IMAGE].duplicated()])
    if twice:
        raise AnnotationError(f"{path}: {some_of(twice)} stands there twice; names tell images apart here. Give them different names.")
    return table


def _read_truth(path: Path) -> dict[str, str]:
    """Name of an image without its folder -> its class."""
    dataset: ClassFolderDataset | ClassTableDataset
    if path.is_dir():
        dataset = ClassFolderDataset(annotations=str(path), images={})
    else:
        images: Mapping[str, Mapping[str, str]] = {"rgb": {"root": str(path.parent), "pattern": "{name}", "sensor": "rgb_uint8"}}
        dataset = ClassTableDataset(annotations=str(path), images=images)
    names = [Path(str(record.meta["image"])).name for record in dataset.records]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnnotationError(f"{path}: {some_of(twice)} stands there twice; names tell images apart here. Give them different names.")
    return {name: str(record.meta["answer"]) for name, record in zip(names, dataset.records, strict=True)}


def _predictions(table: pd.DataFrame, labels: Mapping[str, str], *, classes: list[str], folder: Path) -> list[Prediction]:
    vectors = VectorFile(folder / "scores.f32", num_kept=0)
    found = []
    for (_, row), scores in zip(table.iterrows(), table[classes].to_numpy(np.float32), strict=True):
        image = str(row[IMAGE])
        found.append(
            Prediction(
                sample_id=image,
                task="classification",
                image_ids=(image,),
                sensor="multispectral",
                prompt="",
                prediction=str(row[CLASS]),
                ground_truth=labels[image],
                meta={"candidates": classes, "type": labels[image]},
                vectors=vectors.append(scores),
            )
        )
    vectors.close()
    return found
