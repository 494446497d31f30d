"""Steps on sample kinds: the samples hold what they state, the upstream structure computes the same losses, and nothing wasted is left."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from earthmind.task import EarthMindTask
from eocore.errors import ConfigError
from profiling.earthmind.flops import attention_flops, linear_flops, sample_lengths, step_flops
from profiling.earthmind.samples import KINDS, MIX, kinds_of, make_batch
from profiling.earthmind.setting import build_setting
from profiling.earthmind.steps import Trainer, measure_data, measure_training
from profiling.earthmind.upstream_step import UpstreamStep
from profiling.measures.operators import OperatorCount

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def task(make_fields: Callable[..., dict[str, Any]]) -> EarthMindTask:
    """A tiny task that trains what the upstream recipe trains."""
    fields = make_fields(tie=False)
    fields["text_config"]["vocab_size"] = 400
    settings = {
        "model": fields,
        "tokenizer": {"type": "PretrainedTokenizer", "path": "nowhere"},
        "processor": {"max_tiles": 12},
        "trainable": ["projector", "fusion", "seg_head.projector", "seg_head.sam.mask_decoder", "language_model.lm_head"],
        "lora": {"rank": 2, "alpha": 4, "dropout": 0.0},
        "losses": {"num_points": 32},
    }
    return build_setting(settings, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize("name", KINDS)
def test_a_sample_holds_what_its_kind_states(task: EarthMindTask, name: str) -> None:
    kind, batch = KINDS[name], make_batch(task, [name])
    vision = int((batch.input_ids == task.processor.image_token_id).sum())
    assert batch.num_tokens - vision == kind.text
    assert len(batch.supervised.positions) == kind.supervised
    assert len(batch.vision.tiles) == kind.tiles * len(kind.sensors)
    assert (0 if batch.segments.is_dummy else len(batch.segments.masks)) == kind.masks
    assert batch.vision.tiles.dtype == torch.uint8


def test_the_mix_is_of_twenty_and_unknown_kinds_are_refused() -> None:
    assert len(kinds_of("mix")) == 20 and set(MIX) <= set(KINDS)
    with pytest.raises(ConfigError, match=r"no sample kind 'vga'. Choices: vqa, seg"):
        kinds_of("vga")


def test_the_published_structure_learns_the_same_text(task: EarthMindTask) -> None:
    batch = make_batch(task, ["vqa"])
    ours = task.parse_losses(task(batch))[0]
    upstream = UpstreamStep(task)
    kernel = task.model.language_model.config._attn_implementation
    with upstream.switched():
        assert task.model.language_model.config._attn_implementation == "eager"
        theirs = upstream.loss(batch)
        theirs.backward()
    assert task.model.language_model.config._attn_implementation == kernel
    assert not any(getattr(layer, "gradient_checkpointing", False) for layer in task.model.modules())
    torch.testing.assert_close(ours, theirs)
    task.zero_grad()


def test_it_looks_a_third_time_at_pairs_and_draws_what_is_not_there(task: EarthMindTask) -> None:
    def tiles_and_images(work: Callable[[], object]) -> tuple[int, int]:
        seen = {"tiles": 0, "images": 0}
        parts = {"tiles": task.model.vision_tower.embeddings, "images": task.model.seg_head.sam.vision_encoder}
        hooks = [
            part.register_forward_pre_hook(
                lambda _, args, kwargs, name=name: seen.update({name: seen[name] + len(args[0] if args else kwargs["pixel_values"])}),
                with_kwargs=True,
            )
            for name, part in parts.items()
        ]
        work()
        for hook in hooks:
            hook.remove()
        return seen["tiles"], seen["images"]

    batch, upstream = make_batch(task, ["pair"]), UpstreamStep(task)
    with upstream.switched():
        assert tiles_and_images(lambda: upstream.loss(batch)) == (3, 1)
    assert tiles_and_images(lambda: task(batch)) == (2, 0)


def test_no_operator_of_a_step_has_rows_for_every_position_and_word(task: EarthMindTask) -> None:
    """W3: logits exist at supervised positions alone; W7: operators are counted."""
    batch = make_batch(task, ["vqa"])
    sizes, rows = task.model.config.text_config, set()

    class Widest(OperatorCount):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = super().__torch_dispatch__(func, types, args, kwargs)
            if isinstance(result, torch.Tensor) and result.dim() >= 2 and result.shape[-1] == sizes.vocab_size:
                rows.add(result.shape[-2])
            return result

    with Widest() as count:
        task.parse_losses(task(batch))[0].backward()
    # the other is the head itself, turned
    assert rows - {sizes.hidden_size} == {KINDS["vqa"].supervised}
    assert count.total > 100
    task.zero_grad()


@pytest.mark.parametrize("name", ["vqa", "pair", "seg"])
def test_a_step_does_not_make_the_host_wait(task: EarthMindTask, name: str) -> None:
    """W16: what the collator could know is not asked of the device; boolean masks, `.item()` and `.tolist()` would be."""
    batch = make_batch(task, [name])
    with OperatorCount() as count:
        total, _ = task.parse_losses(task(batch))
        total.backward()
    assert dict(count.waits) == {}
    task.zero_grad()


def test_useful_operations_are_those_torch_counts_but_for_causal_halves(task: EarthMindTask) -> None:
    language: Any = task.model.language_model
    kernel = language.config._attn_implementation
    states = torch.zeros(1, 48, task.model.config.text_config.hidden_size, requires_grad=True)
    language.set_attn_implementation("eager")  # torch does not count the fused kernel of CPUs
    try:
        with FlopCounterMode(display=False) as counter:
            task.model.decode(states, torch.arange(48)[None]).sum().backward()
    finally:
        language.set_attn_implementation(kernel)
    full_attention = 2 * attention_flops(task, [48])
    assert counter.get_total_flops() == pytest.approx(48 * linear_flops(language.get_decoder(), input_gradient=True) + full_attention)
    task.zero_grad()


def test_packed_samples_cost_what_they_cost_alone(task: EarthMindTask) -> None:
    alone = sum(step_flops(task, make_batch(task, [name])).total for name in ("vqa", "seg"))
    packed = make_batch(task, ["vqa", "seg"], row_length=400)
    assert len(packed.input_ids) == 1 and sum(sample_lengths(packed)) == packed.num_tokens
    assert step_flops(task, packed).total == pytest.approx(alone)


def test_training_is_measured(task: EarthMindTask) -> None:
    found = measure_training(Trainer(task), "seg", ceiling=1e12, repeats=1)
    assert found.samples == 1 and found.tokens == make_batch(task, ["seg"]).num_tokens
    assert 0 < found.mfu < 1 and found.operators > 100
    assert sum(seconds for part, seconds in found.parts.items() if part != "data") == pytest.approx(found.seconds, rel=0.3)
    assert measure_data(Trainer(task), "vqa", repeats=1)["samples/s"] > 0
