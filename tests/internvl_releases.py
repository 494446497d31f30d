"""Sizes of InternVL releases: vision tower InternViT-300M (448 px), and a language model of Qwen2.5 or Qwen3."""

from typing import Any

VISION = {"attention_bias": True}
"""What differs from the defaults of transformers' `InternVLVisionConfig`, which are InternViT-300M's."""
QWEN2, QWEN3 = {"model_type": "qwen2", "vocab_size": 151674}, {"model_type": "qwen3", "vocab_size": 151936, "head_dim": 128}
RELEASES = {
    "InternVL3-1B": (QWEN2, (896, 24, 4864, 14, 2), 938_193_024),
    "InternVL3-2B": (QWEN2, (1536, 28, 8960, 12, 2), 2_088_957_440),
    "InternVL2.5-4B": (QWEN2, (2048, 36, 11008, 16, 2), 3_712_637_952),
    "InternVL3-8B": (QWEN2, (3584, 28, 18944, 28, 4), 7_944_373_760),
    "InternVL3.5-1B": (QWEN3, (1024, 28, 3072, 16, 8), 1_060_897_792),
    "InternVL3.5-2B": (QWEN3, (2048, 28, 6144, 16, 8), 2_348_347_392),
    "InternVL3.5-4B": (QWEN3, (2560, 36, 9728, 32, 8), 4_732_489_216),
    "InternVL3.5-8B": (QWEN3, (4096, 36, 12288, 32, 8), 8_528_318_464),
}
"""Kind of the language model; its width, layers, perceptron width, heads and key heads; all parameters. Those of InternVL2.5 and 3 are of
the releases' config.json. Those of 3.5 are Qwen3's (transformers and its releases state them) with a head of its own, as the totals on the
releases' cards say (1.1, 2.3, 4.7 and 8.5 billion): with a tied head the first three would be 0.9, 2.0 and 4.3."""


def language_fields(name: str) -> dict[str, Any]:
    """`llm_config` of a release, what its file says of sizes."""
    kind, (width, layers, inner, heads, key_heads), _ = RELEASES[name]
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "intermediate_size": inner}
    return {**kind, **sizes, "num_attention_heads": heads, "num_key_value_heads": key_heads, "tie_word_embeddings": False}
