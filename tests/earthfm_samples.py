"""What tests of EarthFM are made of: scenes, a small synthetic world, a small task on it and its model, as fixtures."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from eocore.synthetic.world import write_world

S2 = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12", "B01", "B09")
ENCODER = {"version": "v1.1", "embedding_size": 32, "depth": 1, "num_heads": 2, "pixel_hidden_sizes": [8], "drop_path": 0.2}


def make_scene(seed: int = 0, *, side: int = 16, bands: tuple[str, ...] = S2, time: str = "", role: str = "") -> Any:
    """Random reflectance."""
    pixels = np.random.default_rng(seed).uniform(0.01, 0.5, (len(bands), side, side)).astype(np.float32)
    return SimpleNamespace(pixels=pixels, bands=bands, unit="reflectance", time=time, role=role)


def images(world: Path, split: str) -> dict[str, str]:
    """Where the Sentinel-2 images of a split are."""
    return {"root": str(world / split / "multispectral"), "pattern": "{stem}.tif", "sensor": "sentinel2_l2a"}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes to train on, three to test with."""
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 6, "test": 3}, size=64)
    return root


@pytest.fixture(scope="session")
def make_fields(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Fields of a small task; keyword arguments replace some."""
    pytest.importorskip("olmoearth_pretrain_minimal")
    words = tmp_path_factory.mktemp("words") / "tokenizer"

    def make(**changes: Any) -> dict[str, Any]:
        text = {"model_type": "phi", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
        return {
            "model": {"encoder": dict(ENCODER), "text_config": text, "num_queries": 4, "num_heads": 2},
            "tokenizer": {
                "type": "TrainedCausalTokenizer",
                "path": str(words),
                "corpus": [str(world / "train" / "caption.json")],
                "vocab_size": 320,
            },
            "processor": {},
            "data": {
                "type": "LlavaDataset",
                "annotations": str(world / "train" / "caption.json"),
                "images": {"multispectral": images(world, "train")},
                "task": "caption",
            },
            "trainable": ["connector", "language_model"],
            "batch_size": 3,
            "num_workers": 0,
            "length_window": None,
            **changes,
        }

    return make


@pytest.fixture(scope="session")
def make_task(make_fields: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """The task of these fields, with weights of seed 0."""
    import torch

    from earthfm.task import EarthFmTask

    def make(**changes: Any) -> Any:
        torch.manual_seed(0)
        return EarthFmTask(**make_fields(**changes))

    return make


@pytest.fixture(scope="session")
def model_folder(make_task: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model, as a conversion writes it."""
    from earthfm.export import pack
    from eocore.export.hf import write_checkpoint

    folder = tmp_path_factory.mktemp("saved") / "model"
    write_checkpoint(pack(make_task()), folder, card="# tiny\n")
    return folder


@pytest.fixture
def small_parts(make_task: Callable[..., Any], model_folder: Path, tmp_path: Path) -> Callable[[], dict[str, Path]]:
    """Makes folders of an encoder, and of a language model with its tokenizer."""
    from transformers import PhiConfig, PhiForCausalLM

    def make() -> dict[str, Path]:
        words = make_task().processor.tokenizer
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 8}
        PhiForCausalLM(PhiConfig(vocab_size=len(words), **sizes)).save_pretrained(tmp_path / "phi")
        words.save_pretrained(tmp_path / "phi")
        return {"encoder": model_folder, "language": tmp_path / "phi"}

    return make
