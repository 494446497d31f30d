"""The four sizes of SAM 2 are told by their shapes; the shapes are those of Meta's releases (../shared/reference_model)."""

import gzip
import json
from pathlib import Path

import pytest
import torch
from transformers import Sam2Config, Sam2Model

from eocore.checkpoints.key_map import our_headers
from eocore.checkpoints.key_maps.sam2 import meta_map
from eocore.checkpoints.key_maps.sam2_sizes import hiera_size, sam2_config, sam2_version
from eocore.checkpoints.weight_files import Header, LazyTensor
from eocore.errors import CheckpointError

Shapes = dict[str, Header]
RELEASES = {"sam2.1_hiera_t": ("t", "2.1"), "sam2.1_hiera_l": ("l", "2.1"), "sam2_hiera_l": ("l", "2.0")}
"""Size and version of each listed release."""


@pytest.fixture(scope="module")
def releases(shared_dir: Path) -> dict[str, Shapes]:
    file = shared_dir / "reference_model" / "sam2_state_dict_shapes.json.gz"
    listed = json.loads(gzip.decompress(file.read_bytes()))
    return {release: {name: Header(tuple(shape), torch.float32) for name, shape in shapes.items()} for release, shapes in listed.items()}


@pytest.mark.parametrize("release", RELEASES)
def test_every_weight_of_a_release_has_its_place(releases: dict[str, Shapes], release: str) -> None:
    shapes = releases[release]
    assert (hiera_size(shapes).name, sam2_version(shapes)) == RELEASES[release]
    with torch.device("meta"):
        ours = our_headers(Sam2Model(Sam2Config(**sam2_config(shapes))))
    lazy = {name: LazyTensor(header, lambda: torch.empty(0)) for name, header in shapes.items()}
    mapped = meta_map(shapes).apply_tensors(lazy, origin=release)
    assert not mapped.unexpected
    assert {name.removeprefix("seg_head.sam."): tensor.header for name, tensor in mapped.tensors.items()} == ours
    unused = {name for part in mapped.unused.values() for name in part}
    assert all(name.startswith(("mem", "mask", "obj_ptr", "no_obj", "no_mem_pos")) for name in unused)


def test_a_prefix_changes_nothing(releases: dict[str, Shapes]) -> None:
    shapes = releases["sam2.1_hiera_t"]
    below = {f"grounding_encoder.sam2_model.{name}": header for name, header in shapes.items()}
    assert sam2_config(below, "grounding_encoder.sam2_model.") == sam2_config(shapes)


def test_an_unknown_size_is_refused_with_what_it_has(releases: dict[str, Shapes]) -> None:
    shapes = {name: header for name, header in releases["sam2.1_hiera_t"].items() if ".blocks.11." not in name}
    with pytest.raises(CheckpointError, match=r"384, 768\], blocks \[1, 2, 7, 1\].*no published size has \(t: .*config\.json"):
        sam2_config(shapes)


def test_a_missing_weight_is_named(releases: dict[str, Shapes]) -> None:
    shapes = {name: header for name, header in releases["sam2.1_hiera_t"].items() if name != "image_encoder.trunk.pos_embed"}
    with pytest.raises(CheckpointError, match=r"image_encoder\.trunk\.pos_embed is missing, which decides a size of SAM 2"):
        sam2_config(shapes)
