import pytest
import torch
from tolerances import ACROSS_LAYOUTS
from transformers import CLIPVisionConfig, CLIPVisionModel

from eocore.errors import CheckpointError
from eocore.models.patch_embedding import widen_patch_embedding


def clip(num_channels: int) -> CLIPVisionModel:
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    }
    return CLIPVisionModel(CLIPVisionConfig(**sizes, num_channels=num_channels)).eval()


def test_a_widened_tower_sees_the_first_channels_as_before_and_the_others_not_at_all() -> None:
    narrow, wide = clip(3), clip(12)
    state = narrow.state_dict()
    (name,) = [name for name in state if "patch_embedding" in name]
    state[name] = widen_patch_embedding(state[name], 12)
    wide.load_state_dict(state)
    picture = torch.randn(2, 3, 32, 32)
    more = torch.cat([picture, 100 * torch.randn(2, 9, 32, 32)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(wide(more).last_hidden_state, narrow(picture).last_hidden_state, **ACROSS_LAYOUTS.close)


def test_new_channels_learn_from_the_first_step() -> None:
    weight = torch.nn.Parameter(widen_patch_embedding(torch.randn(4, 3, 2, 2), 5))
    torch.nn.functional.conv2d(torch.randn(1, 5, 4, 4), weight).square().sum().backward()
    assert (weight.grad[:, 3:] != 0).all()


def test_as_many_channels_are_left_alone() -> None:
    weight = torch.randn(4, 3, 2, 2, dtype=torch.bfloat16)
    assert torch.equal(widen_patch_embedding(weight, 3), weight)
    assert widen_patch_embedding(weight, 4).dtype == torch.bfloat16


@pytest.mark.parametrize(("shape", "channels"), [((4, 12, 2, 2), 3), ((4, 3), 12)])
def test_other_weights_are_refused(shape: tuple[int, ...], channels: int) -> None:
    with pytest.raises(CheckpointError, match=rf"cannot widen .*{shape[1]}.* to {channels} channels: expected \(D, <= {channels}, p, p\)"):
        widen_patch_embedding(torch.zeros(shape), channels)
