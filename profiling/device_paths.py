"""What a run does, path by path, on a small model: each builds its parts on the CPU, moves them to the device it is given, and computes."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earthmind.checkpoints.parity_check import parity_outputs
from earthmind.model.batching import Batch
from earthmind.task import EarthMindTask
from eocore.export.reload import digest_weights
from eocore.portable.band_rendering import SceneArray
from eocore.train.checkpoint.weights import frozen_hash
from eocore.train.resilience.guard import GuardOptions, StepGuard
from eocore.train.resilience.preemption import Orders
from profiling.earthmind.inference import Answers, Questions
from profiling.earthmind.samples import KINDS, encode_question, encode_sample, make_batch, make_scenes
from profiling.earthmind.setting import build_setting

Change = Mapping[str, Any]
MakeBatch = Callable[[EarthMindTask], Batch]
TILE, GROUNDING = 32, 64
SIX_KINDS = ("vqa", "seg", "pair", "region", "vqa5", "seg10")
RECOMPUTED = ("selective", "attention", "full")
TRAINED = (
    "projector",
    "fusion",
    "seg_head.projector",
    "seg_head.sam.mask_decoder",
    "language_model.model.embed_tokens",
    "language_model.lm_head",
)
LORA = {"rank": 4, "alpha": 8, "dropout": 0.0}
DROPPED = {**LORA, "dropout": 0.1}
BANDS = ("B04", "B03", "B02", "B08", "B11")
NATIVE_BANDS: dict[str, Any] = {
    "channels": {"vision_config": {"num_channels": 7}},
    "presentation": {
        "rgb": {"views": [["red", "green", "blue"] + ["none"] * 4], "stretch": {"method": "range", "low": 0, "high": 255}},
        "multispectral": {"views": [[*BANDS, "none", "none"]], "stretch": {"method": "range", "low": 0.0, "high": 0.5}},
        "sar": {"views": [["none"] * 5 + ["VV", "VH"]], "stretch": {"method": "range", "low": -30.0, "high": 0.0}},
    },
    "grounding_channels": ["multispectral:B11", "multispectral:B08", "multispectral:B04|rgb:red", "sar:VV", "sar:VH"],
}


@dataclass(frozen=True, kw_only=True)
class TrainingPath:
    """A step of training.

    Attributes:
        name: of the path.
        kinds: sample kinds, in one batch.
        changes: fields of the task that differ from `fields_of_task`.
        model: fields of the model that do.
        layout: arguments of the processor's `collate`, such as `row_length`.
        make: the batch, where it is not made of `kinds`.
        steps: times that the same batch is computed.
        random: devices draw other random numbers, so that results differ from the CPU's.
    """

    name: str
    kinds: tuple[str, ...] = ("seg",)
    changes: Mapping[str, Any] | None = None
    model: Change | None = None
    layout: Change | None = None
    make: MakeBatch | None = None
    steps: int = 1
    random: bool = False


def fields_of_task(changes: Change | None, model: Change | None) -> dict[str, Any]:
    """A config's task around a model of 0.2 million parameters that takes all sample kinds."""
    sam = {
        "vision_config": {
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 8,
                "num_attention_heads": 1,
                "image_size": [GROUNDING, GROUNDING],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [8, 4, 4, 2],
                "global_attention_blocks": [3],
                "window_positional_embedding_background_size": [7, 7],
                "num_channels": 5 if (changes or {}).get("processor", {}).get("grounding_channels") else 3,
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[GROUNDING // stride, GROUNDING // stride] for stride in (4, 8, 16)],
            "fpn_hidden_size": 16,
        },
        "prompt_encoder_config": {"hidden_size": 16, "image_size": GROUNDING},
        "mask_decoder_config": {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
    }
    width = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    text = {"model_type": "qwen2", **width, "num_key_value_heads": 2, "vocab_size": 320, "tie_word_embeddings": False}
    vision = {**width, "image_size": TILE, "patch_size": 4, "attention_bias": True}
    fields: dict[str, Any] = {"vision_config": vision, "text_config": text, "sam_config": sam}
    for part, values in (model or {}).items():
        fields[part] = {**fields[part], **values} if isinstance(values, Mapping) else values
    return {
        "model": fields,
        "tokenizer": {},
        "processor": {"max_tiles": 12, "template": "phi3_chat", **dict((changes or {}).get("processor", {}))},
        "trainable": TRAINED,
        "losses": {"num_points": 64},
        **{key: value for key, value in (changes or {}).items() if key != "processor"},
    }


def build(path: TrainingPath, device: torch.device, *, dtype: torch.dtype) -> EarthMindTask:
    """The path's task, built on the CPU and moved, as a training does; what is no buffer stays behind."""
    return build_setting(fields_of_task(path.changes, path.model), device=torch.device("cpu"), dtype=dtype).to(device)


def train(path: TrainingPath, device: torch.device, *, dtype: torch.dtype, backward: bool) -> list[float]:
    """Loss of each step; with `backward`, also the norm of its gradient, after the guard's judgement and an update by torch's AdamW.

    Raises:
        AssertionError: a number is not finite.
    """
    task = build(path, device, dtype=dtype)
    batch = path.make(task) if path.make else make_batch(task, path.kinds, **(path.layout or {}))
    trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    found: list[float] = []
    guard = StepGuard(GuardOptions(), Orders(), work_dir=Path(tempfile.gettempdir()))
    guard.watch(task)
    for _ in range(path.steps):
        total, log = task.parse_losses(task(task.data_preprocessor(batch, training=True)))
        found += [float(value) for name, value in log.items() if name == "loss"]
        if backward:
            guard.see_loss(total)
            total.backward()
            assert guard.judge(), "the guard refused the update"
            found.append(float(torch.nn.utils.clip_grad_norm_(trained, 1.0)))
            optimizer.step()
            optimizer.zero_grad()
    assert np.isfinite(found).all(), f"losses and gradient norms {found}"
    return found


def text_batch(task: EarthMindTask) -> Batch:
    """A sample without images: dummy inputs complete its batch."""
    turns = [("user", "What is SAR?"), ("assistant", "Radar from above.")]
    return task.collator()([task.processor.encode({}, turns, masks=[], sample_id="text")._replace(seed=0)])


def mixed_batch(task: EarthMindTask) -> Batch:
    """Text alone, a question, masks, a pair and a region in one packed row."""
    rng, processor = np.random.default_rng(0), task.processor
    samples = [processor.encode({}, [("user", "What is SAR?"), ("assistant", "Radar.")], masks=[], sample_id="text")._replace(seed=0)]
    for name in ("vqa", "seg", "pair", "region"):
        scenes = make_scenes(KINDS[name], tile_size=processor.options.tile_size, rng=rng)
        samples.append(encode_sample(processor, KINDS[name], scenes=scenes, name=name))
    return task.collator(row_length=4096)(samples)


def questions_batch(task: EarthMindTask) -> Batch:
    """Several questions about one image, none seeing another; and a sample of one question beside it."""
    processor, mask = task.processor, np.zeros((48, 48), bool)
    mask[8:24, 12:36] = True
    scenes = _scenes(("rgb", "sar"))
    turns = [("user", "<image>\nWhat?"), ("assistant", "Water."), ("user", "\nSegment it."), ("assistant", "[SEG] north")]
    sample = processor.encode(scenes, turns, masks=[mask], independent=True, sample_id="questions")
    other = processor.encode({"rgb": scenes["rgb"]}, turns[:2], masks=[], sample_id="one")
    return task.collator(row_length=512)([sample._replace(seed=0), other._replace(seed=1)])


def bands_batch(task: EarthMindTask) -> Batch:
    """All bands in one patch embedding, masks drawn on channels of several sensors."""
    mask = np.zeros((48, 48), bool)
    mask[8:24, 12:36] = True
    turns = [("user", "<image>\nSegment the water."), ("assistant", "[SEG]")]
    samples = [
        task.processor.encode(_scenes(sensors), turns, masks=[mask], sample_id="bands")._replace(seed=0)
        for sensors in (("multispectral", "sar"), ("rgb",))
    ]
    return task.collator()(samples)


def _scenes(sensors: Sequence[str], size: int = 48) -> dict[str, SceneArray]:
    rng = np.random.default_rng(0)
    forms = {
        "rgb": (("red", "green", "blue"), "uint8", 0.0, 255.0),
        "multispectral": (BANDS, "reflectance", 0.0, 0.5),
        "sar": (("VV", "VH"), "sigma0_db", -30.0, 0.0),
    }
    return {
        name: SceneArray(
            rng.uniform(forms[name][2], forms[name][3], (len(forms[name][0]), size, size)).astype(np.float32), *forms[name][:2]
        )
        for name in sensors
    }


NATIVE = {"processor": {"max_tiles": 1, **{key: NATIVE_BANDS[key] for key in ("presentation", "grounding_channels")}}}
PACKED = {"row_length": 2048}
VISION_CACHE = "vision_cache"


def training_paths(cache: Path) -> list[TrainingPath]:
    """All paths of training.

    Args:
        cache: an empty folder for the vision cache.
    """
    kept_on_disk = {VISION_CACHE: {"folder": str(cache), "max_gb": 1.0}}
    return [
        *(TrainingPath(name=f"kind {kind}", kinds=(kind,)) for kind in SIX_KINDS),
        TrainingPath(name="two samples, padded", kinds=("vqa", "seg")),
        TrainingPath(name="text alone, dummy tile and mask", make=text_batch),
        TrainingPath(name="packed rows", kinds=("vqa", "seg", "pair"), layout=PACKED),
        TrainingPath(
            name="packed, all kinds of sample, token means", make=mixed_batch, changes={"losses": {"num_points": 64, "text_mean": "tokens"}}
        ),
        TrainingPath(name="LoRA with dropout, recomputed", changes={"lora": DROPPED, "gradient_checkpointing": "selective"}, random=True),
        TrainingPath(name="LoRA", changes={"lora": LORA}),
        *(TrainingPath(name=f"recomputed: {kind}", changes={"gradient_checkpointing": kind, "lora": LORA}) for kind in RECOMPUTED),
        TrainingPath(name="recomputed: full, packed", kinds=("vqa", "seg"), layout=PACKED, changes={"gradient_checkpointing": "full"}),
        TrainingPath(name="native bands, composite grounding", model=NATIVE_BANDS["channels"], changes=NATIVE, make=bands_batch),
        TrainingPath(name="vision cache, cold and warm", changes=kept_on_disk, steps=2),
        TrainingPath(name="independent questions, packed", make=questions_batch),
        TrainingPath(name="trained token rows", changes={"trainable": TRAINED[:4], "trainable_tokens": ["[SEG]"], "lora": LORA}),
        TrainingPath(name="everything trained", changes={"trainable": ["*"], "gradient_checkpointing": "selective"}),
        TrainingPath(
            name="fusion concat", kinds=("pair",), model={"fusion": "concat"}, changes={"trainable": ["projector", "language_model"]}
        ),
        TrainingPath(name="fusion gated grounding", kinds=("seg",), model={"grounding_fusion": "gated"}),
        TrainingPath(name="contrastive alignment", kinds=("pair",), changes={"losses": {"alignment_kind": "contrastive"}}),
        *(TrainingPath(name=f"language model {kind}", model={"text_config": {"model_type": kind}}) for kind in ("qwen3", "llama")),
        TrainingPath(
            name="eager attention, packed", kinds=("vqa", "seg"), layout=PACKED, model={"text_config": {"attn_implementation": "eager"}}
        ),
    ]


def answering_paths() -> dict[str, Callable[[torch.device, torch.dtype], Any]]:
    """Name -> path of answering and conversion; each takes the device and the precision of the weights."""
    return {
        "generate, text alone": _generate_text,
        "generate, fixed cache": lambda device, dtype: _answer(
            device, dtype, kinds=("vqa", "vqa"), cache_implementation="static", disable_compile=True
        ),
        "answer and masks": lambda device, dtype: _answer(device, dtype, kinds=("seg", "vqa", "seg")),
        "answer, several tiles": lambda device, dtype: _answer(device, dtype, kinds=("seg10", "pair")),
        "answer, sampled": lambda device, dtype: _answer(device, dtype, kinds=("vqa",), do_sample=True, temperature=0.7, top_p=0.9),
        "answers about one image, shared prefix": _shared_prefix,
        "answer, gated grounding": lambda device, dtype: _answer(device, dtype, kinds=("seg",), model={"grounding_fusion": "gated"}),
        "predict_batch": _predict,
        "conversion's parity check": _parity_check,
        "digests of weights": _digests,
    }


def _model(device: torch.device, dtype: torch.dtype, *, model: Change | None = None) -> Answers:
    task = build(TrainingPath(name="", model=model), device, dtype=dtype).eval()
    return Answers(task.model, task.processor, generation={})


def _answer(device: torch.device, dtype: torch.dtype, *, kinds: Sequence[str], model: Change | None = None, **generation: Any) -> None:
    """Prefill, decoding, [SEG] states, drawing, masks at the size of the image: through the model's `answer`, with a dictated answer."""
    answers = _model(device, dtype, model=model)
    answers.generation = generation
    samples, sizes, rows = [], [], []
    for number, name in enumerate(kinds):
        scenes = make_scenes(KINDS[name], tile_size=TILE, rng=np.random.default_rng(number))
        samples.append(encode_question(answers.processor, KINDS[name], scenes=scenes, name=name))
        sizes.append(next(iter(scenes.values())).pixels.shape[-2:])
        rows.append(answers._dictated(name, KINDS[name], length=8))
    answers.ask([Questions(samples, sizes, torch.tensor(rows))])


def _generate_text(device: torch.device, dtype: torch.dtype) -> None:
    model = _model(device, dtype).model
    prompt = torch.full((2, 7), 5, device=device)
    model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=3, do_sample=False, pad_token_id=0)


def _shared_prefix(device: torch.device, dtype: torch.dtype) -> None:
    answers = _model(device, dtype)
    scenes = _scenes(("rgb",), size=TILE)
    samples = [
        answers.processor.encode(scenes, [("user", f"<image>\n{text}")], for_generation=True) for text in ("What is there?", "Where is it?")
    ]
    rows = torch.tensor([answers._dictated("seg", KINDS["seg"], length=8)] * 2)
    answers.ask([Questions(samples, [(TILE, TILE)] * 2, rows)])


def _predict(device: torch.device, dtype: torch.dtype) -> None:
    answers = _model(device, dtype)
    questions = [(_scenes(("rgb", "sar")), "Segment the water."), ({}, "What is SAR?")]
    answers.model.predict_batch(questions, processor=answers.processor, max_new_tokens=4)


def _parity_check(device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    answers = _model(device, dtype)
    with torch.no_grad():
        return {name: value.detach().cpu() for name, value in parity_outputs(answers.model, answers.processor).items()}


def _digests(device: torch.device, dtype: torch.dtype) -> None:
    model = _model(device, dtype).model
    digest_weights(model)
    frozen_hash(model.requires_grad_(False))
