from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from earthmind_models import sam3_fields
from tolerances import ACROSS_LAYOUTS
from torch import Tensor
from transformers import AutoModel

from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.model.mask_head import PredictedMasks, SegHead
from earthmind.planning.cost_model import sample_cost


@pytest.fixture
def head(tiny: Any) -> SegHead:
    return tiny.model.seg_head


@pytest.fixture
def gated(make_tiny: Callable[..., Any]) -> SegHead:
    return make_tiny(grounding_fusion="gated").model.seg_head


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 3, 64, 64), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def states(count: int) -> Tensor:
    return torch.randn(count, 32, generator=torch.Generator().manual_seed(5))


def draw(head: SegHead, features: list[Tensor], prompts: Tensor, owners: list[int]) -> PredictedMasks:
    """Masks of prompts whose images are `owners`, slots counted within each."""
    slots = [owners[:number].count(owner) for number, owner in enumerate(owners)]
    sample, slot = torch.tensor(owners), torch.tensor(slots)
    return head.decode_masks(prompts, features, sample=sample, slot=slot, num_slots=max(slots) + 1)


@torch.no_grad()
def test_prompts_drawn_together_equal_prompts_drawn_one_by_one(head: SegHead) -> None:
    owners = [0, 1, 1, 1, 2, 0]
    prompts, features = head.project_seg(states(6)), head.encode(pictures(3))
    together = draw(head, features, prompts, owners)
    assert together.candidates.shape == (6, 3, 16, 16)
    for number, owner in enumerate(owners):
        alone = draw(head, head.encode(pictures(3)[owner : owner + 1]), prompts[number : number + 1], [0])
        torch.testing.assert_close(together.candidates[number], alone.candidates[0], **ACROSS_LAYOUTS.close)
        torch.testing.assert_close(together.iou_scores[number], alone.iou_scores[0], **ACROSS_LAYOUTS.close)
        torch.testing.assert_close(together.chosen[number], alone.chosen[0], **ACROSS_LAYOUTS.close)


@torch.no_grad()
def test_masks_depend_on_prompt_and_image(head: SegHead) -> None:
    prompts, features = head.project_seg(states(2)), head.encode(pictures(2))
    drawn = draw(head, features, torch.cat([prompts[:1]] * 2 + [prompts[1:]]), [0, 1, 0])
    assert not torch.allclose(drawn.candidates[0], drawn.candidates[1], atol=1e-3)
    assert not torch.allclose(drawn.candidates[0], drawn.candidates[2], atol=1e-3)


@torch.no_grad()
def test_the_candidate_of_highest_predicted_iou_is_chosen(head: SegHead) -> None:
    drawn = draw(head, head.encode(pictures(2)), head.project_seg(states(8)), [0, 1] * 4)
    for number, best in enumerate(drawn.iou_scores.argmax(-1).tolist()):
        assert torch.equal(drawn.chosen[number], drawn.candidates[number, best])


def test_gradient_goes_from_the_chosen_mask_to_state_and_image_encoder(head: SegHead) -> None:
    hidden = states(1).requires_grad_()
    parts = [
        head.projector[0].weight,
        head.sam.vision_encoder.backbone.patch_embed.projection.weight,
        head.sam.mask_decoder.mask_tokens.weight,
    ]
    chosen = draw(head, head.encode(pictures(1)), head.project_seg(hidden), [0]).chosen
    gradients = torch.autograd.grad(chosen.sum(), [hidden, *parts])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


class TestFirst:
    def test_features_pass_unchanged(self, head: SegHead) -> None:
        features = head.encode(pictures(2))
        assert head.combine(features, torch.tensor([0, 1]), num_samples=2) is features

    def test_several_images_a_sample_are_an_error(self, head: SegHead) -> None:
        with pytest.raises(
            ValueError, match=r"3 grounding images for 2 samples, but grounding_fusion='first' takes one a sample; .* to 'gated'"
        ):
            head.combine(head.encode(pictures(3)), torch.tensor([0, 0, 1]), num_samples=2)


