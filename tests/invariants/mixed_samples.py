"""One update from a global batch of unlike samples, on the ranks of this group: the program that test_mixed_samples.py starts."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine._strategy.deepspeed import DeepSpeedOptimWrapper
from safetensors.torch import save_file
from torch import Tensor

from earthmind.task import EarthMindTask
from eocore.portable.band_rendering import SceneArray
from eocore.train.strategy import ZeroStrategy, start_process_group, stop_process_group
from eocore.train.zero.settings import load_zero_config

SIZE = 48
"""Of a scene's short side [px]."""
TIMEOUT_S = 60
"""Longest wait of one rank for the other [s]."""
LEARNING_RATE = 1.0
DEALS = {
    "no masks on rank 0": (("text", "question", "sar question"), ("masks", "pair with masks", "region")),
    "no images on rank 0": (("text", "text", "long text"), ("masks", "pair with masks", "region")),
    "no masks on rank 1": (("two sensors' masks", "region with mask", "pair with masks"), ("pair", "text", "region")),
}
"""Samples of each rank."""
FREEDOMS: dict[str, dict[str, Any]] = {
    "everything": {},
    # as upstream: vision tower and SAM 2's image encoder frozen, LoRA on the language model
    "published": {
        "trainable": [
            "projector",
            "fusion",
            "seg_head.projector",
            "seg_head.gate",
            "seg_head.sam.mask_decoder",
            "language_model.model.embed_tokens",
        ],
        "lora": {"rank": 4, "alpha": 1, "dropout": 0.0},
    },
    # only the rows of new tokens, of tied tables
    "token rows": {
        "trainable": ["projector", "fusion", "seg_head.projector", "seg_head.gate", "seg_head.sam.mask_decoder"],
        "trainable_tokens": ["[SEG]", "<p>", "</p>", "<vp>", "</vp>"],
        "lora": {"rank": 4, "alpha": 1, "dropout": 0.0},
    },
    # the same of two tables
    "untied rows": {
        "trainable": ["projector", "fusion", "seg_head.projector", "seg_head.gate", "seg_head.sam.mask_decoder"],
        "trainable_tokens": ["[SEG]", "<p>"],
        "model": {"text_config": {"tie_word_embeddings": False}},
    },
    "recomputed": {"gradient_checkpointing": True},
}
BUCKETS: dict[str, dict[str, int]] = {
    "one bucket": {},
    # gradients leave in many parts, in the order in which they arrive; ZeRO-3 keeps no parameter whole
    "many buckets": {
        "reduce_bucket_size": 1024,
        "allgather_bucket_size": 1024,
        "stage3_prefetch_bucket_size": 1024,
        "stage3_param_persistence_threshold": 0,
    },
}


def build_task(folder: Path, freedom: str, *, dropout: float | None = None) -> EarthMindTask:
    """The same small task on every rank; no weight starts at zero or one. `dropout`: of LoRA, instead of the freedom's.

    The language model has two layers: in a first one alone, whose input is normalised, the weights that fusion gives tokens cancel out.
    """
    torch.manual_seed(0)
    choices = dict(FREEDOMS[freedom])
    if dropout is not None:
        choices["lora"] = choices["lora"] | {"dropout": dropout}
    text = MODEL["text_config"] | choices.pop("model", {}).get("text_config", {})
    task = EarthMindTask(
        model=MODEL | {"text_config": text},
        tokenizer={"type": "TrainedTokenizer", "path": str(folder / "tokenizer"), "corpus": [], "vocab_size": 300},
        processor={"max_tiles": 2, "presentation": PRESENTATION, "grounding_order": ["multispectral", "sar", "rgb"]},
        losses={"num_points": 64, "alignment_kind": "contrastive"},
        **choices,
    )
    for name, parameter in task.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        else:
            torch.nn.init.normal_(parameter, mean=0.0 if name.endswith("bias") else 1.0, std=0.3)
    return task.train()


MODEL: dict[str, Any] = {
    "vision_config": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "image_size": 16,
        "patch_size": 4,
        "attention_bias": True,
    },
    "text_config": {
        "model_type": "qwen2",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "tie_word_embeddings": True,
    },
    "sam_config": {
        "vision_config": {
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "num_attention_heads": 1,
                "image_size": [64, 64],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [8, 4, 4, 2],
                "global_attention_blocks": [3],
                "window_positional_embedding_background_size": [7, 7],
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 16,
        },
        "prompt_encoder_config": {"hidden_size": 16, "image_size": 64},
        "mask_decoder_config": {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
    },
    "grounding_fusion": "gated",
}
PRESENTATION = {
    "multispectral": {"views": [["B04", "B03", "B02"], ["B08", "B04", "B03"]], "stretch": {"method": "range", "low": 0.0, "high": 0.4}},
    "sar": {"views": [["VV", "VH", "zero"]], "stretch": {"method": "range", "low": -30.0, "high": 0.0}},
}


def make_sample(task: EarthMindTask, kind: str) -> dict[str, Any]:
    """An encoded sample; the same for the same kind, whoever makes it."""
    rng = np.random.default_rng(sorted({kind for deal in DEALS.values() for share in deal for kind in share}).index(kind))
    sensors, question, answer, num_regions = SAMPLES[kind]
    masks = [square(rng) for _ in range(answer.count("[SEG]"))]
    sample = task.processor.encode(
        {name: scene(name, rng) for name in sensors},
        [("user", ("<image>\n" if sensors else "") + question), ("assistant", answer)],
        regions=[square(rng) for _ in range(num_regions)],
        masks=masks,
        sample_id=kind,
    )
    return sample._replace(seed=int(rng.integers(1000)))


