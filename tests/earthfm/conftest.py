"""What the tests of EarthFM share: a small synthetic world, and a small task on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from earthfm_samples import ENCODER, images

from eocore.synthetic.world import write_world


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
