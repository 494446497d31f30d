"""A converted checkpoint works where there is nothing but torch, transformers, numpy, pillow and safetensors, far from this repository."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from linked_packages import link_packages
from safetensors.torch import load_file

from earthmind.export import pack
from earthmind.model.hca_fusion import UPSTREAM
from eocore.export.hf import write_checkpoint
from eocore.export.verify import TOLERANCE, Findings, examine

SCRIPT = Path(__file__).with_name("use_checkpoint.py")
PACKAGES = ("torch", "transformers", "numpy", "pillow", "safetensors")
AUTO_CLASSES = ("AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModel")
INTERPRETER = "EOCORE_CLEAN_PYTHON"
"""Environment variable: an interpreter that has these packages and no other."""


def own_environment(folder: Path, constraints: Path) -> str:
    """The interpreter of an environment made for the purpose, kept in `folder` for the next time."""
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-c", str(constraints), *PACKAGES], check=True)
        done.touch()
    return str(python)


@pytest.fixture(scope="module", params=["links", pytest.param("environment", marks=[pytest.mark.slow, pytest.mark.net])])
def clean_python(request: pytest.FixtureRequest, repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Command that runs a script where only PACKAGES are: by links (no set-up), or in an environment of its own."""
    if request.param == "links":
        return [sys.executable, "-I", "-S", str(SCRIPT), str(link_packages(tmp_path_factory.mktemp("clean") / "packages", PACKAGES))]
    cache = request.config.cache
    assert cache is not None
    python = os.environ.get(INTERPRETER) or own_environment(cache.mkdir("clean_environment"), repo_root / "constraints.txt")
    return [python, "-I", str(SCRIPT), "-"]


Converted = tuple[Path, Findings, Path]


def converted(made: Any, out: Path) -> Converted:
    """A folder whose model answers [SEG] whatever it is asked, what it computes here, and its parity check."""
    shipment = pack(SimpleNamespace(model=made.model, processor=made.processor))
    made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 1e4]]
    write_checkpoint(shipment, out, card="# tiny\n")
    return out, examine(shipment), shipment.parity_check


@pytest.fixture(scope="module")
def checkpoint(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A tiny converted model."""
    return converted(make_tiny(grounding_fusion="first", processor={"max_tiles": 2}), tmp_path_factory.mktemp("converted") / "model")


@pytest.fixture(scope="module")
def fused(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """Another with the fusion of the second upstream release, as released."""
    made = make_tiny(fusion="hca", hca=UPSTREAM, processor={"max_tiles": 2})
    return converted(made, tmp_path_factory.mktemp("fused") / "model")


@pytest.fixture(scope="module")
def used(clean_python: list[str], checkpoint: Converted, fused: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script saved."""
    out = tmp_path_factory.mktemp("used")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(out / "modules")}
    command = [*clean_python, str(checkpoint[0]), str(checkpoint[2]), str(out), str(fused[0])]
    done = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "is not supported for" not in done.stderr and "Do you wish to run" not in done.stdout
    return out


def test_every_auto_class_gives_the_same_logits_and_masks(used: Path, checkpoint: Converted, fused: Converted) -> None:
    for name, expected in (*((name, checkpoint[1].outputs) for name in AUTO_CLASSES), ("fused", fused[1].outputs)):
        assert {"logits", "mask_logits"} <= set(expected)
        found = load_file(used / f"{name}.safetensors")
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=0, atol=TOLERANCE)


def test_published_calls_and_pipeline_answer(used: Path) -> None:
    results = json.loads((used / "results.json").read_text())
    assert all(name.startswith("transformers_modules.") for name in results["code"])
    assert results["processor_apart"][0] == results["processor_apart"][1]
    assert "fusion.queries" in results["parameters"]
    assert results["single"] == {"text": "[SEG][SEG]", "shapes": [[1, 40, 60]] * 2, "types": ["bool"] * 2}
    assert results["pair"] == {"text": "[SEG][SEG][SEG]", "shapes": [[1, 40, 60]] * 3, "types": ["bool"] * 3}
    assert results["fused_pair"] == ["[SEG][SEG]", [2, 1], [[3, 16, 1]] * 2]
    shapes = [[1, 40, 60], [3, 40, 60], [1, 40, 60]]
    assert results["quick_start"] == [{"text": "[SEG]", "shapes": [shape], "types": ["bool"]} for shape in shapes]
    assert results["pipeline"] == results["pipeline_pair"] == "[SEG][SEG]"
    assert results["pipeline_batch"] == ["[SEG][SEG]"] * 2
    assert not results["torchvision"]


def test_environment_of_links_offers_the_packages_alone(tmp_path: Path) -> None:
    offered = {path.name for path in link_packages(tmp_path / "packages", PACKAGES).iterdir()}
    assert {"torch", "transformers", "numpy", "PIL", "safetensors", "jinja2"} <= offered
    assert not offered & {"mmengine", "earthmind", "eocore", "torchvision", "rasterio", "peft", "accelerate", "deepspeed"}
