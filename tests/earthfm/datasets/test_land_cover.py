"""Captions whose facts are scored have a task of their own."""

from pathlib import Path

import pytest

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm_samples import images

from earthfm.datasets.land_cover import LandCoverCaptionDataset


def test_records_have_the_task_and_keep_the_caption(world: Path) -> None:
    made = LandCoverCaptionDataset(annotations=str(world / "test" / "caption.json"), images={"multispectral": images(world, "test")})
    assert {record.task for record in made.records} == {"land_cover"}
    assert all("mostly" in str(record.meta["answer"]) for record in made.records)


def test_a_shift_shows_the_image_of_another(world: Path) -> None:
    fields = {"annotations": str(world / "test" / "caption.json"), "images": {"multispectral": images(world, "test")}}
    own, shifted = (LandCoverCaptionDataset(**fields, image_shift=shift).records for shift in (0, 1))
    assert [record.images for record in shifted] == [*(record.images for record in own[1:]), own[0].images]
    assert [record.turns for record in shifted] == [record.turns for record in own]
