"""Training of an EarthMind model: model, losses and data, built from a config."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from earthmind.build import build_model, build_processor
from earthmind.cost_model import sample_cost
from earthmind.datasets import mcq, multispectral, paired  # noqa: F401  (registers the datasets)
from earthmind.dummy_inputs import blank_masks, blank_tiles
from earthmind.losses import LossSettings, alignment_loss, attention_loss, pair_weights, weighted
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.sensor_fusion import FusedTokens
from earthmind.prepare import IMAGES, SamplePreparer
from earthmind.pretrained import check_new_parts
from earthmind.seg_attention import SegAttention
from earthmind.sizes import SampleMeasurer, processor_fields
from earthmind.tokenizer import token_ids, tokenizer_digest
from eocore.config import read_options
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.data.loading.error_policy import NUM_REPLACED
from eocore.losses.mask import mask_losses, uncertain_points
from eocore.losses.text import token_cross_entropy
from eocore.models.config_record import describe_config
from eocore.models.packed_attention import border_arguments, known_masks, question_arguments, use_packed_attention
from eocore.registry import TASKS, TOKENIZERS
from eocore.resolve import Resolved, resolve, resolve_instance
from eocore.train.options import DataOptions, ModelOptions, TrainabilityOptions, VisionCacheOptions
from eocore.train.ranks import MEAN_COUNTS
from eocore.train.task import Mode, Task
from eocore.train.trainability import LayerParts, choose_trainable, prepare_layers, resolved_lora
from eocore.train.training_data import PackRules, Shard, TrainingData
from eocore.train.vision_cache import TILE_KEYS, VisionCache, WithTileKeys


@dataclass(frozen=True, kw_only=True)
class EarthMindOptions(ModelOptions, DataOptions, TrainabilityOptions, VisionCacheOptions):
    """Config section `task`: the shared groups. `model` holds fields of `EarthMindConfig`, `losses` of `LossSettings`."""


@TASKS.register_module()
class EarthMindTask(Task):
    """Model + losses + data.

    Args:
        **options: fields of `EarthMindOptions`.

    Raises:
        ConfigError: an option is unknown, missing or wrong, or does not fit another.
    """

    options_class: ClassVar[type] = EarthMindOptions

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = read_options(EarthMindOptions, options, "task")
        self.loss_settings = read_options(LossSettings, self.options.losses or {}, "losses")
        self.data = TrainingData(self.options, IMAGES)
        words = TOKENIZERS.build(self.options.tokenizer)
        self.model = build_model(self.options.model, words)
        self.processor = build_processor(self.options.processor, words, self.model.config)
        language_model, tower = self.model.language_model, self.model.vision_tower
        use_packed_attention(language_model)
        rows = token_ids(words, self.options.trainable_tokens)
        choose_trainable(self.model, self.options, adapted=language_model, token_ids=rows)
        if "pretrained" in self.options.model:
            check_new_parts(self.model, Path(self.options.model["pretrained"]), words)
        parts = LayerParts(
            language_model=language_model,
            encoders=(tower, self.model.seg_head.sam.vision_encoder),
            compiled=(language_model, tower),
        )
        self.checkpointing = prepare_layers(parts, self.options)
        self.vision_cache = None if self.options.vision_cache is None else self._build_vision_cache(self.options.vision_cache)

    def _build_vision_cache(self, options: Mapping[str, Any]) -> VisionCache:
        config = self.model.config
        return VisionCache(
            self.model.vision_tower,
            options,
            compute=self.model.patch_states,
            preparation=lambda: f"{config.pixel_mean} {config.pixel_std}",
        )

    def identity(self) -> dict[str, str]:
        """The vocabulary; see `Task.identity`."""
        return {"vocabulary": str(self.model.config.vocabulary)}

    def resolved(self) -> dict[str, Resolved]:
        """What the model, its processor and the sections of options came to; see `Task.resolved`."""
        config = self.model.config
        parts = {"language_model": config.text_config, "vision_tower": config.vision_config}
        return {
            "model": describe_config(config, leave_out=("vocabulary",)),
            "attention": resolve({name: part._attn_implementation for name, part in parts.items()}),
            "tokenizer": resolve({"sha256": tokenizer_digest(self.processor.tokenizer)}),
            "processor": resolve(processor_fields(self.processor), EarthMindProcessor),
            "losses": resolve_instance(self.loss_settings),
            "lora": resolved_lora(self.options),
            **self.data.resolved(),
        }

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """This rank's batches; see `Task.build_loader`."""
        collate = partial(
            self.processor.collate,
            row_length=self.data.row_length,
            full_rows=self.data.full_rows,
            shared_counts=("num_samples", "num_scored")
            if self.data.packing is not None or self.loss_settings.text_mean == "tokens"
            else (),
        )
        return self.data.build_loader(
            Shard(rank=rank, world_size=world_size, seed=seed, start_step=start_step),
            prepare=SamplePreparer(self.processor, max_length=self.data.max_length),
            collate=collate if self.vision_cache is None else WithTileKeys(collate),
            rules=self.pack_rules,
        )

    def pack_rules(self) -> PackRules:
        """By which samples are dealt to packs."""
        return PackRules(
            measurer=SampleMeasurer(self.processor, max_length=self.data.max_length),
            cost=sample_cost(self.model, recomputed=self.checkpointing == "full"),
        )

    def forward(self, batch: Mapping[str, Any], mode: Mode = "loss") -> dict[str, Any]:
        """Losses and counts of a batch (`mode` "loss" is the only one; answers come from `EarthMindForConditionalGeneration.answer`)."""
        batch = self._complete(dict(batch))
        model = self.model
        fused = self._look(batch)
        with SegAttention(model.language_model.get_decoder()) as attention:
            embeddings = model.splice(batch["input_ids"], fused.tokens, batch["placeholder_index"], batch["vision_index"])
            words = model.language_model.config
            borders = border_arguments(batch["borders"], embeddings.device) | known_masks(words)
            borders |= question_arguments(batch.get("question_starts", {}), batch["borders"], config=words, device=embeddings.device)
            states = model.read(embeddings, batch["position_ids"], **borders).flatten(0, 1)
        logits = model.get_output_embeddings()(states[batch["label_index"]])
        share, weights = self._means(batch)
        losses = {"text": token_cross_entropy(logits, batch["label_target"], weights=weights)}
        losses["alignment"] = share * self._alignment(fused, batch)
        losses |= {name: share * value for name, value in self._mask_losses(states, attention, batch, borders["visible"]).items()}
        metrics = {
            "num_samples": batch["num_samples"],
            "num_tokens": batch["num_tokens"],
            "num_masks": sum(batch["seg_counts"]) - batch.get("blank_masks", 0),
        } | ({NUM_REPLACED: batch[NUM_REPLACED]} if NUM_REPLACED in batch else {})
        if self.vision_cache is not None:
            metrics["vision_cached"] = self.vision_cache.fraction_found
        return {**weighted(losses, self.loss_settings), **metrics, **self._accuracy(logits, batch)}

    def _means(self, batch: Mapping[str, Any]) -> tuple[float, Tensor]:
        """How the mean over this batch's samples counts in the mean over the update's, and the weights (M,) of learnt tokens."""
        means = batch.get(MEAN_COUNTS, {"num_samples": batch["num_samples"], "num_scored": len(batch["label_target"])})
        share = batch["num_samples"] / means["num_samples"]
        if self.loss_settings.text_mean == "samples":
            return share, batch["label_weight"] * share
        return share, torch.ones_like(batch["label_weight"]) / max(means["num_scored"], 1.0)

    def _look(self, batch: Mapping[str, Any]) -> FusedTokens:
        """Fused tokens of the batch's tiles; those with a key may come from the cache."""
        if self.vision_cache is None or TILE_KEYS not in batch:
            return self.model.look(batch["tiles"], batch["tile_group"])
        states = self.vision_cache.states(batch["tiles"], batch[TILE_KEYS])
        return self.model.fusion(self.model.project(states), batch["tile_group"])

    def _alignment(self, fused: FusedTokens, batch: Mapping[str, Any]) -> Tensor:
        return alignment_loss(fused, self.loss_settings, pair_weights(batch["tile_sample"], batch["num_samples"]))

    def _mask_losses(
        self, states: Tensor, attention: SegAttention, batch: Mapping[str, Any], visible: Mapping[int, Tensor]
    ) -> dict[str, Tensor]:
        head, settings = self.model.seg_head, self.loss_settings
        prompts = head.point(states[batch["seg_index"]])
        drawn = head.draw(prompts, self._mask_features(batch), batch["seg_sample"], batch["seg_slot"], batch["num_slots"]).chosen
        points = uncertain_points(
            drawn,
            settings.num_points,
            seeds=batch["seg_seeds"],
            counts=batch["seg_counts"],
            oversample=settings.oversample,
            importance=settings.importance,
        )
        mask, dice = mask_losses(drawn, batch["masks"], points=points)
        rows = attention.rows(batch["seg_index"], batch["seg_spans"], batch["seg_counts"], visible)
        spread = attention_loss(rows, batch["seg_columns"], batch["masks"], self.model.config.tile_grid)
        return {name: (value * batch["seg_weight"]).sum() for name, value in {"mask": mask, "dice": dice, "attention": spread}.items()}

    def _accuracy(self, logits: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        right = (logits.detach().argmax(-1) == batch["label_target"]).float()
        return {"token_accuracy": right.mean() if len(right) else right.sum()}

    def _complete(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch with a blank tile or mask, of weight 0, where it has none.

        All ranks must reduce the same gradients in the same order: ZeRO 1-3 send them as they arrive, so a rank that left a part out, or
        touched its parameters in another order, would add up gradients of different parameters.
        """
        device = batch["input_ids"].device
        if "tiles" not in batch:
            batch.update(blank_tiles(self.model.config, device))
        if "seg_index" not in batch:
            batch.update(blank_masks(self.model.config, device))
        return batch

    def _mask_features(self, batch: Mapping[str, Any]) -> list[Tensor]:
        """SAM 2 features of the grounded samples; a frozen image encoder is left out where there is only a blank image to encode."""
        head = self.model.seg_head
        encoder = next(head.sam.vision_encoder.parameters())
        # ZeRO-3 ranks gather parameters together (ds_id marks them), so there every rank runs the encoder
        skip = batch.get("blank_masks", False) and not encoder.requires_grad and not hasattr(encoder, "ds_id")
        features = head.blank_features(1) if skip else head.encode(batch["grounding_images"])
        return head.combine(features, batch["grounding_owner"], batch["num_grounded"])
