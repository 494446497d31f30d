"""A system of its own, as small as they come: model, processor and code in a folder, to be shipped."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from eocore.export.hf import Shipment

PARTS = '''"""A part."""

from torch import Tensor


def doubled(value: Tensor) -> Tensor:
    return 2 * value
'''
CONFIGURATION = '''"""Sizes."""

from transformers import PretrainedConfig


class DoublerConfig(PretrainedConfig):
    model_type = "doubler"

    def __init__(self, width=4, **kwargs):
        self.width = width
        super().__init__(**kwargs)
'''
MODELING = '''"""A layer, a gain that is learned, and an offset from a buffer that is not saved."""

import torch
from torch import nn
from transformers import PreTrainedModel

from .configuration_doubler import DoublerConfig
from .parts import doubled


class Doubler(PreTrainedModel):
    config_class = DoublerConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Linear(config.width, config.width)
        self.gain = nn.Parameter(torch.ones(1))
        self.post_init()

    def forward(self, x):
        return doubled(self.layer(x)) * self.gain
'''
PROCESSING = '''"""Words to numbers."""

from transformers import ProcessorMixin


class DoublerProcessor(ProcessorMixin):
    def __init__(self, tokenizer=None, chat_template=None, scale=1.0):
        self.scale = scale
        super().__init__(tokenizer, chat_template=chat_template)
'''
PARITY_CHECK = """import torch


def parity_outputs(model, processor):
    return {"out": model(torch.arange(8.0).reshape(2, 4) * processor.scale)}
"""
AUTO_MAP = {
    "AutoConfig": "configuration_doubler.DoublerConfig",
    "AutoModel": "modeling_doubler.Doubler",
    "AutoProcessor": "processing_doubler.DoublerProcessor",
}


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """The folder of the code, importable as the package `doubler_system` for the time of a test."""
    folder = tmp_path / "doubler_system"
    folder.mkdir()
    files = {
        "parts": PARTS,
        "configuration_doubler": CONFIGURATION,
        "modeling_doubler": MODELING,
        "processing_doubler": PROCESSING,
        "__init__": "",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    (tmp_path / "parity_check.py").write_text(PARITY_CHECK)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "doubler_system"]:
        del sys.modules[name]


def load(folder: Path, name: str) -> ModuleType:
    """A module of the package, imported from where it lies."""
    for dotted, path in (("doubler_system", folder / "__init__.py"), (f"doubler_system.{name}", folder / f"{name}.py")):
        if dotted not in sys.modules:
            spec = importlib.util.spec_from_file_location(
                dotted, path, submodule_search_locations=[str(folder)] if path.stem == "__init__" else None
            )
            assert spec and spec.loader
            sys.modules[dotted] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[dotted])
    return sys.modules[f"doubler_system.{name}"]


@pytest.fixture
def make_shipment(package: Path) -> Callable[..., Shipment]:
    """Builder of a shipment of that system; arguments replace parts of its Auto map."""

    def build(**auto_map: str) -> Shipment:
        torch.manual_seed(0)
        model = load(package, "modeling_doubler").Doubler(load(package, "configuration_doubler").DoublerConfig())
        torch.nn.init.normal_(model.gain)
        core = Tokenizer(models.WordLevel({"[UNK]": 0, "word": 1}, unk_token="[UNK]"))
        words = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")
        processor = load(package, "processing_doubler").DoublerProcessor(words, chat_template="{{ messages }}", scale=0.5)
        return Shipment(
            title="Doubler",
            usage="Call it.",
            model=model,
            processor=processor,
            model_package=package,
            auto_map={**AUTO_MAP, **auto_map},
            parity_check=package.parent / "parity_check.py",
        )

    return build
