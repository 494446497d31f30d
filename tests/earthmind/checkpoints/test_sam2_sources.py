"""SAM 2 as a source of an import: what is recognised, and what every wrong file is told."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from earthmind_models import sam3_fields
from torch import Tensor
from transformers import AutoConfig, AutoModel, InternVLConfig, InternVLForConditionalGeneration, Sam2Config, Sam2Model

from earthmind.checkpoints.import_plan import plan_import
from earthmind.checkpoints.layouts import SAM2, SAM2_HF, SAM3_TRACKER, open_source
from earthmind.pretrained import read_pretrained
from eocore.checkpoints.exchange import ImportRequest
from eocore.errors import CheckpointError

TINY = "sam2.1_hiera_t"


@pytest.fixture(scope="module")
def release(shared_dir: Path) -> dict[str, Tensor]:
    """Meta's Hiera-tiny as names and shapes; all values of a tensor are one number, so that the file is small."""
    file = shared_dir / "reference_model" / "sam2_state_dict_shapes.json.gz"
    shapes: dict[str, list[int]] = json.loads(gzip.decompress(file.read_bytes()))[TINY]
    return {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()}


@pytest.fixture
def base(make_fields: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    """A tiny InternVL for SAM 2 to stand beside."""
    fields = make_fields(tie=False)
    config = InternVLConfig(
        vision_config=fields["vision_config"],
        text_config={**fields["text_config"], "vocab_size": 50},
        image_token_id=7,
        tie_word_embeddings=False,
    )
    InternVLForConditionalGeneration(config).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def saved(folder: Path, content: Any) -> Path:
    file = folder / "sam2.1_hiera_tiny.pt"
    torch.save(content, file)
    return file


def planned(base: Path, sam2: Path) -> Any:
    return plan_import(ImportRequest(sources=(base,), sam2=sam2))


def test_a_release_fills_the_mask_part(base: Path, release: dict[str, Tensor], tmp_path: Path) -> None:
    plan = planned(base, saved(tmp_path, {"model": release}))
    assert plan.sources[1].layout is SAM2
    assert "SAM 2.1 (sam2.1_hiera_tiny.pt)" in plan.composition.table()
    rows = [row for row in plan.composition.rows() if "hiera_tiny" in row.origin]
    frequencies = release["sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].numel()  # they stand in two places here
    assert sum(row.numel for row in rows) == sum(weight.numel() for weight in release.values()) + frequencies
    assert {row.part for row in rows if row.outcome == "not used"} == {
        f"SAM 2 video: {part}" for part in ("memory attention", "memory encoder", "memory embeddings", "masks as input", "object pointers")
    }
    assert plan.config.sam_config.vision_config.backbone_config.blocks_per_stage == [1, 2, 7, 2]


def test_a_folder_of_transformers_is_recognised(make_fields: Callable[..., dict[str, Any]], base: Path, tmp_path: Path) -> None:
    Sam2Model(Sam2Config(**make_fields()["sam_config"])).save_pretrained(tmp_path / "sam")
    plan = planned(base, tmp_path / "sam")
    assert plan.sources[1].layout is SAM2_HF
    assert plan.config.sam_config.vision_config.fpn_hidden_size == 16


def test_a_folder_of_sam3s_tracker_is_recognised(base: Path, tmp_path: Path) -> None:
    theirs = AutoModel.from_config(AutoConfig.for_model(**sam3_fields(64)))
    theirs.save_pretrained(tmp_path / "sam3")
    plan = planned(base, tmp_path / "sam3")
    assert plan.sources[1].layout is SAM3_TRACKER and plan.config.sam_config.model_type == "sam3_tracker"
    ours = {name.removeprefix("seg_head.sam."): tensor for name, tensor in plan.tensors.items() if name.startswith("seg_head.sam.")}
    assert set(ours) == set(theirs.state_dict())
    encoder = "vision_encoder.backbone.layers.0.mlp.fc1.weight"
    assert torch.equal(ours[encoder].read(), theirs.state_dict()[encoder])
    plan.write(tmp_path / "imported")
    loaded = read_pretrained(tmp_path / "imported", {})
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in loaded.seg_head.sam.state_dict().items())


def test_alone_it_is_no_model(release: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no source holds the vision tower: give an InternVL .* nor the language model"):
        plan_import(ImportRequest(sources=(saved(tmp_path, {"model": release}),)))


def test_a_truncated_file_is_named(base: Path, release: dict[str, Tensor], tmp_path: Path) -> None:
    file = saved(tmp_path, {"model": release})
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(CheckpointError, match=rf"{file.name} cannot be read: .* It has {file.stat().st_size} bytes; it is cut short"):
        planned(base, file)


class Foreign:
    """Something a pickle could run."""


def test_a_foreign_global_is_not_run(base: Path, release: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds more than tensors: .*Foreign.* was not loaded"):
        planned(base, saved(tmp_path, {"model": release, "trainer": Foreign()}))


def test_an_unknown_size_is_refused(base: Path, release: dict[str, Tensor], tmp_path: Path) -> None:
    smaller = {name: weight for name, weight in release.items() if ".blocks.11." not in name}
    with pytest.raises(CheckpointError, match=r"blocks \[1, 2, 7, 1\].* and no published size has"):
        planned(base, saved(tmp_path, {"model": smaller}))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sam_mask_decoder.conv_s0.weight": torch.zeros(256, 32, 1, 1)}, r"conv_s0.weight is \[256, 32, 1, 1\], .* has \[32, 256, 1, 1\]"),
        ({"image_encoder.trunk.blocks.3.adapter.weight": torch.zeros(3)}, r"1 unexpected.*blocks\.#\.adapter\.weight \[3\]"),
        ({"sam_mask_decoder.iou_token.weight": None}, r"1 missing.*seg_head\.sam\.mask_decoder\.iou_token\.weight"),
        ({"sam_prompt_encoder.point_embeddings.2.weight": None}, r"joined from 4 tensors, of which .*point_embeddings\.2\.weight are not"),
        ({"image_encoder.neck.convs.0.conv.weight": None}, r"convs\.0\.conv\.weight is missing, which decides a size of SAM 2"),
    ],
)
def test_a_changed_file_is_refused(
    base: Path, release: dict[str, Tensor], tmp_path: Path, change: dict[str, Tensor | None], complaint: str
) -> None:
    changed = {name: weight for name, weight in {**release, **change}.items() if weight is not None}
    with pytest.raises(CheckpointError, match=f"(?s){complaint}"):
        planned(base, saved(tmp_path, {"model": changed}))


def test_a_folder_without_its_config_is_refused(make_fields: Callable[..., dict[str, Any]], base: Path, tmp_path: Path) -> None:
    Sam2Model(Sam2Config(**make_fields()["sam_config"])).save_pretrained(tmp_path / "sam")
    (tmp_path / "sam" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json is not there; the names are those of a SAM 2 folder"):
        planned(base, tmp_path / "sam")


def test_sam2_of_the_first_kind_is_another_model(tmp_path: Path) -> None:
    """Segment Anything (the first) has a plain ViT and other names."""
    file = saved(tmp_path, {"image_encoder.pos_embed": torch.zeros(1), "mask_decoder.iou_token.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"(?s)of no known layout: 2 tensors that begin with image_encoder\.pos.*SAM 2 file of Meta"):
        open_source(file)
