"""Upstream weights to a folder of ours, from headers alone: table, notes, and what is refused before a weight is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eocore.checkpoints.exchange import ExportRequest, ImportRequest
from eocore.errors import CheckpointError, ConfigError
from eocore.models.folders import load_model
from ms_clip.checkpoints.export_upstream import UPSTREAM_FILE, plan_export
from ms_clip.checkpoints.import_plan import plan_import
from ms_clip.checkpoints.layouts import OPEN_CLIP
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.pretrained import read_processor


@pytest.fixture(scope="module")
def save_gelu(make_fields: Callable[..., dict[str, Any]], save_model: Callable[..., Path]) -> Callable[..., Path]:
    """Folders of models that every layout can say: with GELU, and heads of 64, which a state alone does not tell."""

    def save(**changes: Any) -> Path:
        fields = make_fields()["model"]
        towers = {
            name: {**fields[name], "hidden_act": "gelu", "hidden_size": 64, "num_attention_heads": 1}
            for name in ("vision_config", "text_config")
        }
        return save_model(model={**fields, **towers}, **changes)

    return save


@pytest.fixture(scope="module")
def gelu_model(save_gelu: Callable[..., Path]) -> Path:
    """One of ten bands."""
    return save_gelu()


@pytest.fixture(scope="module")
def upstream(gelu_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The upstream file of a model of ten bands."""
    out = tmp_path_factory.mktemp("upstream") / "out"
    plan_export(gelu_model, ExportRequest(layout="ms-clip")).write(out)
    return out / UPSTREAM_FILE


def request(source: Path, **changes: Any) -> ImportRequest:
    return ImportRequest(**{"sources": [source], **changes})


def test_a_plan_reads_no_weight_and_says_where_each_comes_from(upstream: Path, gelu_model: Path) -> None:
    plan = plan_import(request(upstream, tokenizer=gelu_model))
    told = plan.describe()
    assert f"Model: {load_model(MsClipModel, gelu_model).num_parameters():,} parameters." in told
    assert "3 copies; the first is taken." in told and "temperature becomes logit_scale" in told
    assert plan.processor is not None and plan.processor.options.channels[0] == "multispectral:B02"
    assert plan.config.architectures == ["MsClipModel"] and plan.config.dtype == torch.float32


def test_the_folder_that_is_written_computes_the_same(upstream: Path, gelu_model: Path, tmp_path: Path) -> None:
    plan_import(request(upstream, tokenizer=gelu_model)).write(tmp_path / "again")
    before, after = (load_model(MsClipModel, folder).eval() for folder in (gelu_model, tmp_path / "again"))
    inputs = read_processor(tmp_path / "again").tokens(["water", "a forest in the north"])
    pixels = torch.randn(2, 10, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(after.encode_image(pixels), before.encode_image(pixels))
        texts = [model.encode_text(inputs["input_ids"], inputs["attention_mask"]) for model in (after, before)]
    torch.testing.assert_close(*texts)
    card = (tmp_path / "again" / "README.md").read_text()
    assert UPSTREAM_FILE in card and "an upstream MS-CLIP state (three copies of each tensor, temperature)" in card
    with pytest.raises(CheckpointError, match="again"):
        plan_import(request(upstream, tokenizer=gelu_model)).write(tmp_path / "again")


def test_without_a_tokenizer_there_is_no_processor_which_is_told(upstream: Path, tmp_path: Path) -> None:
    alone = tmp_path / UPSTREAM_FILE
    alone.write_bytes(upstream.read_bytes())
    plan = plan_import(request(alone))
    assert plan.processor is None and "a model without a processor. Give one with --tokenizer." in plan.describe()


def test_channels_that_nothing_names_are_told(save_gelu: Callable[..., Path], tmp_path: Path) -> None:
    channels = {
        "channels": ["multispectral:B08", "sar:VV"],
        "mean": [0.3, -12.0],
        "std": [0.1, 5.0],
        "image_size": 48,
        "context_length": 32,
    }
    model = save_gelu(processor=channels)
    plan_export(model, ExportRequest(layout=OPEN_CLIP)).write(tmp_path / "out")
    plan = plan_import(request(tmp_path / "out"))
    assert plan.processor is None and "reads 2 channels, of which nothing says which bands they are" in plan.describe()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": []}, "0 sources are named; a CLIP is imported from one file or folder"),
        ({"language": Path("x")}, "--language belongs to other systems"),
        ({"sam2": Path("x")}, "--sam2 belongs to other systems"),
        ({"fusion": "concat"}, "--fusion belongs to other systems"),
    ],
)
def test_what_other_systems_have_is_refused(upstream: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_import(request(upstream, **changes))


def test_a_tokenizer_of_another_model_is_refused(upstream: Path, save_gelu: Callable[..., Path], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(save_gelu())
    words.add_tokens([f"<more {number}>" for number in range(500)])
    words.save_pretrained(tmp_path / "larger")
    with pytest.raises(CheckpointError, match=r"the tokenizer has \d+ tokens, the text tower \d+: it is of another model"):
        plan_import(request(upstream, tokenizer=tmp_path / "larger"))
