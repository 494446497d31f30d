"""Images as readers and users have them: roles, series, sizes, counted gaps."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("olmoearth_pretrain_minimal")
from earthfm_samples import make_scene
from PIL import Image

from earthfm.model.image_preparation import ImagePreparer
from earthfm.model.processor_options import ProcessorOptions


def prepare(**options: object) -> ImagePreparer:
    return ImagePreparer(ProcessorOptions(**options))  # type: ignore[arg-type]


def test_a_scene_alone_one_with_a_role_and_a_mapping_are_the_same() -> None:
    made, scene = prepare(), make_scene()
    named = SimpleNamespace(**{**vars(scene), "role": "multispectral"})
    first, second, third = made(scene), made([named]), made({"multispectral": scene})
    assert first.sentinel2_l2a is not None and first.sentinel2_l2a.shape == (1, 16, 16, 1, 12)
    for other in (second, third):
        assert other.sentinel2_l2a is not None and torch.equal(first.sentinel2_l2a, other.sentinel2_l2a)


def test_sensors_and_dates_share_one_axis() -> None:
    radar = SimpleNamespace(
        pixels=np.full((2, 16, 16), -12, np.float32), bands=("VH", "VV"), unit="sigma0_db", time="2021-03-04", role="sar"
    )
    found = prepare()([make_scene(time="2021-03-01", role="multispectral"), make_scene(1, time="2021-08-01", role="multispectral"), radar])
    assert found.timestamps.tolist() == [[[1, 2, 2021], [4, 2, 2021], [1, 7, 2021]]]
    optical, sar = found.sentinel2_l2a_missing, found.sentinel1_missing
    assert optical is not None and optical[0, 0, 0].tolist() == [False, True, False]
    assert sar is not None and sar[0, 0, 0].tolist() == [True, False, True]


def test_a_crop_keeps_pixels_and_a_resize_keeps_the_whole() -> None:
    scene = make_scene(side=40, time="2021-08-01")
    whole, cut = prepare()(scene), prepare(image_size=16)(scene)
    assert whole.sentinel2_l2a is not None and cut.sentinel2_l2a is not None
    assert torch.equal(cut.sentinel2_l2a, whole.sentinel2_l2a[:, 12:28, 12:28]) and cut.timestamps.tolist() == [[[1, 7, 2021]]]
    shrunk = prepare(image_size=16, fit="resize")(scene).sentinel2_l2a
    assert shrunk is not None and shrunk.shape[1:3] == (16, 16)
    torch.testing.assert_close(shrunk.mean(), whole.sentinel2_l2a.mean(), atol=0.02, rtol=0)


def test_missing_bands_are_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    made, scene = prepare(), make_scene(bands=("B04", "B03", "B02", "B08"))
    with caplog.at_level(logging.WARNING):
        made(scene)
        made(scene)
    assert made.filled["sentinel2_l2a", "B01", "B02"] == 2 and len(made.filled) == 8
    assert len([line for line in caplog.messages if "band B01 is missing and filled: copied from B02" in line]) == 1


def test_pictures_are_read_on_demand() -> None:
    picture = Image.fromarray(np.full((16, 16, 3), 255, np.uint8))
    with pytest.raises(ValueError, match="--fill-missing"):
        prepare()(picture)
    found = prepare(fill_missing=True)(picture).sentinel2_l2a
    assert found is not None and torch.allclose(found, torch.ones_like(found))


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="reads images of the roles multispectral, rgb, sar, landsat, found dem"):
        prepare()({"dem": make_scene()})
    with pytest.raises(ValueError, match="the image has 16 x 16 px, the model sees 32 x 32 px"):
        prepare(image_size=32)(make_scene())
    with pytest.raises(ValueError, match="a multiple of the patch size 8 px"):
        prepare()(make_scene(side=20))
