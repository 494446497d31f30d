"""Fixtures of Aerith: a small world, a small task, samples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.synthetic.world import write_world

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
MODEL = {
    "clip_config": {**TOWER, "image_size": 28, "patch_size": 7, "projection_dim": 24},
    "dinov3_config": {**TOWER, "image_size": 32, "patch_size": 8, "num_register_tokens": 2},
    "text_config": {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
    },
    "num_queries": [5],
    "pooler_layers": 1,
    "pooler_heads": 2,
}
PARTS = dict.fromkeys(("clip", "dinov3", "head", "language_model"), "new")
TURNS = [("user", "<image>\n[VQA] Is there water?"), ("assistant", "yes"), ("user", "[CLS] What?"), ("assistant", "forest")]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight scenes to train on."""
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 8}, size=48)
    return root


@pytest.fixture(scope="session")
def scene_images(world: Path) -> dict[str, Any]:
    """Where the pictures of the world lie."""
    return {"rgb": {"root": str(world / "train" / "rgb"), "pattern": "{stem}.png", "sensor": "rgb_uint8"}}


@pytest.fixture(scope="session")
def make_fields(world: Path, scene_images: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Fields of a small task on the world; keyword arguments replace some."""
    words = tmp_path_factory.mktemp("words") / "tokenizer"

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "model": {**MODEL, "parts": PARTS},
            "tokenizer": {
                "type": "TrainedChatTokenizer",
                "path": str(words),
                "corpus": [str(world / "train" / "vqa.json")],
                "texts": ["[CLS] [VQA] [CAP] [VG] What?"],
                "vocab_size": 320,
            },
            "processor": {"template": "chatml"},
            "trainable": ["vision.pooler"],
            "lora": {"rank": 2, "alpha": 4, "dropout": 0.0},
            "data": {
                "type": "LlavaDataset",
                "annotations": str(world / "train" / "vqa.json"),
                "images": scene_images,
                "transforms": [{"type": "AerithQuestions"}],
            },
            "batch_size": 3,
            "num_workers": 0,
            "length_window": None,
            "max_length": 256,
            **changes,
        }

    return make


@pytest.fixture(scope="session")
def make_task(make_fields: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """The task of these fields."""
    from aerith.task import AerithTask

    return lambda **changes: AerithTask(**make_fields(**changes))


@pytest.fixture(scope="session")
def task(make_task: Callable[..., Any]) -> Any:
    """One task that no test changes."""
    made = make_task()
    made.eval()
    return made


@pytest.fixture
def picture() -> np.ndarray:
    """A picture (40, 60, 3), another at each call of a test."""
    return np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8)
