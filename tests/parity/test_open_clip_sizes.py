"""The full-size configs have the tensors of OpenCLIP's models of that name, all of them and no other, on the meta device."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from eocore.checkpoints.composition import compose
from eocore.checkpoints.key_map import KeyMap, our_headers
from eocore.checkpoints.key_maps.clip import open_clip_rules
from eocore.checkpoints.weight_files import Header, LazyTensor
from eocore.config import load_config
from eocore.system import systems_of_config
from ms_clip.checkpoints.layouts import OPEN_CLIP, UPSTREAM, Source
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.planning.meta_task import outline

if find_spec("open_clip") is None:
    pytest.skip(
        "OpenCLIP is not installed: bash tools/setup_env.sh --extras train,eval,open_clip,dev (CONTRIBUTING.md)", allow_module_level=True
    )

CONV = "visual.conv1.weight"
CONFIGS = {"b16_ssl4eo": ("ViT-B-16", 10), "b16_ssl4eo_rgb": ("ViT-B-16", 3), "l14_ssl4eo": ("ViT-L-14", 10)}
"""Config -> OpenCLIP's name of its model, and channels."""
NUMBERS = {"ViT-B-16": 149_620_737, "ViT-L-14": 427_616_513}
"""Parameters, as OpenCLIP states them (docs/model_profile.csv: 149.62 M and 427.62 M)."""

Shapes = dict[str, tuple[int, ...]]
every_config = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture(scope="module")
def released(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shapes]:
    """OpenCLIP's name of a model -> shape of every tensor of its state."""
    folder = tmp_path_factory.mktemp("shapes")
    program = Path(__file__).with_name("open_clip_oracle.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (repo_root, repo_root / "projects")))}
    done = subprocess.run([sys.executable, program, folder, *NUMBERS], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "shapes.json").read_text())
    return {size: {name: tuple(shape) for name, shape in shapes.items()} for size, shapes in found.items()}


@pytest.fixture(scope="module")
def models(repo_root: Path) -> dict[str, MsClipModel]:
    configs = {name: load_config(repo_root / "configs" / "ms_clip" / f"ms_clip_{name}.py") for name in CONFIGS}
    for config in configs.values():
        systems_of_config(config)
    return {name: outline(config.task).model for name, config in configs.items()}


def never() -> Any:
    raise AssertionError("no value is read")


def lazy(shapes: Shapes) -> dict[str, LazyTensor]:
    return {name: LazyTensor(Header(shape, torch.float32), never) for name, shape in shapes.items()}


def expected(released: dict[str, Shapes], name: str) -> Shapes:
    size, channels = CONFIGS[name]
    width, _, *patch = released[size][CONV]
    return {**released[size], CONV: (width, channels, *patch)}


@every_config
def test_its_tensors_are_the_released_ones_under_their_names(
    name: str, released: dict[str, Shapes], models: dict[str, MsClipModel]
) -> None:
    ours = {key: LazyTensor(header, never) for key, header in our_headers(models[name]).items()}
    back = KeyMap(OPEN_CLIP, open_clip_rules({})).reversed().apply_tensors(ours, origin=name)
    assert not back.unexpected
    assert {key: tensor.header.shape for key, tensor in back.tensors.items()} == expected(released, name)


@every_config
@pytest.mark.parametrize("layout", [OPEN_CLIP, UPSTREAM])
def test_a_state_of_that_size_fills_it_and_tells_its_sizes(
    name: str, layout: str, released: dict[str, Shapes], models: dict[str, MsClipModel]
) -> None:
    source = Source(layout, Path("released"), lazy(expected(released, name)), {})
    composition = compose([source.map()], our_headers(models[name]))
    composition.require_whole()
    sizes, config = source.sizes(), models[name].config
    assert sizes["projection_dim"] == config.projection_dim
    for tower in ("vision_config", "text_config"):
        assert {key: getattr(getattr(config, tower), key) for key in sizes[tower]} == sizes[tower]


def test_they_have_as_many_parameters_as_openclip_states(released: dict[str, Shapes], models: dict[str, MsClipModel]) -> None:
    for size, number in NUMBERS.items():
        assert sum(torch.Size(shape).numel() for shape in released[size].values()) == number
    assert models["b16_ssl4eo_rgb"].num_parameters() == NUMBERS["ViT-B-16"]
    new_bands = 7 * 16**2 * 768
    assert models["b16_ssl4eo"].num_parameters() == NUMBERS["ViT-B-16"] + new_bands
    assert models["l14_ssl4eo"].num_parameters() == NUMBERS["ViT-L-14"] + 7 * 14**2 * 1024
