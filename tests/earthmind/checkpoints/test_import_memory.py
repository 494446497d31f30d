"""Weights pass through an import one at a time: its memory does not grow with the model."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

MEASURED = """
import resource, sys
from pathlib import Path
from earthmind.checkpoints.import_writer import write_import
from eocore.checkpoints.exchange import ImportRequest
from earthmind.checkpoints.import_plan import plan_import
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
plan = plan_import(ImportRequest(sources=[Path(sys.argv[1])]))
write_import(plan, Path(sys.argv[2]), max_shard_size="100MB")
print(before, peak())
"""
LAYERS = 48
"""Of the language model: 6.3 MB each in bfloat16, 302 MB in all."""


@pytest.mark.slow
def test_memory_stays_below_the_size_of_the_file(published_folder: Path, repo_root: Path, tmp_path: Path) -> None:
    """An upstream model with a language model of 302 MB; the whole-process figure for 1 GB is in docs/weights.md."""
    spec = importlib.util.spec_from_file_location("headers", Path(__file__).parent / "key_maps" / "test_upstream.py")
    assert spec is not None and spec.loader is not None
    headers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(headers)
    source = tmp_path / "large"
    source.mkdir()
    size = write_large(source, published_folder, headers)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(source), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(repo_root / "projects"), "OMP_NUM_THREADS": "1", "PATH": ""},
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split()[-2:])
    assert size > 300e6
    assert after - before < 0.75 * size, f"{(after - before) / 1e6:.0f} MB more for a file of {size / 1e6:.0f} MB"


def write_large(folder: Path, published: Path, headers: object) -> int:
    """An upstream model whose language model is wide and deep; a hole on the disk stands for its values. Gives its size [bytes]."""
    from safetensors import safe_open

    config = json.loads((published / "config.json").read_text())
    width, hidden, rows = 512, 1536, config["llm_config"]["vocab_size"]
    config["llm_config"] |= {"hidden_size": width, "intermediate_size": hidden, "num_hidden_layers": LAYERS, "num_attention_heads": 8}
    config["llm_config"] |= {"num_key_value_heads": 4, "layer_types": ["full_attention"] * LAYERS}
    with safe_open(published / "model.safetensors", framework="pt") as file:
        shapes = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (a file, no dict)
    shapes = {name: shape for name, shape in shapes.items() if not name.startswith("language_model.")}
    shapes |= {"local_query": [2, width], "mlp1.1.weight": [width, shapes["mlp1.1.weight"][1]], "mlp1.3.weight": [width, width]}
    shapes |= {
        "mlp1.1.bias": [width],
        "mlp1.3.bias": [width],
        "text_hidden_fcs.0.weight": [width, width],
        "text_hidden_fcs.0.bias": [width],
    }
    shapes["text_hidden_fcs.2.weight"] = [shapes["text_hidden_fcs.2.weight"][0], width]
    shapes |= {"language_model.model.embed_tokens.weight": [rows, width], "language_model.model.norm.weight": [width]}
    for layer in range(LAYERS):
        start = f"language_model.model.layers.{layer}."
        for name, count in (("q", width), ("k", width // 2), ("v", width // 2)):
            shapes |= {f"{start}self_attn.{name}_proj.weight": [count, width], f"{start}self_attn.{name}_proj.bias": [count]}
        shapes[f"{start}self_attn.o_proj.weight"] = [width, width]
        shapes |= {f"{start}mlp.{name}_proj.weight": [hidden, width] for name in ("gate", "up")}
        shapes |= {f"{start}mlp.down_proj.weight": [width, hidden]}
        shapes |= {f"{start}{name}_layernorm.weight": [width] for name in ("input", "post_attention")}
    headers.write_headers(folder / "model.safetensors", shapes)  # type: ignore[attr-defined]
    (folder / "config.json").write_text(json.dumps(config))
    return (folder / "model.safetensors").stat().st_size
