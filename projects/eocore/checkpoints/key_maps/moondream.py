"""Moondream 2 of revision 2024-08-26: its text model is Phi under names of its own, its vision tower is used by nothing here."""

from eocore.checkpoints.key_map import KeyMap, Rule, rename, split, unused
from eocore.checkpoints.key_maps.language import PREFIX

SOURCE = "text_model."
"""Where the text model's names stand. Source: vikhyatk/moondream2 at 2024-08-26, modeling_phi.py and moondream.py."""
PHI_FIELDS = {
    "model_type": "phi",
    "vocab_size": 51_200,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
}
"""Of transformers' PhiConfig; the other fields are at its defaults. Source: as above, configuration_moondream.py."""
VISION = ("vision_encoder.", "vision.")
"""Starts of the names of its SigLIP tower and projection."""


def moondream_rules(*, source: str = SOURCE, ours: str = PREFIX) -> list[Rule]:
    """Rules from the text model below `source` to PhiForCausalLM below `ours`."""
    layer, own = f"{source}transformer.h.{{i}}.", f"{ours}model.layers.{{i}}."
    attention = f"{own}self_attn."
    return [
        *(unused(f"{start}{{rest}}", "vision tower") for start in VISION),
        rename(f"{source}transformer.embd.wte.weight", f"{ours}model.embed_tokens.weight"),
        rename(f"{layer}ln.{{leaf}}", f"{own}input_layernorm.{{leaf}}"),
        split(f"{layer}mixer.Wqkv.{{leaf}}", [f"{attention}{part}_proj.{{leaf}}" for part in "qkv"]),
        rename(f"{layer}mixer.out_proj.{{leaf}}", f"{attention}dense.{{leaf}}"),
        rename(f"{layer}mlp.fc{{j}}.{{leaf}}", f"{own}mlp.fc{{j}}.{{leaf}}"),
        rename(f"{source}lm_head.ln.{{leaf}}", f"{ours}model.final_layernorm.{{leaf}}"),
        rename(f"{source}lm_head.linear.{{leaf}}", f"{ours}lm_head.{{leaf}}"),
        unused(f"{layer}mixer.rotary_emb.inv_freq", "rotary frequencies"),
    ]


def moondream_map() -> KeyMap:
    """Key map of a folder of Moondream 2."""
    return KeyMap("Moondream 2 (2024-08-26)", moondream_rules())
