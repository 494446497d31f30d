from typing import Any

import numpy as np
import pytest
import torch
from aerith_models import MODEL, TURNS
from torch import Tensor

from aerith.building.models import build_config
from aerith.model.configuration_aerith import AerithConfig
from aerith.model.modeling_aerith import AerithForConditionalGeneration
from eocore.models.lora import add_lora, lora_names

POOLER, LORA, HEAD = 45_796_864, 319_815_680, 590_592
"""Parameters at full size. Source: the notes on AerithVLM; 639.6 MB of LoRA in half precision are the 640 MB of its README."""


def prompts(task: Any, count: int) -> list[Any]:
    """Prompts of unlike length, each about a picture of its own but the second, which shows none."""
    drawn = np.random.default_rng(0).integers(0, 256, (count, 20, 30, 3), dtype=np.uint8)
    texts = [f"[VQA] {'Is there water in the image? ' * number}What?" for number in range(count)]
    return [
        task.processor.encode(
            {} if number == 1 else {"rgb": drawn[number]},
            [("user", text if number == 1 else f"<image>\n{text}")],
            for_generation=True,
        )
        for number, text in enumerate(texts)
    ]


@pytest.fixture(scope="module")
def answering(make_task: Any) -> Any:
    """A model with weights so large that answers differ."""
    torch.manual_seed(1)
    made = make_task(lora=None)
    for parameter in made.model.vision.pooler.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    made.eval()
    return made


def test_a_batch_answers_as_each_prompt_alone(answering: Any) -> None:
    samples = prompts(answering, 4)
    collate, generate = answering.processor.collate, answering.model.generate_for
    settings = {"max_new_tokens": 10, "do_sample": False, "pad_token_id": answering.processor.pad_token_id}
    together = generate(collate(samples, left_pad=True), **settings)
    alone = [generate(collate([sample], left_pad=True), **settings)[0] for sample in samples]
    assert all(torch.equal(own, row) for own, row in zip(alone, together, strict=True))
    assert len({tuple(row.tolist()) for row in together}) == 4


def test_transformers_call_answers_the_same(answering: Any, picture: np.ndarray) -> None:
    processor = answering.processor
    inputs = processor(
        images=[picture],
        text=processor.apply_chat_template([{"role": "user", "content": "<image>\nWhat?"}], tokenize=False, add_generation_prompt=True),
    )
    whole = answering.model.generate(**inputs, max_new_tokens=6, do_sample=False)
    batch = processor.collate([processor.encode({"rgb": picture}, [("user", "<image>\nWhat?")], for_generation=True)], left_pad=True)
    assert torch.equal(whole[:, inputs["input_ids"].shape[1] :], answering.model.generate_for(batch, max_new_tokens=6, do_sample=False))


def test_each_tower_counts_and_so_does_its_normalisation(answering: Any, picture: np.ndarray) -> None:
    model = answering.model
    images = answering.processor.encode({"rgb": picture}, TURNS).images
    with torch.no_grad():
        tokens = model.encode_images(images)
        assert tokens.shape == (1, 5, 32)
        black = {name: torch.zeros_like(getattr(images, name)) for name in ("clip", "dinov3")}
        for name, value in black.items():
            assert not torch.allclose(model.encode_images(images._replace(**{name: value})), tokens)
        shown = (images.dinov3.float() / 255 - torch.tensor(model.config.dinov3_mean).view(3, 1, 1)) / torch.tensor(
            model.config.dinov3_std
        ).view(3, 1, 1)
        seen = model.vision.towers.dinov3_tokens(shown)[0]
        expected = model.vision.towers.dinov3(pixel_values=shown).last_hidden_state[:, 3:]
        torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize(("fusion", "silent"), [("clip", "dinov3"), ("dinov3", "clip")])
def test_a_tower_that_the_fusion_leaves_out_says_nothing(picture: np.ndarray, task: Any, fusion: str, silent: str) -> None:
    torch.manual_seed(0)
    model = AerithForConditionalGeneration(build_config({**MODEL, "fusion": fusion})).eval()
    images = task.processor.encode({"rgb": picture}, TURNS).images
    with torch.no_grad():
        first = model.encode_images(images)
        assert torch.equal(first, model.encode_images(images._replace(**{silent: torch.zeros_like(getattr(images, silent))})))
        assert not torch.equal(first, model.encode_images(images._replace(**{fusion: torch.zeros_like(getattr(images, fusion))})))


def test_three_levels(picture: np.ndarray, task: Any) -> None:
    towers = {name: {**MODEL[name], "num_hidden_layers": 6} for name in ("clip_config", "dinov3_config")}  # type: ignore[dict-item]
    model = AerithForConditionalGeneration(build_config({**MODEL, **towers, "num_levels": 3, "num_queries": [3, 2, 1]}))
    assert model.config.tokens_per_image == 6
    assert model.encode_images(task.processor.encode({"rgb": picture}, TURNS).images).shape == (1, 6, 32)


def test_a_batch_without_images_runs_the_parts_that_train(make_task: Any) -> None:
    task = make_task()
    text = task.processor.encode({}, [("user", "What is SAR?"), ("assistant", "Radar.")])
    batch = task.processor.collate([text], with_dummy=True)
    assert batch.images.is_dummy
    task.parse_losses(task(batch))[0].backward()
    grads: list[Tensor | None] = [parameter.grad for parameter in task.model.vision.pooler.parameters()]
    assert all(grad is not None and not grad.any() for grad in grads)


class TestFullSize:
    def test_counts_of_what_trains(self) -> None:
        text = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
        with torch.device("meta"):
            model = AerithForConditionalGeneration(AerithConfig(text_config=text))
        assert sum(parameter.numel() for parameter in model.vision.pooler.parameters()) == POOLER
        assert sum(parameter.numel() for parameter in model.vision.towers.head.parameters()) == HEAD
        add_lora(model.language_model, rank=128, alpha=256)
        parameters = dict(model.language_model.named_parameters())
        assert sum(parameters[name].numel() for name in lora_names(model.language_model)) == LORA

    def test_an_image_has_144_tokens(self) -> None:
        assert AerithConfig().tokens_per_image == 144
        assert AerithConfig(num_levels=3).pooler_sizes.num_queries == (64, 48, 32)


def test_grids_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="CLIP has 16 x 16 patches, DINOv3 14 x 14"):
        AerithConfig(dinov3_config={"image_size": 224})
    with pytest.raises(ValueError, match="fusion='product' is unknown; choices: sum, clip, dinov3"):
        AerithConfig(fusion="product")