SAMPLES: dict[str, tuple[tuple[str, ...], str, str, int]] = {
    "text": ((), "What is radar?", "Waves.", 0),
    "long text": ((), "Where is it? What is it?", "It is in this image, please outline it.", 0),
    "question": (("rgb",), "What is in this image?", "It is.", 0),
    "sar question": (("sar",), "Where?", "Here it is.", 0),
    "masks": (("multispectral",), "Please segment it.", "Sure, [SEG] and [SEG].", 0),
    "pair": (("multispectral", "sar"), "What is it?", "It is.", 0),
    "pair with masks": (("multispectral", "sar"), "Please segment it.", "Sure, [SEG].", 0),
    "two sensors' masks": (("rgb", "sar"), "Please segment it.", "[SEG], [SEG], [SEG].", 0),
    "region": (("rgb",), "What is <region>, and <region>?", "It is.", 2),
    "region with mask": (("sar",), "Please segment <region>.", "It is [SEG].", 1),
}
"""Sensors, question, answer, number of regions."""


def scene(name: str, rng: np.random.Generator) -> SceneArray:
    """A wide image, so that it is cut into two tiles and a thumbnail."""
    bands, unit, low, high = {
        "rgb": (("red", "green", "blue"), "uint8", 0.0, 255.0),
        "multispectral": (("B02", "B03", "B04", "B08"), "reflectance", 0.0, 0.4),
        "sar": (("VV", "VH"), "sigma0_db", -30.0, 0.0),
    }[name]
    return SceneArray(rng.uniform(low, high, (len(bands), SIZE, 2 * SIZE)).astype(np.float32), bands, unit)


def square(rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool."""
    mask = np.zeros((SIZE, 2 * SIZE), bool)
    top, left = rng.integers(0, SIZE // 2, 2)
    mask[top : top + SIZE // 3, left : left + SIZE // 2] = True
    return mask


def make_batch(task: EarthMindTask, kinds: Sequence[str]) -> dict[str, Any]:
    """The samples in packed rows."""
    return task.collator(row_length=256)([make_sample(task, kind) for kind in kinds])


def update_alone(folder: Path, freedom: str, deal: str) -> dict[str, Tensor]:
    """Name -> weight after one step of plain gradient descent on the whole global batch, in this process, without DeepSpeed."""
    task = build_task(folder, freedom)
    losses = task(make_batch(task, [kind for share in DEALS[deal] for kind in share]))
    task.parse_losses(losses)[0].backward()
    trained = {name: part for name, part in task.named_parameters() if part.requires_grad}
    return {name: part.detach() - LEARNING_RATE * (0 if part.grad is None else part.grad) for name, part in trained.items()}


def update_together(folder: Path, freedom: str, deal: str, *, stage: int, buckets: str) -> dict[str, Tensor]:
    """The same by all ranks, each with its share of the batch; empty on every rank but the first."""
    task = build_task(folder, freedom)
    batch = make_batch(task, DEALS[deal][torch.distributed.get_rank()])
    config = load_zero_config(f"deepspeed_zero{stage}")
    config["zero_optimization"] |= {name: size for name, size in BUCKETS[buckets].items() if name in config["zero_optimization"]}
    strategy = ZeroStrategy(config=config, precision="fp32", accumulation=1, clip_norm=0.0, work_dir=folder / "work", seed=0)
    trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
    strategy.prepare(task, optim_wrapper=DeepSpeedOptimWrapper(torch.optim.SGD(trained, lr=LEARNING_RATE)), dispatch_kwargs={})
    strategy.model.train_step(batch, optim_wrapper=strategy.optim_wrapper)
    return strategy.gather_trainable()


def result_file(folder: Path, case: Mapping[str, Any]) -> Path:
    """Where the first rank leaves the weights of a case."""
    return folder / ("-".join(str(value).replace(" ", "_") for value in case.values()) + ".safetensors")


def quick_cases() -> list[dict[str, Any]]:
    """ZeRO-2 and ZeRO-3 on a rank with masks and one without; token rows of both kinds."""
    common = {"deal": next(iter(DEALS)), "buckets": "many buckets"}
    chosen = (("published", 2), ("everything", 3), ("token rows", 3), ("untied rows", 2))
    return [{"freedom": freedom, "stage": stage, **common} for freedom, stage in chosen]


def all_cases() -> list[dict[str, Any]]:
    """Every way of freezing under every stage, with large and small buckets; the deals take turns, so that each meets all of these."""
    deals = list(DEALS)
    return [
        {"freedom": freedom, "deal": deals[(stage + size + kind) % len(deals)], "stage": stage, "buckets": buckets}
        for stage in range(4)
        for size, buckets in enumerate(BUCKETS)
        for kind, freedom in enumerate(FREEDOMS)
        if stage or buckets == "one bucket"
    ]


CASES = {"quick": quick_cases, "all": all_cases}

if __name__ == "__main__":
    target = Path(sys.argv[1])
    rank, _ = start_process_group(TIMEOUT_S)
    for case in CASES[sys.argv[2]]():
        if rank == 0:
            print(case, flush=True)
        weights = update_together(target, **case)
        if rank == 0:
            save_file(weights, result_file(target, case))
    stop_process_group()
