from pathlib import Path
from typing import Any

import pytest
import torch
from aerith_models import MODEL
from safetensors.torch import save_file

from aerith.building.models import build_config
from aerith.model.vision_aerith import FusedTowers
from aerith.pretrained import load_parts
from aerith.stages.alignment import PARTS
from aerith.stages.towers import AerithTowerTask
from eocore.errors import AlignmentError

CLASSES = {"1": "water", "2": "forest", "3": "cropland", "4": "built area", "5": "bare ground", "6": "grass"}


def make(world: Path, scene_images: dict[str, Any], **changes: Any) -> AerithTowerTask:
    data = {"type": "ClassMapDataset", "annotations": str(world / "train" / "landcover"), "images": scene_images, "classes": CLASSES}
    fields = {"model": MODEL, "num_classes": 6, "data": data, "batch_size": 8, "num_workers": 0}
    return AerithTowerTask(**{**fields, **changes})


def test_patches_learn_their_classes(world: Path, scene_images: dict[str, Any]) -> None:
    torch.manual_seed(0)
    task = make(world, scene_images)
    batch = next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))
    torch.testing.assert_close(batch.shares.sum(-1), torch.ones(8, 16))
    optimiser = torch.optim.Adam([parameter for parameter in task.parameters() if parameter.requires_grad], lr=3e-3)
    found = []
    for _ in range(25):
        losses = task(batch)
        found.append(losses["loss_patches"].item())
        optimiser.zero_grad()
        task.parse_losses(losses)[0].backward()
        optimiser.step()
    assert found[-1] < 0.8 * found[0]
    assert all(parameter.grad is not None for parameter in task.parameters() if parameter.requires_grad)


def test_its_checkpoint_is_a_source_of_the_tower(world: Path, scene_images: dict[str, Any], tmp_path: Path) -> None:
    task = make(world, scene_images)
    trained = {name: value.detach().clone() for name, value in task.named_parameters() if value.requires_grad}
    save_file(trained, tmp_path / "weights.safetensors")
    towers = FusedTowers(build_config(MODEL).vision_sizes)
    load_parts(towers, {"dinov3": str(tmp_path / "weights.safetensors")}, inside=PARTS)
    pixels = torch.randn(1, 3, 32, 32)
    towers.eval()
    task.eval()
    torch.testing.assert_close(towers.dinov3(pixel_values=pixels)[0], task.model.dinov3(pixel_values=pixels)[0])


def test_more_classes_than_told_are_refused(world: Path, scene_images: dict[str, Any]) -> None:
    with pytest.raises(AlignmentError, match=r"task\.num_classes is 2"):
        next(iter(make(world, scene_images, num_classes=2).build_loader(rank=0, world_size=1, seed=0, start_step=0)))
