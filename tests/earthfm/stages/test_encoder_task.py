"""The encoder's own training: fractions of classes, a loss every weight takes part in, learning, a checkpoint that a bridge takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm_samples import ENCODER, images

from earthfm.stages.encoder_task import EarthFmEncoderTask
from eocore.errors import AlignmentError, CheckpointError, ConfigError


def make(world: Path, **changes: Any) -> EarthFmEncoderTask:
    torch.manual_seed(0)
    data = {
        "type": "LlavaDataset",
        "annotations": str(world / "train" / "caption.json"),
        "images": {"multispectral": images(world, "train")},
        "transforms": [{"type": "ClassMapBeside"}],
    }
    return EarthFmEncoderTask(
        **{"encoder": ENCODER, "num_classes": 7, "data": data, "batch_size": 4, "num_workers": 0, "length_window": None, **changes}
    )


def batch_of(task: EarthFmEncoderTask) -> Any:
    return next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))


def test_every_weight_takes_part_and_the_loss_falls(world: Path) -> None:
    task = make(world)
    batch = batch_of(task)
    assert batch.fractions.shape == (4, 64, 7)
    torch.testing.assert_close(batch.fractions.sum(-1), torch.ones(4, 64))
    optimiser = torch.optim.AdamW(task.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss, logged = task.parse_losses(task(batch))
        loss.backward()
        assert all(parameter.grad is not None for parameter in task.parameters() if parameter.requires_grad)
        optimiser.step()
        losses.append(float(logged["loss_patches"]))
    assert losses[-1] < losses[0] - 0.2


def test_a_bridge_starts_with_its_encoder(
    world: Path, make_task: Callable[..., Any], make_fields: Callable[..., Any], tmp_path: Path
) -> None:
    trained = make(world)
    file = tmp_path / "model.safetensors"
    saved = {name: value.detach().contiguous() for name, value in trained.named_parameters() if value.requires_grad}
    assert len(saved) == len(list(trained.parameters())) - 1, "all but the table of months"
    save_file(saved, file)
    model = {**make_fields()["model"], "encoder_weights": str(file)}
    made = make_task(model=model).model
    assert all(torch.equal(value, trained.model.encoder.state_dict()[name]) for name, value in made.encoder.state_dict().items())
    assert made.config.encoder_source.startswith("model.safetensors:")
    model["encoder"] = {**ENCODER, "depth": 2}
    with pytest.raises(CheckpointError, match=r"missing, of another size, or that nothing reads: model.blocks.1"):
        make_task(model=model)
    save_file({"model.head.weight": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match="holds no encoder: it is the checkpoint of another training"):
        make_task(model=model)


def test_data_that_does_not_fit_is_refused(world: Path) -> None:
    with pytest.raises(AlignmentError, match=r"numbers \d to \d; expected 64 x 64 px and 0 to 1"):
        batch_of(make(world, num_classes=2))
    data = {**make(world).options.data, "transforms": []}  # type: ignore[dict-item]
    with pytest.raises(AlignmentError, match=r"names no class map\. Add the transform ClassMapBeside"):
        batch_of(make(world, data=data))
    with pytest.raises(ConfigError, match="is unknown"):
        make(world, encoder={"size": "huge"})
