"""A causal language model alone, as transformers saves it (`model.embed_tokens.*`, `model.layers.*`, `lm_head.*`)."""

from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from eocore.checkpoints.key_map import KeyMap, Rule, rename, unused
from eocore.checkpoints.weight_files import Headers
from eocore.errors import CheckpointError

PREFIX = "language_model."
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
TIED_HEAD = "head tied to the token embedding"
BY_OTHER_NAMES = ("rope_theta", "rope_scaling", "head_dim", "partial_rotary_factor")
"""Fields that config classes read without showing them among their defaults."""
OF_THE_FILE = ("architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path", "model_type", "id2label", "label2id")
"""Fields that say how a config was saved, not what the model is."""


def language_rules(source: str, *, tied: bool) -> list[Rule]:
    """Rules of a language model whose names stand below `source` there; a head that is the embedding again is not stored here."""
    head = [unused(source + HEAD, TIED_HEAD)] if tied else []
    return [*head, unused(f"{source}{{rest}}.rotary_emb.inv_freq", "rotary frequencies"), rename(f"{source}{{rest}}", f"{PREFIX}{{rest}}")]


def language_map(config: Mapping[str, Any], headers: Headers) -> KeyMap:
    """Key map of a folder that holds a language model alone."""
    return KeyMap("language model", language_rules("", tied=bool(language_fields(config)["tie_word_embeddings"])))


def language_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of our `text_config` from a language model's upstream config.

    Raises:
        CheckpointError: it is of a kind that transformers has no class for.
    """
    kind = _model_type(config)
    default = AutoConfig.for_model(kind)
    known = {*default.to_dict(), *BY_OTHER_NAMES} - {*OF_THE_FILE}
    fields = {name: value for name, value in config.items() if name in known and not name.startswith("_")}
    tied = config.get("tie_word_embeddings", getattr(default, "tie_word_embeddings", False))
    return {"model_type": kind, **fields, "tie_word_embeddings": bool(tied)}


def _model_type(config: Mapping[str, Any]) -> str:
    """The kind as the config names it, or as the class that it was saved from tells."""
    classes = {name: kind for kind, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()}
    architecture = next(iter(config.get("architectures") or []), "")
    kind = str(config.get("model_type") or classes.get(architecture, ""))
    if kind not in CONFIG_MAPPING or type(AutoConfig.for_model(kind)) not in AutoModelForCausalLM._model_mapping:
        raise CheckpointError(
            f"the language model is of type '{kind or architecture}', which transformers has no class for; models that bring their own "
            "code (InternLM2) are not supported. Take a release with Qwen2, or another model of transformers."
        )
    return kind
