"""Fixtures of MS-CLIP: a tokenizer made of a few words, a small task, chips of the synthetic world, saved models."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eocore.synthetic.chips import write_chips


@pytest.fixture(scope="session")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty chips of ten classes to train on, ten to test with."""
    root = tmp_path_factory.mktemp("chips")
    write_chips(root, {"train": 20, "test": 10})
    return root


def clip_fields(chips: Path, words: Path, **changes: Any) -> dict[str, Any]:
    """Fields of a small task on the chips, its tokenizer kept in `words`; keyword arguments replace some."""
    return {
        "model": {
            "projection_dim": 16,
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "patch_size": 8,
            },
            "text_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
        },
        "tokenizer": {
            "type": "TrainedClipTokenizer",
            "path": str(words),
            "corpus": [str(chips / "train" / "captions.csv")],
            "vocab_size": 400,
        },
        "processor": {"preset": 10, "image_size": 48, "context_length": 32},
        "data": {
            "type": "ImageCaptionDataset",
            "annotations": str(chips / "train" / "captions.csv"),
            "images": {
                "multispectral": {"root": str(chips / "train" / "multispectral"), "pattern": "{stem}.tif", "sensor": "sentinel2_l2a"}
            },
            "label_field": "label",
        },
        "batch_size": 4,
        "num_workers": 0,
        "length_window": None,
        **changes,
    }


@pytest.fixture(scope="session")
def make_fields(chips: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Fields of a small task on the chips; keyword arguments replace some."""
    words = tmp_path_factory.mktemp("words") / "tokenizer"
    return partial(clip_fields, chips, words)


@pytest.fixture
def make_task(make_fields: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """The task of these fields."""
    from ms_clip.task import MsClipTask

    return lambda **changes: MsClipTask(**make_fields(**changes))


def save_clip(folder: Path, fields: dict[str, Any]) -> Path:
    """A folder with an untrained model of these fields, as a conversion writes it."""
    from ms_clip.task import MsClipTask

    task = MsClipTask(**fields)
    task.model.save_pretrained(folder)
    task.processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def save_model(make_fields: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A folder with an untrained model of these fields, as a conversion writes it."""
    return lambda **changes: save_clip(tmp_path_factory.mktemp("saved") / "model", make_fields(**changes))


LONG_TEXTS = {"image_size": 48, "context_length": 77, "long_texts": "cut"}


@pytest.fixture(scope="session")
def band_model(save_model: Callable[..., Path]) -> Path:
    """A model of ten bands that takes long texts."""
    return save_model(processor={"preset": 10, **LONG_TEXTS})


@pytest.fixture(scope="session")
def picture_model(save_model: Callable[..., Path]) -> Path:
    """A model of pictures that takes long texts."""
    return save_model(processor={"preset": 3, **LONG_TEXTS})