class TestGated:
    @pytest.fixture(autouse=True)
    def without_gradients(self) -> Iterator[None]:
        with torch.no_grad():
            yield

    def test_one_image_a_sample_is_the_image_itself(self, gated: SegHead) -> None:
        features = gated.encode(pictures(2))
        for level, mixed in zip(features, gated.combine(features, torch.tensor([0, 1]), num_samples=2), strict=True):
            torch.testing.assert_close(mixed, level, **ACROSS_LAYOUTS.close)

    def test_the_same_image_twice_is_that_image(self, gated: SegHead) -> None:
        features = gated.encode(pictures(1).expand(2, -1, -1, -1))
        for level, mixed in zip(features, gated.combine(features, torch.tensor([0, 0]), num_samples=1), strict=True):
            torch.testing.assert_close(mixed, level[:1], **ACROSS_LAYOUTS.close)

    def test_two_images_are_mixed_by_the_softmax_of_their_scores(self, gated: SegHead) -> None:
        features = gated.encode(pictures(4))
        mixed = gated.combine(features, torch.tensor([0, 1, 0, 1]), num_samples=2)
        score = gated.gate(features[-1])
        for sample in range(2):
            share = torch.softmax(score[sample::2], dim=0)
            torch.testing.assert_close(mixed[-1][sample], (share * features[-1][sample::2]).sum(0), **ACROSS_LAYOUTS.close)

    def test_samples_do_not_meet(self, gated: SegHead) -> None:
        features = gated.encode(pictures(4))
        together = gated.combine(features, torch.tensor([0, 0, 1, 1]), num_samples=2)
        alone = gated.combine([level[2:] for level in features], torch.tensor([0, 0]), num_samples=1)
        torch.testing.assert_close(together[0][1:], alone[0], **ACROSS_LAYOUTS.close)

    def test_a_sample_of_far_lower_scores_keeps_its_features(self, gated: SegHead) -> None:
        features = gated.encode(pictures(2))
        features[-1][0] += 1e4 * gated.gate.weight[0]
        for level, mixed in zip(features, gated.combine(features, torch.tensor([0, 1]), num_samples=2), strict=True):
            torch.testing.assert_close(mixed[1], level[1], **ACROSS_LAYOUTS.close)

    def test_the_gate_is_learned(self, gated: SegHead) -> None:
        with torch.enable_grad():
            mixed = gated.combine(gated.encode(pictures(2)), torch.tensor([0, 0]), num_samples=1)
            (gradient,) = torch.autograd.grad(mixed[-1].square().sum(), [gated.gate.weight])
        assert (gradient != 0).any()


def test_dummy_features_are_small_and_are_drawn_on_like_real_ones(head: SegHead) -> None:
    real, dummy = head.encode(pictures(2)), head.dummy_features(2)
    assert [level.shape[:2] for level in dummy] == [level.shape[:2] for level in real]
    assert [level.shape[2:] for level in dummy] == [(4, 4), (2, 2), (1, 1)]
    prompts, index = torch.randn(3, head.projector[-1].out_features), torch.tensor([0, 0, 1])
    drawn = head.decode_masks(prompts, dummy, sample=index, slot=torch.tensor([0, 1, 0]), num_slots=2)
    assert drawn.chosen.shape == (3, 4, 4) and drawn.candidates.isfinite().all()


class TestSam3:
    """SAM 3's tracker in place of SAM 2, chosen by the config."""

    @pytest.fixture(params=[(4.0, 2.0, 1.0, 0.5), (4.0, 2.0, 1.0)], ids=["four levels", "three levels"])
    def drawing(self, request: pytest.FixtureRequest, make_tiny: Callable[..., Any]) -> Any:
        return make_tiny(sam_config=sam3_fields(64, request.param)).model

    @torch.no_grad()
    def test_images_are_encoded_as_in_transformers(self, drawing: Any) -> None:
        head = drawing.seg_head
        theirs = AutoModel.from_config(drawing.config.sam_config).eval()
        theirs.load_state_dict(head.sam.state_dict())
        mean, std = (torch.tensor(value)[:, None, None] for value in (head.mean, head.std))
        expected = theirs.get_image_embeddings((pictures(2) / 255 - mean) / std)
        for level, other in zip(head.encode(pictures(2)), expected, strict=True):
            torch.testing.assert_close(level, other, **ACROSS_LAYOUTS.close)

    @torch.no_grad()
    def test_prompts_without_a_state_draw_as_in_transformers(self, drawing: Any) -> None:
        """The projected [SEG] state in the position of a third "not a point": then the prompt is one of theirs."""
        head = drawing.seg_head
        theirs = AutoModel.from_config(drawing.config.sam_config).eval()
        theirs.load_state_dict(head.sam.state_dict())
        points, labels = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2), -1, dtype=torch.int32)
        sparse, _ = theirs.prompt_encoder(input_points=points, input_labels=labels, input_boxes=None, input_masks=None)
        features = head.encode(pictures(1))
        expected = theirs(image_embeddings=features, input_points=points, input_labels=labels, multimask_output=True)
        drawn = draw(head, features, sparse[0, 0, -1:], [0])
        assert sparse.shape[2] == 3, "theirs adds one more to the points"
        torch.testing.assert_close(drawn.candidates, expected.pred_masks[0], **ACROSS_LAYOUTS.close)
        torch.testing.assert_close(drawn.iou_scores, expected.iou_scores[0], **ACROSS_LAYOUTS.close)

    def test_a_mask_learns_from_the_state(self, drawing: Any) -> None:
        head, hidden = drawing.seg_head, states(1).requires_grad_()
        chosen = draw(head, head.encode(pictures(1)), head.project_seg(hidden), [0]).chosen
        parts = [hidden, head.projector[0].weight, head.sam.mask_decoder.mask_tokens.weight]
        assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(chosen.sum(), parts))

    def test_it_is_kept_in_a_config(self, drawing: Any) -> None:
        again = EarthMindConfig(**drawing.config.to_dict())
        assert again.sam_config.model_type == "sam3_tracker" and again.to_dict()["sam_config"] == drawing.config.to_dict()["sam_config"]
        assert sample_cost(drawing, recomputed=False).mask_image > 0
