"""One training step of the 4B config for each kind of sample, with fake weights: nothing is computed, every shape and gradient is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_map_only

from earthmind.planning.meta_task import outline
from earthmind.task import EarthMindTask
from eocore.config import load_config
from eocore.portable.band_rendering import SceneArray
from eocore.system import systems_of_config
from eocore.train.planning.memory import as_fake, measure_step

SIDE = 896
"""Of the image [px]: two by two tiles and a thumbnail."""
TILES, TILE_TOKENS, WIDTH, PROMPT_WIDTH, VOCABULARY = 5, 256, 2048, 256, 151_679
FEATURES = {(256, 256, 256), (256, 128, 128), (256, 64, 64)}
MOST_ACTIVATIONS = 15 * 10**9
"""Beside weights, gradients and optimiser [bytes], in bfloat16 without recomputing.

Seen: 6.9 GB for the question (1,284 tokens), 7.1 with masks, 7.8 with regions, 14.0 for a pair of sensors with a mask (2,565 tokens).
"""
WITHOUT_LOSS = tuple(f"seg_head.sam.mask_decoder.{head}." for head in ("iou_prediction_head", "pred_obj_score_head"))
"""Parts of the mask decoder that no loss reaches, in the upstream training too."""


@pytest.fixture(scope="module")
def mode() -> FakeTensorMode:
    return FakeTensorMode()


@pytest.fixture(scope="module")
def task(repo_root: Path, mode: FakeTensorMode) -> EarthMindTask:
    config = load_config(repo_root / "configs" / "earthmind" / "earthmind_4b_sft.py")
    systems_of_config(config)
    made = as_fake(outline(config.task), mode, dtype=torch.bfloat16)
    made.train()
    assert isinstance(made, EarthMindTask)
    return made


def scene(sensor: str) -> SceneArray:
    bands, unit, low, high = {
        "rgb": (("red", "green", "blue"), "uint8", 0.0, 255.0),
        "sar": (("VV", "VH"), "sigma0_db", -30.0, 0.0),
    }[sensor]
    pixels = np.random.default_rng(0).uniform(low, high, (len(bands), SIDE, SIDE)).astype(np.float32)
    return SceneArray(pixels, bands, unit)


def square() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[100:500, 200:700] = True
    return mask


KINDS: dict[str, tuple[tuple[str, ...], str, str, int, int]] = {
    "vqa": (("rgb",), "What is in this image?", "<p></p>", 0, 0),
    "seg": (("rgb",), "Please segment the water.", "[SEG][SEG]", 2, 0),
    "pair": (("rgb", "sar"), "Please segment the water.", "<p></p>[SEG]", 1, 0),
    "region": (("rgb",), "What is <region>, and <region>?", "<p></p>", 0, 2),
}
"""Sensors, question, answer, numbers of masks and of regions. The tokenizer, which stands in for Qwen's, knows the special tokens alone."""


def sample(task: EarthMindTask, kind: str) -> dict[str, Any]:
    sensors, question, answer, num_masks, num_regions = KINDS[kind]
    return task.processor.encode(
        {sensor: scene(sensor) for sensor in sensors},
        [("user", f"<image>\n{question}"), ("assistant", answer)],
        masks=[square()] * num_masks,
        regions=[square()] * num_regions,
        sample_id=kind,
    )


def shapes(value: Any) -> Any:
    """Shapes of what a module gives."""
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, Mapping):
        return {key: shapes(part) for key, part in value.items()}
    return [shapes(part) for part in value] if isinstance(value, tuple | list) else value


@pytest.fixture
def watch(task: EarthMindTask) -> Any:
    """Name -> shapes of what the parts of the model gave in the last step, and the parameters that got a gradient."""
    model = task.model
    seen: dict[str, Any] = {}
    graded: set[str] = set()
    parts = {
        "vision": model.projector,
        "language": model.language_model.get_decoder(),
        "head": model.get_output_embeddings(),
        "points": model.seg_head.projector,
        "image encoder": model.seg_head.sam.vision_encoder,
        "masks": model.seg_head.sam.mask_decoder,
    }

    def keep(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, outputs: seen.__setitem__(name, shapes(outputs))

    def note(name: str) -> Callable[[Tensor], None]:
        return lambda _parameter: graded.add(name)

    hooks = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            hooks.append(parameter.register_post_accumulate_grad_hook(note(name)))
    yield seen, graded
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("kind", ["pair", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("vqa", "seg", "region"))])
def test_a_step(task: EarthMindTask, mode: FakeTensorMode, watch: Any, kind: str) -> None:
    sensors, _, answer, num_masks, num_regions = KINDS[kind]
    real = task.collator()([sample(task, kind)])
    memory = measure_step(task, tree_map_only(Tensor, mode.from_tensor, real))
    seen, graded = watch
    num_tokens, num_vision = real.input_ids.shape[1], len(real.vision.vision_index)
    assert num_vision > TILES * TILE_TOKENS if num_regions else num_vision == TILES * TILE_TOKENS * len(sensors)
    assert seen["vision"] == (TILES * len(sensors), TILE_TOKENS, WIDTH)
    assert seen["language"]["last_hidden_state"] == (1, num_tokens, WIDTH)
    assert seen["head"] == (answer.count("[SEG]") + answer.count("p>"), VOCABULARY), (
        "logits are made where a label is scored, not elsewhere"
    )
    num_drawn = max(num_masks, 1)  # a dummy mask, of weight 0, where there is none
    assert seen["points"] == (num_drawn, PROMPT_WIDTH)
    side = 256 if num_masks else 4  # a dummy is drawn on one position of SAM 2's features
    assert seen["masks"][:2] == [(1, num_drawn, 3, side, side), (1, num_drawn, 3)]
    assert ("image encoder" in seen) == (num_masks > 0), "SAM 2 encodes no image that nothing is drawn on"
    assert {level[1:] for level in seen.get("image encoder", {}).get("fpn_hidden_states", [])} <= FEATURES
    trained = {name for name, parameter in task.model.named_parameters() if parameter.requires_grad}
    assert trained - graded == {name for name in trained if name.startswith(WITHOUT_LOSS)}
    print(kind, num_tokens, "tokens", memory)
    assert memory.kept <= memory.peak < MOST_ACTIVATIONS


def test_size(task: EarthMindTask) -> None:
    """Published: 3.94 billion, with SAM 2's memory (7.5 million), which no image needs."""
    adapters = sum(weight.numel() for name, weight in task.named_parameters() if "lora_" in name or name.endswith(".rows"))
    assert sum(weight.numel() for weight in task.parameters()) - adapters == 3_934_308_289
