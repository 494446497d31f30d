"""MS-CLIP computes what OpenCLIP computes with the same random weights, written as its checkpoint and imported as one."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from eocore.checkpoints.exchange import ExportRequest, ImportRequest
from eocore.errors import CheckpointError
from eocore.models.folders import load_model
from ms_clip.building.tokenizer import BPE_FILE
from ms_clip.checkpoints.export_upstream import plan_export
from ms_clip.checkpoints.import_plan import plan_import
from ms_clip.model.channels import PRESETS
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.pretrained import read_pretrained

if find_spec("open_clip") is None:
    pytest.skip(
        "OpenCLIP is not installed: bash tools/setup_env.sh --extras train,eval,open_clip,dev (CONTRIBUTING.md)", allow_module_level=True
    )

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-5
TEXTS = ["A satellite image of water.", "fields, two roads & a forest's edge", "urban"]
SIZES = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module", params=[False, True], ids=["gelu", "quick_gelu"])
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """OpenCLIP's checkpoint, and what it answers."""
    folder = tmp_path_factory.mktemp("open_clip")
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.save(
        {"model_cfg": SIZES | ({"quick_gelu": True} if request.param else {}), "pixels": pixels, "texts": TEXTS}, folder / "request.pt"
    )
    program = Path(__file__).with_name("open_clip_oracle.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "projects")))}
    done = subprocess.run([sys.executable, program, folder], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return folder, {"pixels": pixels, **torch.load(folder / "answer.pt")}


@pytest.fixture(scope="module")
def imported(oracle: tuple[Path, dict[str, Any]]) -> Path:
    """The import of that checkpoint, with the merges that OpenCLIP's package holds."""
    spec = find_spec("open_clip")
    assert spec is not None and spec.origin is not None
    out = oracle[0] / "imported"
    plan_import(ImportRequest(sources=[oracle[0]], tokenizer=Path(spec.origin).with_name(BPE_FILE))).write(out)
    return out


@pytest.fixture(scope="module")
def model(imported: Path) -> Any:
    return load_model(MsClipModel, imported)


def test_features_and_loss_are_equal(oracle: tuple[Path, dict[str, Any]], model: Any) -> None:
    expected = oracle[1]
    output = model(expected["tokens"], expected["pixels"], return_loss=True)
    torch.testing.assert_close(output.image_embeds, expected["images"], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(output.text_embeds, expected["texts"], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(output.loss, expected["loss"], rtol=0, atol=TOLERANCE)
    (gradient,) = torch.autograd.grad(output.loss, [model.vision_model.embeddings.patch_embedding.weight])
    torch.testing.assert_close(gradient, expected["gradient"], rtol=1e-3, atol=TOLERANCE)


def test_token_ids_are_equal_and_padding_changes_no_vector(oracle: tuple[Path, dict[str, Any]], imported: Path, model: Any) -> None:
    from eocore.system import PredictorOptions
    from ms_clip.predictor import MsClipPredictor

    predictor = MsClipPredictor(imported, PredictorOptions())
    tokens = predictor.processor.tokens(TEXTS)
    for row, mask, theirs in zip(tokens["input_ids"], tokens["attention_mask"], oracle[1]["tokens"], strict=True):
        count = int(mask.sum())
        assert row[:count].tolist() == theirs[:count].tolist() and not theirs[count:].any()
    torch.testing.assert_close(torch.from_numpy(predictor.embed_texts(TEXTS)), oracle[1]["texts"], rtol=0, atol=TOLERANCE)


def test_a_widened_model_computes_the_same_of_red_green_and_blue_and_learns_from_every_band(
    oracle: tuple[Path, dict[str, Any]], imported: Path
) -> None:
    pixels, expected = oracle[1]["pixels"], oracle[1]["images"]
    wide = read_pretrained(imported, {}, channels=PRESETS[10]["channels"])
    stacked = torch.randn(3, 10, 32, 32)
    stacked[:, :3] = pixels.flip(1)  # B02, B03, B04: blue comes first
    vectors = wide.encode_image(stacked)
    torch.testing.assert_close(vectors, expected, rtol=0, atol=TOLERANCE)
    vectors[:, 0].sum().backward()
    gradient = wide.vision_model.embeddings.patch_embedding.weight.grad
    assert gradient is not None and (gradient.abs().amax((0, 2, 3)) > 0).all()


@pytest.mark.parametrize("layout", ["ms-clip", "open_clip", "clip"])
def test_every_layout_comes_back_bit_by_bit(imported: Path, model: Any, layout: str, tmp_path: Path) -> None:
    if layout == "ms-clip" and model.config.vision_config.hidden_act == "quick_gelu":
        with pytest.raises(CheckpointError, match="quick GELU, which a state alone does not say"):
            plan_export(imported, ExportRequest(layout=layout))
        return
    plan_export(imported, ExportRequest(layout=layout)).write(tmp_path / "out")
    file = tmp_path / "out" / "Llama3_MS_CLIP_weights.pt"
    plan_import(ImportRequest(sources=[file if file.is_file() else tmp_path / "out"], tokenizer=imported)).write(tmp_path / "again")
    again = load_model(MsClipModel, tmp_path / "again").state_dict()
    for name, tensor in model.state_dict().items():
        if layout == "ms-clip" and name == "logit_scale":
            torch.testing.assert_close(again[name], tensor)
        else:
            assert torch.equal(again[name], tensor), name


def test_the_layout_of_transformers_answers_in_its_pipeline(imported: Path, model: Any, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image
    from transformers import pipeline

    plan_export(imported, ExportRequest(layout="clip")).write(tmp_path / "clip")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8))
    found = pipeline("zero-shot-image-classification", model=str(tmp_path / "clip"))(
        picture, candidate_labels=["water", "town"], hypothesis_template="{}"
    )
    from eocore.system import PredictorOptions
    from ms_clip.predictor import MsClipPredictor

    inputs = MsClipPredictor(imported, PredictorOptions()).processor(images=picture, text=["water", "town"])
    ours = model(**inputs).logits_per_image.softmax(-1)[0].tolist()
    assert {item["label"]: item["score"] for item in found} == pytest.approx(dict(zip(["water", "town"], ours, strict=True)), abs=1e-4)
