from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from aerith_models import MODEL

from aerith.losses import centred_cosine
from aerith.stages.alignment import AerithAlignmentTask
from eocore.errors import ConfigError
from eocore.models.freeze import trainable_names


@pytest.fixture
def make(world: Path, scene_images: dict[str, Any]) -> Callable[..., AerithAlignmentTask]:
    def made(**changes: Any) -> AerithAlignmentTask:
        data = {"type": "LlavaDataset", "annotations": str(world / "train" / "vqa.json"), "images": scene_images}
        fields = {"model": {**MODEL, "parts": {"clip": "new", "dinov3": "new"}}, "data": data, "batch_size": 4, "num_workers": 0}
        return AerithAlignmentTask(**{**fields, **changes})

    return made


def test_the_head_alone_trains_and_its_space_becomes_clip_s(make: Callable[..., AerithAlignmentTask]) -> None:
    torch.manual_seed(0)
    task = make()
    assert trainable_names(task) == ["model.head.weight", "model.head.bias"]
    batch = next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))
    assert batch.clip.shape == (4, 3, 28, 28) and batch.dinov3.shape == (4, 3, 32, 32)
    optimiser = torch.optim.Adam(task.model.head.parameters(), lr=0.02)
    found = []
    for _ in range(30):
        losses = task(batch)
        found.append((losses["loss_cosine"].item(), losses["centred_cosine"].item()))
        optimiser.zero_grad()
        task.parse_losses(losses)[0].backward()
        optimiser.step()
    assert found[-1][0] < 0.5 * found[0][0] and found[-1][1] > found[0][1] + 0.1


def test_a_constant_is_not_aligned_however_large_the_mean() -> None:
    targets = torch.randn(2, 50, 8, generator=torch.Generator().manual_seed(0)) + 10
    constant = targets.mean((0, 1)).expand_as(targets)
    assert torch.nn.functional.cosine_similarity(constant, targets, dim=-1).mean() > 0.95
    noise = constant + 1e-3 * torch.randn(targets.shape, generator=torch.Generator().manual_seed(1))
    assert abs(centred_cosine(noise, targets)) < 0.15 and centred_cosine(targets * 3 + 1, targets) > 0.99


def test_towers_without_a_source_are_refused(make: Callable[..., AerithAlignmentTask]) -> None:
    with pytest.raises(ConfigError, match=r"task\.model\.parts names no 'dinov3'"):
        make(model={**MODEL, "parts": {"clip": "new"}})
    with pytest.raises(ConfigError, match=r"this training has none\. Leave it out"):
        make(packing={"max_tokens": 9}, batch_size=1).build_loader(rank=0, world_size=1, seed=0, start_step=0)
