"""Signs in haystacks: what answers the question is what is asked for alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eocore.errors import ConfigError
from eocore.synthetic.needles import (
    CONTENTS,
    LUMA,
    QUESTIONS,
    count_needles,
    draw_shape,
    grid_of,
    make_needle,
    mix_colour,
    write_needles,
)


@pytest.fixture
def tiles() -> list[np.ndarray]:
    return [np.full((96, 96, 3), 120, np.uint8), np.full((96, 96, 3), 100, np.uint8)]


def test_one_tile_holds_one_sign_and_every_content_comes_in_every_tile(tiles: list[np.ndarray]) -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(800):
        needle = make_needle(tiles, (2, 4), rng=rng)
        parts = needle.picture.reshape(2, 96, 4, 96, 3).transpose(0, 2, 1, 3, 4).reshape(8, -1)
        assert [number for number, part in enumerate(parts) if len(set(part.tolist())) > 1] == [needle.tile]
        seen |= {(asked, answer, needle.tile) for asked, answer in needle.content.items()}
    assert len(seen) == sum(len(answers) for answers in CONTENTS.values()) * 8
    assert make_needle(tiles, (2, 4), rng=rng, tile=5).tile == 5


def test_colours_are_equally_light_at_any_lightness() -> None:
    for lightness in (70.0, 110.0, 150.0):
        mixed = np.stack([mix_colour(colour, lightness) for colour in CONTENTS["colour"]])
        np.testing.assert_allclose(mixed @ np.array(LUMA), lightness, rtol=1e-3)
        assert mixed.min() >= 0 and mixed.max() <= 255.01
        apart = np.abs(mixed[:, None] - mixed[None]).max(-1) + 1e3 * np.eye(len(mixed))
        assert apart.min() > 15


def test_shapes_differ_and_lie_within_their_square() -> None:
    drawn = [draw_shape(shape, 40) for shape in CONTENTS["shape"]]
    assert all(cover.shape == (40, 40) and 0 <= cover.min() < cover.max() <= 1 for cover in drawn)
    assert min(np.abs(one - other).mean() for number, one in enumerate(drawn) for other in drawn[:number]) > 0.1


def test_grids_are_as_square_as_can_be() -> None:
    assert [grid_of(length) for length in (1, 4, 8, 32, 128, 7)] == [(1, 1), (2, 2), (2, 4), (4, 8), (8, 16), (1, 7)]


def test_a_training_set_has_its_images_and_questions(tmp_path: Path) -> None:
    told: list[None] = []
    write_needles(tmp_path, {"train": 2}, num_scenes=2, on_sample=lambda: told.append(None))
    assert len(told) == count_needles(2) == 8 + 2 + 1 + 1 + 1
    for asked, question in QUESTIONS.items():
        entries = json.loads((tmp_path / f"train/{asked}_4.json").read_text())
        assert [entry["image"] for entry in entries] == ["4/00000.png", "4/00001.png"]
        assert entries[0]["conversations"][0]["value"] == f"<image>\n{question}"
        assert entries[0]["conversations"][1]["value"] in CONTENTS[asked]
    assert Image.open(tmp_path / "train/rgb/32/00000.png").size == (768, 384)
    with pytest.raises(ConfigError, match="0 images for 'train'"):
        write_needles(tmp_path, {"train": 0})
