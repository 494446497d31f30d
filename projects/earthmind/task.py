"""Training of an EarthMind model: model, losses and data, built from a config."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from earthmind.build import build_model, build_processor
from earthmind.cost_model import sample_cost
from earthmind.datasets import mcq, multispectral, paired, referring, region, vqa  # noqa: F401  (registers the datasets)
from earthmind.dummy_inputs import blank_masks, blank_tiles
from earthmind.losses import LossSettings, alignment_loss, attention_loss, pair_weights, weighted
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.sensor_fusion import FusedTokens
from earthmind.packed_sizes import build_sizes
from earthmind.prepare import SamplePreparer
from earthmind.pretrained import check_new_parts
from earthmind.seg_attention import SegAttention
from earthmind.sizes import SampleMeasurer, processor_fields
from earthmind.tokenizer import token_ids, tokenizer_digest
from earthmind.vision_cache import TILE_KEYS, VisionCache, WithTileKeys
from eocore.config import read_options
from eocore.data import conversation as _conversation  # noqa: F401  (registers ImageConversations)
from eocore.data import mixture as _mixture  # noqa: F401  (registers Mixture and the transforms)
from eocore.data.dataset import PreparedDataset, SampleKey, SampleSource, build_dataset
from eocore.data.loading.error_policy import NUM_REPLACED, FaultOptions, make_loader
from eocore.data.loading.packing import PackingOptions, PackSampler
from eocore.data.loading.sampler import GlobalBatchSampler
from eocore.errors import ConfigError
from eocore.losses.mask import mask_losses, uncertain_points
from eocore.losses.text import token_cross_entropy
from eocore.models.compilation import compile_layers
from eocore.models.config_record import describe_config
from eocore.models.feature_cache import FeatureCacheOptions
from eocore.models.freeze import apply_trainable, trainable_names
from eocore.models.packed_attention import border_arguments, known_masks, question_arguments, use_packed_attention
from eocore.models.recompute import checkpointing_kind, recompute_activations
from eocore.models.token_rows import add_token_rows
from eocore.registry import TASKS, TOKENIZERS
from eocore.resolve import Resolved, resolve, resolve_instance
from eocore.train.ranks import MEAN_COUNTS
from eocore.train.task import Mode, Task


@TASKS.register_module()
class EarthMindTask(Task):
    """Model + losses + data.

    Args:
        model: fields of `EarthMindConfig`, or `pretrained` (a folder of our layout) and fields to change.
        tokenizer: config of the registry TOKENIZERS.
        processor: fields of `EarthMindProcessor` that the model does not decide.
        data: config of the registry DATASETS; None where only the model is wanted (conversion).
        batch_size: samples of one rank in one micro-step; with `packing`, as many as the budgets have room for.
        max_length: most tokens of a sample.
        row_length: tokens of a packed row, and so of the longest sample too; None = one sample a row.
        packing: fields of `PackingOptions` : a rank's samples of a micro-step fill one row up to budgets, ranks carry
            like costs, and losses are means over the whole update. Instead of batch_size, row_length and length_window.
        length_window: steps within which samples are moved so that batches hold samples of like length; None = purely random batches.
        num_workers: loader processes of a rank.
        trainable: patterns of what is trained and saved (see `eocore.models.freeze`); with LoRA, its weights come on top.
        trainable_tokens: tokens, by name, whose rows of the embedding and the head train while both tables are frozen; for training both
            whole, name them in `trainable` instead.
        lora: fields of `eocore.models.lora.add_lora` but the module; None = no LoRA.
        losses: fields of `LossSettings`.
        data_faults: fields of `eocore.data.loading.error_policy.FaultOptions`: what becomes of broken samples.
        gradient_checkpointing: "none", "selective", "attention" or "full" (False and True: the first and the last): what the language
            model, and the towers that train, compute again in backward instead of keeping it; see `eocore.models.recompute`.
        compile: "none", "static" (rows should be of one length) or "dynamic": whether torch.compile makes graphs of the layers of the
            language model and the vision tower; see `eocore.models.compilation`.
        vision_cache: fields of `eocore.models.feature_cache.FeatureCacheOptions`: what a frozen vision tower makes of a tile is kept on
            disk and read from there the next time; None = computed every time.
        prefetch: batches that each loader process prepares ahead.
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        **Task.uncompared,
        "gradient_checkpointing": "what is computed again comes out the same",
        "vision_cache": "states are kept as they are computed",
    }
    option_kinds: ClassVar[Mapping[str, str]] = {
        **Task.option_kinds,
        **dict.fromkeys(("packing", "length_window", "max_length", "row_length", "data_faults"), "data"),
        "trainable_tokens": "model",
        "attention": "precision",
    }

    def __init__(
        self,
        *,
        model: Mapping[str, Any],
        tokenizer: Mapping[str, Any],
        processor: Mapping[str, Any],
        data: Mapping[str, Any] | None = None,
        batch_size: int = 1,
        max_length: int = 8192,
        row_length: int | None = None,
        packing: Mapping[str, Any] | None = None,
        length_window: int | None = 16,
        num_workers: int = 4,
        trainable: Sequence[str] = ("*",),
        trainable_tokens: Sequence[str] = (),
        lora: Mapping[str, Any] | None = None,
        losses: Mapping[str, Any] | None = None,
        data_faults: Mapping[str, Any] | None = None,
        gradient_checkpointing: bool | str = False,
        compile: str = "none",
        vision_cache: Mapping[str, Any] | None = None,
        prefetch: int = 2,
    ) -> None:
        super().__init__()
        self.settings = read_options(LossSettings, losses or {}, "losses")
        self.faults = read_options(FaultOptions, data_faults or {}, "data_faults")
        words = TOKENIZERS.build(tokenizer)
        self.model = build_model(model, words)
        self.processor = build_processor(processor, words, self.model.config)
        use_packed_attention(self.model.language_model)
        self._freeze(trainable, token_ids(words, trainable_tokens), lora)
        if "pretrained" in model:
            check_new_parts(self.model, Path(model["pretrained"]), words)
        self.checkpointing = checkpointing_kind(gradient_checkpointing)
        self._recompute(self.checkpointing)
        for part in (self.model.language_model, self.model.vision_tower):
            compile_layers(part, compile)
        self.vision_cache = (
            None if vision_cache is None else VisionCache(self.model, read_options(FeatureCacheOptions, vision_cache, "vision_cache"))
        )
        self.prefetch, self.lora = _check_prefetch(prefetch), lora
        self.data_config = data
        self.batch_size, self.num_workers = batch_size, num_workers
        self.packing = None if packing is None else read_options(PackingOptions, packing, "packing")
        if self.packing is not None and (batch_size != 1 or row_length is not None):
            raise ConfigError("task.packing decides which samples share a row: leave batch_size at 1 and row_length out.")
        self.row_length = row_length if self.packing is None else self.packing.max_tokens
        self.max_length, self.length_window = max_length, length_window

    def _freeze(self, trainable: Sequence[str], rows: Sequence[int], lora: Mapping[str, Any] | None) -> None:
        apply_trainable(self.model, trainable)
        if rows:
            add_token_rows(self.model, rows)
        if lora is not None:
            from eocore.models.lora import add_lora

            add_lora(self.model.language_model, **lora)

    def _recompute(self, kind: str) -> None:
        towers = [self.model.vision_tower, self.model.seg_head.sam.vision_encoder]
        for part in [self.model.language_model, *(tower for tower in towers if trainable_names(tower))]:
            recompute_activations(part, kind)

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
            "losses": resolve_instance(self.settings),
            "data_faults": resolve_instance(self.faults),
            "packing": Resolved(None) if self.packing is None else resolve_instance(self.packing),
            "lora": self._resolved_lora(),
        }

    def _resolved_lora(self) -> Resolved:
        if self.lora is None:
            return Resolved(None)
        from eocore.models.lora import add_lora

        return resolve(self.lora, add_lora)

    def build_dataset(self) -> SampleSource:
        """The datasets of the config."""
        return build_dataset(self.data_config, self.faults)

    def build_loader(self, *, rank: int, world_size: int, seed: int, start_step: int) -> DataLoader:
        """This rank's batches; see `Task.build_loader`."""
        dataset = self.build_dataset()
        place = {"rank": rank, "world_size": world_size, "seed": seed, "start_step": start_step}
        sampler: Sampler[list[SampleKey]] = (
            GlobalBatchSampler(
                num_samples=len(dataset),
                batch_size=self.batch_size,
                lengths=None if self.length_window is None else dataset.lengths,
                window=self.length_window or 1,
                **place,
            )
            if self.packing is None
            else self.build_packs(dataset, **place)
        )
        prepare = SamplePreparer(self.processor, max_length=self.max_length, row_length=self.row_length)
        collate = partial(
            self.processor.collate,
            row_length=self.row_length,
            full_rows=self.packing is not None and self.packing.full_rows,
            shared_counts=("num_samples", "num_scored") if self.packing is not None or self.settings.text_mean == "tokens" else (),
        )
        return make_loader(
            PreparedDataset(dataset, prepare, seed=seed, faults=self.faults),
            collate=collate if self.vision_cache is None else WithTileKeys(collate),
            options=self.faults,
            batch_sampler=sampler,
            num_workers=self.num_workers,
            prefetch_factor=self.prefetch if self.num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def build_packs(self, dataset: SampleSource, *, rank: int, world_size: int, seed: int, start_step: int) -> PackSampler:
        """This rank's packs of `dataset`; the sizes of its samples are found, or read where they were kept.

        Raises:
            EOError: a sample is broken or larger than a pack, or there are too few.
        """
        assert self.packing is not None and self.data_config is not None
        sizes = build_sizes(
            dataset,
            SampleMeasurer(self.processor, max_length=min(self.max_length, self.packing.max_tokens)),
            seed=seed,
            data=self.data_config,
            options=self.packing,
            faults=self.faults,
            num_workers=self.num_workers,
        )
        return PackSampler(
            num_samples=len(dataset),
            sizes=sizes,
            cost=sample_cost(self.model, recomputed=self.checkpointing == "full"),
            options=self.packing,
            rank=rank,
            world_size=world_size,
            seed=seed,
            start_step=start_step,
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
            borders |= question_arguments(batch.get("question_starts", {}), batch["borders"], words, embeddings.device)
            states = model.read(embeddings, batch["position_ids"], **borders).flatten(0, 1)
        logits = model.get_output_embeddings()(states[batch["label_index"]])
        share, weights = self._means(batch)
        losses = {"text": token_cross_entropy(logits, batch["label_target"], weights)}
        losses["alignment"] = share * self._alignment(fused, batch)
        losses |= {name: share * value for name, value in self._mask_losses(states, attention, batch, borders["visible"]).items()}
        metrics = {
            "num_samples": batch["num_samples"],
            "num_tokens": batch["num_tokens"],
            "num_masks": sum(batch["seg_counts"]) - batch.get("blank_masks", 0),
        } | ({NUM_REPLACED: batch[NUM_REPLACED]} if NUM_REPLACED in batch else {})
        if self.vision_cache is not None:
            metrics["vision_cached"] = self.vision_cache.share_found
        return {**weighted(losses, self.settings), **metrics, **self._accuracy(logits, batch)}

    def _means(self, batch: Mapping[str, Any]) -> tuple[float, Tensor]:
        """How the mean over this batch's samples counts in the mean over the update's, and the weights (M,) of learnt tokens."""
        means = batch.get(MEAN_COUNTS, {"num_samples": batch["num_samples"], "num_scored": len(batch["label_target"])})
        share = batch["num_samples"] / means["num_samples"]
        if self.settings.text_mean == "samples":
            return share, batch["label_weight"] * share
        return share, torch.ones_like(batch["label_weight"]) / max(means["num_scored"], 1.0)

    def _look(self, batch: Mapping[str, Any]) -> FusedTokens:
        """Fused tokens of the batch's tiles; those with a key may come from the cache."""
        if self.vision_cache is None or TILE_KEYS not in batch:
            return self.model.look(batch["tiles"], batch["tile_group"])
        states = self.vision_cache.states(batch["tiles"], batch[TILE_KEYS])
        return self.model.fusion(self.model.project(states), batch["tile_group"])

    def _alignment(self, fused: FusedTokens, batch: Mapping[str, Any]) -> Tensor:
        return alignment_loss(fused, self.settings, pair_weights(batch["tile_sample"], batch["num_samples"]))

    def _mask_losses(
        self, states: Tensor, attention: SegAttention, batch: Mapping[str, Any], visible: Mapping[int, Tensor]
    ) -> dict[str, Tensor]:
        head, settings = self.model.seg_head, self.settings
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
        mask, dice = mask_losses(drawn, batch["masks"], points)
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


def _check_prefetch(count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"task.prefetch is {count!r}; expected a whole number of batches of at least 1.")
    return count
