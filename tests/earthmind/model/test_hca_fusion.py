"""The second upstream release's fusion: its formula, and what a location's tokens depend on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from earthmind.model.hca_fusion import (
    UPSTREAM,
    FusionWords,
    HcaFusion,
    HcaSettings,
    among_sensors,
    best_relevance,
    self_entropy,
    sensor_weights,
    text_relevance,
    token_quality,
)
from earthmind.model.sensor_fusion import FusedTokens
from eocore.portable.fusion_plan import FusionText, plan_fusion

GOLDEN = {"rtol": 0, "atol": 1e-5}
"""As the README of the golden tensors says, float32."""
SENSORS = ("rgb", "sar")
Golden = dict[str, Tensor]


@pytest.fixture(scope="module")
def golden_files(shared_dir: Path) -> list[Path]:
    """Every file of the kind: sizes are read from it."""
    files = sorted((shared_dir / "reference_model").glob("hca_golden*.safetensors"))
    if not files:
        pytest.skip("no golden tensors of this fusion")
    return files


@pytest.fixture(scope="module")
def goldens(golden_files: list[Path]) -> list[Golden]:
    return [load_file(path) for path in golden_files]


def pair_group(num_tiles: int) -> Tensor:
    """(2, 2T): RGB then SAR at each location."""
    return torch.stack([torch.arange(num_tiles).repeat_interleave(2), torch.arange(2 * num_tiles)])


def fuse(tokens: Tensor, group: Tensor, text: Tensor, *, samples: Tensor | None = None, **choices: Any) -> FusedTokens:
    """Of tokens (T, N, D) with words (L, D) that all samples read."""
    samples = torch.zeros(len(tokens), dtype=torch.long) if samples is None else samples
    owners = samples.unique().tolist()
    texts = [FusionText(torch.zeros(len(text), dtype=torch.long), [len(text)]) for _ in owners]
    plan = plan_fusion(group, samples, texts=texts, owners=owners)
    return HcaFusion(HcaSettings(**choices))(tokens, group, words=FusionWords(torch.cat([text] * len(owners)), plan))


def of_pair(golden: Golden, text: Tensor, **choices: Any) -> FusedTokens:
    pair = torch.stack([golden[f"in.{name}_tokens"] for name in SENSORS], dim=1).flatten(0, 1)
    return fuse(pair, pair_group(len(golden["in.rgb_tokens"])), text, **choices)


def weights_of(golden: Golden, text: Tensor, settings: HcaSettings) -> Golden:
    """Every figure of the formula by its name in the file."""
    found: Golden = {}
    num_tiles = len(golden["in.rgb_tokens"])
    one_sensor = torch.zeros(num_tiles, dtype=torch.long)
    for name in SENSORS:
        tokens = golden[f"in.{name}_tokens"]
        found[f"entropy_{name}"] = self_entropy(tokens, settings)
        found[f"quality_{name}"] = token_quality(found[f"entropy_{name}"], one_sensor, settings=settings)
        found[f"relevance_{name}"] = text_relevance(tokens, text, settings=settings)
        found[f"beta_{name}"] = best_relevance(tokens, text, settings=settings)
    location = torch.arange(num_tiles).repeat(2)
    quality, beta = (torch.cat([found[f"{what}_{name}"] for name in SENSORS]) for what in ("quality", "beta"))
    sizes = {"location": location, "num_locations": num_tiles}
    for name, value in (
        ("alpha_quality", among_sensors(quality, location, num_locations=num_tiles)),
        ("alpha_text", among_sensors(beta, location, num_locations=num_tiles)),
        ("alpha", sensor_weights(quality, beta, settings=settings, **sizes)),
    ):
        found[name] = torch.stack(value.chunk(2), dim=-1)
    return found


class TestFormula:
    @pytest.mark.parametrize(
        ("prefix", "choices", "with_answer"),
        [("hca", UPSTREAM, False), ("leak", UPSTREAM, True), ("tile", {"range_over": "tile"}, False)],
    )
    def test_golden_tensors(self, goldens: list[Golden], prefix: str, choices: dict[str, Any], with_answer: bool) -> None:
        for golden in goldens:
            text = golden["in.question_embeds"]
            text = torch.cat([text, golden["in.answer_embeds"]]) if with_answer else text
            found = weights_of(golden, text, HcaSettings(**choices))
            fused = of_pair(golden, text, **choices)
            found["fused_tokens"] = fused.tokens
            expected = {name.removeprefix(f"{prefix}."): value for name, value in golden.items() if name.startswith(f"{prefix}.")}
            assert len(expected) >= 5
            for name, value in expected.items():
                assert_close(found[name], value, msg=lambda text, name=name: f"{prefix}.{name}: {text}", **GOLDEN)
            assert_close(fused.importance.unflatten(0, (-1, 2)).transpose(1, 2), found["alpha"], **GOLDEN)

    def test_a_range_of_each_tile_is_another(self, goldens: list[Golden]) -> None:
        for golden in goldens:
            apart = of_pair(golden, golden["in.question_embeds"], range_over="tile").tokens
            assert (apart - golden["hca.fused_tokens"]).abs().max() > 1e-4

    def test_low_precision_is_computed_in_float32(self, goldens: list[Golden]) -> None:
        for golden in goldens:
            rounded = {name: value.bfloat16() for name, value in golden.items()}
            low = of_pair(rounded, rounded["in.question_embeds"])
            high = of_pair({name: value.float() for name, value in rounded.items()}, rounded["in.question_embeds"].float())
            assert low.tokens.dtype == torch.bfloat16 and low.importance.dtype == torch.float32
            assert_close(low.importance, high.importance, rtol=0, atol=0)
            assert torch.equal(low.tokens, high.tokens.bfloat16())

    def test_opposite_tokens_in_half_precision_give_numbers(self) -> None:
        one = torch.ones(1, 1, 8)
        tokens = torch.cat([one, -one], dim=1).repeat(2, 1, 1).half().requires_grad_()
        fused = fuse(tokens, pair_group(1), torch.ones(1, 8).half())
        fused.tokens.float().sum().backward()
        assert fused.tokens.isfinite().all() and tokens.grad is not None and tokens.grad.isfinite().all()


def random_tokens(num_tiles: int, seed: int = 1) -> Tensor:
    return torch.randn(num_tiles, 5, 8, generator=torch.Generator().manual_seed(seed))


WORDS = torch.randn(3, 8, generator=torch.Generator().manual_seed(9))


class TestSensors:
    def test_swapped_sensors_swap_their_weights(self) -> None:
        tokens = random_tokens(4)
        swapped = fuse(tokens[[1, 0, 3, 2]], pair_group(2), WORDS)
        assert_close(swapped.importance[[1, 0, 3, 2]], fuse(tokens, pair_group(2), WORDS).importance)

    def test_equal_sensors_weigh_half_and_weights_sum_to_one(self) -> None:
        twice = random_tokens(2).repeat_interleave(2, 0)
        assert_close(fuse(twice, pair_group(2), WORDS).importance, torch.full((4, 5), 0.5))
        three = fuse(random_tokens(3), torch.tensor([[0, 0, 0], [0, 1, 2]]), WORDS)
        assert three.tokens.shape == (1, 5, 8)
        assert_close(three.importance.sum(0), torch.ones(5))

    def test_a_sensor_alone_keeps_its_tokens_to_the_bit(self) -> None:
        tokens = 1e3 * random_tokens(3)
        fused = fuse(tokens, torch.tensor([[0, 1, 2], [0, 1, 2]]), WORDS, text_weight=0.1)
        assert torch.equal(fused.tokens, tokens) and (fused.importance == 1).all()

    def test_views_of_one_sensor_count_as_their_mean(self) -> None:
        tokens = random_tokens(3)
        fused = fuse(tokens, torch.tensor([[0, 0, 0], [0, 0, 1]]), WORDS)
        pair = fuse(torch.stack([tokens[:2].mean(0), tokens[2]]), pair_group(1), WORDS)
        assert_close(fused.tokens, pair.tokens)
        assert_close(fused.importance, pair.importance[[0, 0, 1]] / torch.tensor([2.0, 2.0, 1.0])[:, None])

    def test_samples_of_a_batch_do_not_meet(self) -> None:
        first, second = random_tokens(4), 3 * random_tokens(2, seed=2)
        samples = torch.tensor([0, 0, 0, 0, 1, 1])
        together = fuse(torch.cat([first, second]), pair_group(3), WORDS, samples=samples)
        apart = [fuse(first, pair_group(2), WORDS).tokens, fuse(second, pair_group(1), WORDS).tokens]
        assert_close(together.tokens, torch.cat(apart))

    def test_without_words_the_sensors_are_equally_relevant(self) -> None:
        fused = fuse(random_tokens(2), pair_group(1), WORDS[:0], text_weight=1.0)
        assert_close(fused.importance, torch.full((2, 5), 0.5))

    def test_gradients_reach_tokens_and_words(self) -> None:
        tokens, words = random_tokens(4).requires_grad_(), WORDS.clone().requires_grad_()
        fuse(tokens, pair_group(2), words).tokens.square().sum().backward()
        assert tokens.grad is not None and words.grad is not None
        assert (tokens.grad != 0).any(-1).all() and words.grad.any()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"text_span": "all"}, r"hca.text_span='all' is unknown; choices: question, upstream"),
        ({"range_over": "image"}, r"hca.range_over='image' is unknown; choices: sample, tile"),
        ({"self_temperature": 0.0}, r"hca.self_temperature=0.0, expected a number above 0"),
        ({"text_weight": 1.5}, r"hca.text_weight=1.5, expected a fraction from 0 to 1"),
    ],
)
def test_wrong_choices_are_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HcaSettings(**choices)


def test_constants_are_those_of_the_release() -> None:
    settings = HcaSettings()
    assert (settings.self_temperature, settings.text_temperature, settings.text_weight) == (0.1, 0.2, 0.7)
    assert (settings.norm_epsilon, settings.log_epsilon, settings.range_epsilon) == (1e-6, 1e-10, 1e-6)
