"""The model: full sizes, batches as single samples, a frozen encoder, LoRA, saving, refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm_samples import make_scene
from transformers import AutoModelForCausalLM, PhiConfig

from earthfm.model.configuration_earthfm import EarthFmConfig
from earthfm.model.modeling_earthfm import EarthFmForConditionalGeneration
from eocore.models.lora import add_lora, lora_names

LORA = ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"]
QUESTIONS = ["What is it?", "Describe what you see in this satellite image in detail.", "Water?"]


def test_the_default_is_the_published_bridge() -> None:
    """Phi as in Moondream 2 (1.4 billion parameters) and 50,692,096 in the connector."""
    with torch.device("meta"):
        model = EarthFmForConditionalGeneration(EarthFmConfig())
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in model.named_children()}
    assert counts["connector"] == 50_692_096
    text = PhiConfig(vocab_size=51_200, hidden_size=2048, intermediate_size=8192, num_hidden_layers=24, num_attention_heads=32)
    with torch.device("meta"):
        alone = AutoModelForCausalLM.from_config(text)
    assert counts["language_model"] == sum(parameter.numel() for parameter in alone.parameters()) == 1_418_270_720


def test_lora_of_the_text_model_covers_attention_and_mlp() -> None:
    """24 layers of rank 16: four matrices of 2048 x 2048 and two of 2048 x 8192 each; upstream's reached the MLPs alone (7,864,320)."""
    with torch.device("meta"):
        model = EarthFmForConditionalGeneration(EarthFmConfig())
        names = add_lora(model.language_model, rank=16, alpha=32, target_modules=LORA)
    parameters = dict(model.language_model.named_parameters())
    counts = {part: sum(parameters[name].numel() for name in names if part in name) for part in ("self_attn", "mlp")}
    assert counts == {"self_attn": 24 * 4 * 16 * 2 * 2048, "mlp": 7_864_320}
    assert counts["mlp"] == 24 * 2 * 16 * (2048 + 8192)
    assert not lora_names(model.encoder) and not lora_names(model.connector)


def test_a_batch_of_answers_is_as_one_by_one(make_task: Callable[..., Any]) -> None:
    """Prompts of unequal length, images of unequal size, a series among them."""
    task = make_task()
    model, processor = task.model.eval(), task.processor
    torch.nn.init.normal_(model.connector.output_norm.weight, std=3.0)
    scenes = [
        make_scene(0),
        {"multispectral": [make_scene(1, time="2021-01-02"), make_scene(2, time="2021-07-02")]},
        make_scene(3, side=32),
    ]
    samples = [processor.encode(images, [("user", text)], for_generation=True) for images, text in zip(scenes, QUESTIONS, strict=True)]
    together = model.answer(processor.collate(samples, left_pad=True), processor, max_new_tokens=12)
    apart = [model.answer(processor.collate([sample], left_pad=True), processor, max_new_tokens=12)[0] for sample in samples]
    assert together == apart and len(set(together)) > 1


def test_the_images_reach_the_answer_and_rows_do_not_meet(make_task: Callable[..., Any]) -> None:
    task = make_task()
    model, processor = task.model.eval(), task.processor
    turns = [("user", "What is it?"), ("assistant", "water")]
    first, second = (processor.encode(make_scene(seed), turns, sample_id=str(seed)) for seed in (0, 1))
    with torch.no_grad():
        alone, other = model(processor.collate([first])).logits, model(processor.collate([second])).logits
        rows = model(processor.collate([first, second])).logits
        packed = model(processor.collate([first, second], row_length=128)).logits
    torch.testing.assert_close(rows, torch.cat([alone, other]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(packed, rows, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(alone, other, atol=1e-4)


def test_a_frozen_encoder_stays_bit_by_bit_and_leaves_out_nothing(make_task: Callable[..., Any]) -> None:
    task = make_task(lora={"rank": 4, "alpha": 8, "dropout": 0.0, "target_modules": LORA}, trainable=["connector"])
    model = task.model.train()
    assert not any(module.training for module in model.encoder.modules()) and model.connector.training
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    optimiser = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-2)
    batch = next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))
    for _ in range(2):  # B of LoRA is 0 at first, so that A has a gradient from the second step on
        optimiser.zero_grad()
        task.parse_losses(task(batch))[0].backward()
        optimiser.step()
    adapters = {name: parameter.grad for name, parameter in model.language_model.named_parameters() if parameter.requires_grad}
    assert len(adapters) == 2 * 2 * 6 and all(grad is not None and grad.any() for grad in adapters.values())
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())


def test_an_encoder_may_train(make_task: Callable[..., Any]) -> None:
    task = make_task(trainable=["connector", "encoder.model.blocks"])
    assert task.model.train().encoder.training
    batch = next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))
    task.parse_losses(task(batch))[0].backward()
    blocks = dict(task.model.encoder.model.blocks.named_parameters())
    assert blocks and all(parameter.grad is not None for parameter in blocks.values())


def test_what_is_saved_is_loaded(make_task: Callable[..., Any], tmp_path: Path) -> None:
    task = make_task()
    task.model.eval().save_pretrained(tmp_path)
    loaded, report = EarthFmForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    ours = {**dict(task.model.named_buffers()), **task.model.state_dict()}
    theirs = {**dict(loaded.named_buffers()), **loaded.state_dict()}
    assert ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder": {"size": "huge"}}, "encoder.size='huge' is unknown; choices: nano, tiny"),
        ({"encoder": {"size": "nano", "depth": 3}}, "encoder.size='nano' decides depth"),
        ({"patch_size": 9}, "patch_size=9; the encoder takes 1 to 8 px"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EarthFmConfig(**fields)


def test_a_released_encoder_is_named_by_version_and_size() -> None:
    assert EarthFmConfig(encoder={"version": "v1.2", "size": "small"}).encoder["pixel_hidden_sizes"] == (64,)
    assert EarthFmConfig(encoder={"size": "tiny", "drop_path": 0.0}).encoder_sizes.drop_path == 0.0
