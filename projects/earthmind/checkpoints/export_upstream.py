"""A model in our layout back in the upstream one, under the names that the upstream code loads, bit by bit."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from earthmind.checkpoints.import_writer import NOT_USED, ORIGIN
from earthmind.checkpoints.key_maps.upstream import ONLY_IN_2_1, SAM, upstream_name, upstream_rules
from earthmind.checkpoints.layouts import EARTHMIND, open_source
from earthmind.checkpoints.upstream_config import upstream_config
from earthmind.checkpoints.vocabulary import read_tokenizer
from earthmind.model.configuration_earthmind import SAM3_TRACKER, EarthMindConfig
from earthmind.model.hca_fusion import UPSTREAM, HcaSettings
from earthmind.pretrained import read_config
from eocore.checkpoints.key_map import KeyMap, Mapped
from eocore.checkpoints.key_maps.language import EMBEDDING, HEAD, PREFIX, TIED_HEAD
from eocore.checkpoints.weight_files import LazyTensor, Weights, open_weights
from eocore.checkpoints.weight_stream import write_weights
from eocore.errors import CheckpointError
from eocore.export.hf import MAX_SHARD_SIZE, folder_aside, require_free

LAYOUTS = ("earthmind-hf",)


@dataclass(frozen=True)
class Publication:
    """What an export will write.

    Attributes:
        tensors: upstream name -> tensor.
        config: content of config.json.
        tokenizer: None where the model has none.
        num_restored: tensors that our model does not use, put back.
        notes: what the upstream code would do otherwise.
    """

    tensors: Mapping[str, LazyTensor]
    config: Mapping[str, Any]
    tokenizer: PreTrainedTokenizerBase | None
    num_restored: int
    notes: tuple[str, ...] = ()

    def describe(self, out: Path) -> str:
        """What was written to `out`, for the screen."""
        values = sum(tensor.header.numel for tensor in self.tensors.values())
        lines = (
            f"{out}: {len(self.tensors)} tensors, {values:,} values, {self.num_restored} of them unused parts put back.",
            "The upstream code is not in it: put the .py files of the upstream model beside the weights.",
            *self.notes,
        )
        return "\n".join(lines)

    def write(self, out: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
        """Writes the folder; see `write_export`."""
        write_export(self, out, overwrite=overwrite, max_shard_size=max_shard_size)


def plan_export(model: Path, *, rest: Path | None = None, without_video: bool = False) -> Publication:
    """What an export of a folder of our layout will write.

    Args:
        model: folder written by tools/import_weights.py or tools/convert_to_hf.py.
        rest: what holds the parts of SAM 2 for video, which our model does not use but the upstream code loads: an import's folder, an
            upstream folder, or Meta's SAM 2 file. None: the model's own folder.
        without_video: leave these parts out.

    Raises:
        CheckpointError: the model cannot be said in the upstream layout, or the parts for video are not found.
        ConfigError: there is no model.
    """
    config, weights, origin = read_config(model), open_weights(model), _origin(model, rest)
    if config.compression is not None:
        raise CheckpointError(f"{model} compresses long inputs, which the upstream code cannot. Export the model it was trained from.")
    upstream = upstream_config(config, origin.get("config", {}) if origin.get("layout") == EARTHMIND.name else {})
    rules = upstream_rules(upstream, config.sam_config.mask_decoder_config.iou_head_depth)
    key_map = KeyMap("upstream EarthMind", rules)
    mapped = key_map.reversed().apply(weights)
    _require_sayable(mapped, weights, config=config)
    tensors = dict(mapped.tensors)
    if origin.get("tied_head"):
        tensors[PREFIX + HEAD] = tensors[PREFIX + EMBEDDING]
    restored = {} if without_video else _not_used(rest or model, model, key_map=key_map)
    return Publication({**tensors, **restored}, upstream, read_tokenizer([model]), len(restored), tuple(_fusion_notes(config)))


def write_export(publication: Publication, out_dir: Path, *, overwrite: bool = False, max_shard_size: str = MAX_SHARD_SIZE) -> None:
    """Writes the folder, whole or not at all.

    Raises:
        CheckpointError: `out_dir` is taken, or a size is none.
        OutputError: the disk is full, or `out_dir` may not be written to.
    """
    require_free(out_dir, overwrite=overwrite)
    with folder_aside(out_dir, needed=sum(tensor.header.nbytes for tensor in publication.tensors.values())) as folder:
        write_weights(folder, publication.tensors, max_shard_size=max_shard_size)
        (folder / "config.json").write_text(json.dumps(publication.config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if publication.tokenizer is not None:
            publication.tokenizer.save_pretrained(folder)


def _fusion_notes(config: EarthMindConfig) -> Iterator[str]:
    """Which upstream code belongs to a model with the second release's fusion, and what it does otherwise."""
    if not config.fuses_sensors:
        return
    yield "Pairs are joined by hca: take the code of the second release (EarthMind4B_multi); the first release's would join them otherwise."
    released, own = asdict(HcaSettings(**UPSTREAM)), config.hca or {}
    other = [f"{name}={own[name]!r} (upstream {value!r})" for name, value in released.items() if own[name] != value]
    if other:
        yield f"The model fuses with {', '.join(other)}: its answers about pairs will differ there. Answers about one image will not."


