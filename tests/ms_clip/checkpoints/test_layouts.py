"""What a source is, told from the names of its tensors; and what is refused as damaged."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from eocore.errors import CheckpointError
from ms_clip.checkpoints.layouts import CLIP, COPIES, OPEN_CLIP, UPSTREAM, open_source, recognises

STATE = {
    "visual.conv1.weight": torch.arange(16.0).reshape(2, 2, 2, 2),
    "token_embedding.weight": torch.ones(3, 2),
    "logit_scale": torch.tensor(1.0),
}


def upstream(**changes: Tensor) -> dict[str, Tensor]:
    copies = {prefix + name: tensor.clone() for prefix in COPIES for name, tensor in STATE.items()}
    return {**copies, "temperature": torch.tensor(0.05), **changes}


def saved(folder: Path, state: Mapping[str, Tensor], name: str = "weights.pt") -> Path:
    path = folder / name
    torch.save(dict(state), path)
    return path


def test_an_upstream_state_is_its_first_copy_and_the_temperature_its_scale(tmp_path: Path) -> None:
    state = upstream()
    state[f"{COPIES[0]}visual.conv1.weight"] += 1
    source = open_source(saved(tmp_path, state))
    assert source.layout == UPSTREAM and set(source.tensors) == set(STATE)
    assert torch.equal(source.tensors["visual.conv1.weight"].read(), STATE["visual.conv1.weight"] + 1)
    assert source.tensors["logit_scale"].read().exp().item() == pytest.approx(20)
    assert any("3 copies; the first is taken" in note for note in source.notes)


def test_an_openclip_state_is_told_and_what_is_assumed_of_it(tmp_path: Path) -> None:
    source = open_source(saved(tmp_path, STATE))
    assert source.layout == OPEN_CLIP and "GELU is assumed" in source.notes[0]
    (tmp_path / "open_clip_config.json").write_text('{"model_cfg": {"quick_gelu": true}}')
    assert open_source(tmp_path / "weights.pt").notes == ()


def test_a_folder_of_transformers_is_told(tmp_path: Path) -> None:
    state = {
        "vision_model.embeddings.patch_embedding.weight": torch.ones(2, 2),
        "text_model.embeddings.token_embedding.weight": torch.ones(2),
    }
    source = open_source(saved(tmp_path, state))
    assert source.layout == CLIP
    with pytest.raises(CheckpointError, match="model_type is None, expected 'clip'"):
        source.sizes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{COPIES[1]}visual.proj": torch.ones(1)}, r"found 1 that not all hold \(visual\.proj\) and 0 of another name"),
        ({"optimizer.step": torch.ones(1)}, r"0 that not all hold \(\) and 1 of another name \(optimizer\.step\)"),
    ],
)
def test_copies_that_are_not_alike_are_damage(tmp_path: Path, change: dict[str, Tensor], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        open_source(saved(tmp_path, upstream(**change)))


def test_what_is_no_clip_is_refused_by_its_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path, {"language_model.weight": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"of no known layout: .* Its first tensors: language_model\.weight"):
        open_source(path)
    assert not recognises(path) and not recognises(tmp_path / "nowhere") and recognises(saved(tmp_path, STATE, "other.pt"))


def test_a_state_without_the_tensors_that_tell_sizes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tensor visual\.positional_embedding, which tells a size"):
        open_source(saved(tmp_path, STATE)).sizes()
