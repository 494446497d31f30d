"""A .pth of the upstream training code: names below `mllm.model.`, a language model inside peft, its LoRA update not merged.

Such a file holds what was trained; everything else comes from the models that the training began with. Names: xtuner's and Sa2VA's
`state_dict` (`VideoLLaVASAMModel.state_dict`), and peft's wrappers of layers.
"""

from collections.abc import Mapping

from torch import Tensor

from earthmind.checkpoints.key_maps.internvl import vision_rules
from earthmind.checkpoints.key_maps.upstream import OWN_RULES, SAM
from eocore.checkpoints.exchange import LoraScale
from eocore.checkpoints.key_map import KeyMap, Mapped, rename, unused
from eocore.checkpoints.key_maps.language import language_rules
from eocore.checkpoints.key_maps.sam2 import iou_head_depth, sam2_rules, under
from eocore.checkpoints.weight_files import LazyTensor, Weights
from eocore.errors import CheckpointError

PEFT = "mllm.model.language_model.base_model.model."
TEXT = "language_model."
UPSTREAM_NAMES = KeyMap(
    "EarthMind training",
    [
        *(rename(f"{PEFT}{{rest}}.lora_{side}.default.weight", f"{TEXT}{{rest}}.lora_{side}") for side in "AB"),
        *(rename(f"{PEFT}{{rest}}.lora_{side}.weight", f"{TEXT}{{rest}}.lora_{side}") for side in "AB"),
        unused(f"{PEFT}{{rest}}.original_module.{{leaf}}", "weights before the training"),
        rename(f"{PEFT}{{rest}}.modules_to_save.default.{{leaf}}", f"{TEXT}{{rest}}.{{leaf}}"),
        rename(f"{PEFT}{{rest}}.base_layer.{{leaf}}", f"{TEXT}{{rest}}.{{leaf}}"),
        rename(f"{PEFT}{{rest}}", f"{TEXT}{{rest}}"),
        rename("mllm.model.{rest}", "{rest}"),
        rename("mllm.local_query", "local_query"),
        rename("mllm.hca_queries", "hca_queries"),
        rename("grounding_encoder.{rest}", "grounding_encoder.{rest}"),
        rename("text_hidden_fcs.{rest}", "text_hidden_fcs.{rest}"),
        rename("text_exist_fcs.{rest}", "text_exist_fcs.{rest}"),
    ],
)
"""Names of the training -> names of the upstream folder, and LoRA's two factors beside the weight they change."""


def map_training(weights: Weights, base: Mapping[str, LazyTensor], *, lora: LoraScale) -> Mapped:
    """The tensors of a training under our names, LoRA merged into the weights it stands beside.

    Args:
        weights: the file.
        base: our name -> tensor of the models the training began with.
        lora: its scale.

    Raises:
        CheckpointError: ranks or shapes of the LoRA update disagree, its scale is not given, or the weight it changes is in no source.
    """
    origin = f"{UPSTREAM_NAMES.layout} ({weights.path.name})"
    renamed = UPSTREAM_NAMES.apply(weights)
    factors = {name: tensor for name, tensor in renamed.tensors.items() if name.endswith((".lora_A", ".lora_B"))}
    plain = {name: tensor for name, tensor in renamed.tensors.items() if name not in factors}
    headers = {name: tensor.header for name, tensor in plain.items()}
    rules = [
        *vision_rules(),
        *language_rules(TEXT, tied=False),
        *OWN_RULES,
        *under(sam2_rules(iou_head_depth(headers, SAM)), SAM),
    ]
    mapped = KeyMap(UPSTREAM_NAMES.layout, rules).apply_tensors(plain, origin=origin)
    mapped.unexpected |= renamed.unexpected
    mapped.unused |= renamed.unused
    for name in sorted({name.rpartition(".")[0] for name in factors}):
        mapped.tensors[f"{name}.weight"] = _merged(name, factors, base={**base, **mapped.tensors}, lora=lora)
    return mapped


def _merged(layer: str, factors: Mapping[str, LazyTensor], *, base: Mapping[str, LazyTensor], lora: LoraScale) -> LazyTensor:
    """The weight of a layer with its update."""
    down, up, weight = factors.get(f"{layer}.lora_A"), factors.get(f"{layer}.lora_B"), base.get(f"{layer}.weight")
    if down is None or up is None:
        raise CheckpointError(f"LoRA of {layer} lacks its factor {'A' if down is None else 'B'}: the file is incomplete. Fetch it again.")
    if weight is None:
        raise CheckpointError(
            f"LoRA of {layer} changes a weight that no source holds. Name the model that the training began with before the .pth file: "
            "tools/import_weights.py InternVL2_5-4B TRAINED.pth --sam2 FILE ..."
        )
    rank = down.header.shape[0]
    if up.header.shape[1:] != (rank,) or (lora.rank is not None and lora.rank != rank):
        stated = "" if lora.rank is None else f", --lora-rank says {lora.rank}"
        raise CheckpointError(
            f"LoRA rank mismatch in {layer}: A is {list(down.header.shape)}, B is {list(up.header.shape)}{stated}; the update would be of "
            "another size or scale than the one that was trained. Give the rank of the training, or fetch the file again."
        )
    if (up.header.shape[0], down.header.shape[1]) != weight.header.shape:
        raise CheckpointError(
            f"LoRA of {layer} changes a weight of {[up.header.shape[0], down.header.shape[1]]}, the base model's is "
            f"{list(weight.header.shape)}: it was trained on another model. Name that one as SRC."
        )
    if lora.alpha is None:
        raise CheckpointError(
            f"the file holds a LoRA update of rank {rank} that is not merged, and does not say how it is scaled. Give the alpha of the "
            "training: --lora-alpha 256 for the upstream EarthMind recipe (rank 128)."
        )
    scale = lora.alpha / rank

    def read() -> Tensor:
        # in float32, so that the sum is rounded once
        return weight.read().float().addmm(up.read().float(), down.read().float(), alpha=scale).to(weight.header.dtype)

    return LazyTensor(weight.header, read)
