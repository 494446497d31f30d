"""A model goes out in the upstream layout and comes back bit by bit, and whatever could not be put right there is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from earthmind.checkpoints.export_upstream import plan_export, write_export
from earthmind.checkpoints.import_plan import plan_import
from earthmind.checkpoints.import_writer import write_import
from eocore.checkpoints.exchange import ImportRequest
from eocore.errors import CheckpointError

SAM = "grounding_encoder.sam2_model."


def assert_same_tensors(found: Path, expected: Path) -> None:
    first, second = load_file(found / "model.safetensors"), load_file(expected / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(first[name].dtype == second[name].dtype and torch.equal(first[name], second[name]) for name in second)


def test_in_and_out_again_is_bit_exact(published_folder: Path, our_folder: Path, tmp_path: Path) -> None:
    write_import(plan_import(ImportRequest(sources=[published_folder])), tmp_path / "ours")
    assert_same_tensors(tmp_path / "ours", our_folder)
    write_export(plan_export(tmp_path / "ours"), tmp_path / "back")
    assert_same_tensors(tmp_path / "back", published_folder)
    assert json.loads((tmp_path / "back" / "config.json").read_text()) == json.loads((published_folder / "config.json").read_text())


def test_the_reference_model_comes_back_as_it_was(shared_dir: Path, tmp_path: Path) -> None:
    """Names, values and config, parts for video among them."""
    reference = shared_dir / "reference_model"
    write_import(plan_import(ImportRequest(sources=[reference])), tmp_path / "ours")
    write_export(plan_export(tmp_path / "ours"), tmp_path / "back", max_shard_size="1MB")
    shards = [load_file(path) for path in sorted((tmp_path / "back").glob("*.safetensors"))]
    found = {name: tensor for shard in shards for name, tensor in shard.items()}
    expected = load_file(reference / "model.safetensors")
    assert len(shards) > 1
    assert found.keys() == expected.keys()
    assert all(found[name].dtype == expected[name].dtype and torch.equal(found[name], expected[name]) for name in expected)
    assert json.loads((tmp_path / "back" / "config.json").read_text()) == json.loads((reference / "config.json").read_text())


def without(folder: Path, out: Path, *names: str) -> Path:
    """A copy of a folder that lacks some files."""
    shutil.copytree(folder, out)
    for name in names:
        (out / name).unlink()
    return out


def test_parts_for_video_come_from_where_they_are_named(our_folder: Path, published_folder: Path, tmp_path: Path) -> None:
    bare = without(our_folder, tmp_path / "converted", "not_used.safetensors")
    with pytest.raises(CheckpointError, match=r"does not hold memory_attention\., memory_encoder\..*--rest .*or leave them out with"):
        plan_export(bare)
    for rest in (our_folder, published_folder):
        write_export(plan_export(bare, rest=rest), tmp_path / "back", overwrite=True)
        assert_same_tensors(tmp_path / "back", published_folder)
    names = plan_export(bare, without_video=True).tensors.keys()
    assert set(load_file(published_folder / "model.safetensors")) - names == set(load_file(our_folder / "not_used.safetensors"))


def test_parts_for_video_come_from_a_file_of_meta(our_folder: Path, published_folder: Path, tmp_path: Path) -> None:
    """Its scale in the memory encoder is called gamma there; what SAM 2.1 has more is left out."""
    published = load_file(published_folder / "model.safetensors")
    meta = {name.removeprefix(SAM).replace("g_weight", "gamma"): tensor for name, tensor in published.items() if name.startswith(SAM)}
    torch.save({"model": {**meta, "no_obj_embed_spatial": torch.zeros(1, 4)}}, tmp_path / "sam2.1.pt")
    bare = without(our_folder, tmp_path / "converted", "not_used.safetensors")
    write_export(plan_export(bare, rest=tmp_path / "sam2.1.pt"), tmp_path / "back")
    assert_same_tensors(tmp_path / "back", published_folder)


def test_the_tokenizer_travels(published_folder: Path, tiny: Any) -> None:
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(published_folder)
    assert words.get_vocab() == tiny.tokenizer.get_vocab()


def test_parts_that_the_published_code_has_not_are_refused(make_tiny: Callable[..., Any], tmp_path: Path) -> None:
    made = make_tiny(grounding_fusion="gated")
    made.model.save_pretrained(tmp_path / "gated")
    with pytest.raises(CheckpointError, match=r"2 tensors that the upstream layout has no place for: seg_head\.gate"):
        plan_export(tmp_path / "gated")


def test_more_channels_are_refused(make_tiny: Callable[..., Any], tmp_path: Path) -> None:
    made = make_tiny(num_channels=5)
    made.model.save_pretrained(tmp_path / "wide")
    with pytest.raises(CheckpointError, match="reads 5 channels and draws on 3; the upstream code knows 3 and 3"):
        plan_export(tmp_path / "wide")


def test_of_two_position_embeddings_the_one_that_masks_are_drawn_with_goes_out(our_folder: Path, tmp_path: Path) -> None:
    """A model trained from scratch here has two, the upstream layout one."""
    folder = without(our_folder, tmp_path / "trained")
    weights = load_file(folder / "model.safetensors")
    weights["seg_head.sam.prompt_encoder.shared_embedding.positional_embedding"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    found = plan_export(folder).tensors[f"{SAM}sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].read()
    assert torch.equal(found, weights["seg_head.sam.shared_image_embedding.positional_embedding"])


def test_a_folder_that_is_taken_is_left_alone(our_folder: Path, published_folder: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a checkpoint, which would be lost"):
        write_export(plan_export(our_folder), published_folder)
