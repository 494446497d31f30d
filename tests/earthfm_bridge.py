"""A small checkpoint of EarthFM-VLM-Bridge, and a module that computes what upstream's connector does."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

WIDTH = 32


class UpstreamNames(nn.Module):
    """Modules under the names of fusion.pt."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.geo_queries = nn.Parameter(torch.randn(4, WIDTH))
        self.olmo_proj = nn.Linear(WIDTH, WIDTH)
        self.ln_olmo, self.ln_queries, self.ln_ffn = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.attn = nn.MultiheadAttention(WIDTH, heads, batch_first=True)
        self.ffn = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, tokens: Tensor) -> Tensor:
        read = self.ln_olmo(self.olmo_proj(tokens))
        queries = self.ln_queries(self.geo_queries.expand(len(tokens), -1, -1))
        queries = queries + self.attn(queries, read, read)[0]
        result: Tensor = self.ln_ffn(queries + self.ffn(queries))
        return result


def write_upstream(folder: Path, *, heads: int = 2, layer: int = 1) -> tuple[UpstreamNames, dict[str, Tensor]]:
    """A checkpoint as upstream saves it: its LoRA reached fc1 and fc2 of the text model, and of the vision tower.

    Args:
        folder: is made.
        heads: of the connector's attention.
        layer: of the text model, which alone has LoRA here.
    """
    torch.manual_seed(1)
    fusion = UpstreamNames(heads).eval()
    (folder / "vlm").mkdir(parents=True)
    torch.save(fusion.state_dict(), folder / "fusion.pt")
    (folder / "config.json").write_text(json.dumps({"olmoearth_dim": WIDTH, "vlm_vision_dim": 1152}))
    start = f"base_model.model.text_model.transformer.h.{layer}.mlp.fc1."
    adapter = {
        f"{start}lora_A.weight": torch.randn(2, WIDTH),
        f"{start}lora_B.weight": torch.randn(64, 2),
        "base_model.model.vision_encoder.encoder.model.visual.blocks.0.mlp.fc1.lora_A.weight": torch.randn(2, 8),
        "base_model.model.vision_encoder.encoder.model.visual.blocks.0.mlp.fc1.lora_B.weight": torch.randn(8, 2),
    }
    save_file(adapter, folder / "vlm" / "adapter_model.safetensors")
    (folder / "vlm" / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 4}))
    return fusion, adapter