def _origin(model: Path, rest: Path | None) -> dict[str, Any]:
    """What an import noted of its source, in the model's folder or in that of the rest."""
    for folder in (model, rest):
        if folder is not None and (folder / ORIGIN).is_file():
            return dict(json.loads((folder / ORIGIN).read_text(encoding="utf-8")))
    return {}


def _require_sayable(mapped: Mapped, weights: Weights, *, config: EarthMindConfig) -> None:
    """Nothing, if every tensor has an upstream name. Of copies the one that draws masks counts; see the rules of SAM 2."""
    if mapped.unexpected:
        names = ", ".join(list(mapped.unexpected)[:8])
        raise CheckpointError(
            f"{weights.path} has {len(mapped.unexpected)} tensors that the upstream layout has no place for: {names}. The upstream code "
            "would compute something else. Continue with the converted model itself."
        )
    if config.sam_config.model_type == SAM3_TRACKER:
        raise CheckpointError("masks are drawn by SAM 3, which the upstream code does not know. Continue with the converted model itself.")
    if config.vision_config.num_channels != 3 or config.grounding_channels != 3:
        raise CheckpointError(
            f"the model reads {config.vision_config.num_channels} channels and draws on {config.grounding_channels}; the upstream code "
            "knows 3 and 3. Continue with the converted model itself."
        )


def _not_used(path: Path, model: Path, *, key_map: KeyMap) -> dict[str, LazyTensor]:
    """The tensors at `path` that our model has no use for, by their upstream names."""
    named = _upstream_tensors(path, model)
    unused = key_map.apply_tensors(named, origin=str(path)).unused
    found = {name: named[name] for part, headers in unused.items() if part != TIED_HEAD for name in headers}
    video = [rule for rule in key_map.rules if rule.kind == "unused" and rule.source[0].startswith(SAM)]
    starts = [rule.source[0].split("{")[0] for rule in video if not rule.source[0].removeprefix(SAM).startswith(ONLY_IN_2_1)]
    missing = [start.removeprefix(SAM) for start in starts if not any(name.startswith(start) for name in found)]
    if missing:
        raise CheckpointError(
            f"{path} does not hold {', '.join(missing)}, parts of SAM 2 for video, which the upstream code loads though it does not use "
            "them on images. Name what does with --rest (the folder of the import, the upstream model, or sam2_hiera_large.pt), or leave "
            "them out with --without-video."
        )
    return found


def _upstream_tensors(path: Path, model: Path) -> dict[str, LazyTensor]:
    """Everything at `path` that has a name in the upstream layout."""
    if (path / NOT_USED).is_file():
        weights = open_weights(path / NOT_USED)
        return {name: weights.lazy(name) for name in weights.headers}
    if path == model:
        return {}
    source = open_source(path)
    names = {name: upstream_name(source.layout.name, name) for name in source.weights.headers}
    return {upstream: source.weights.lazy(name) for name, upstream in names.items() if upstream is not None}
