from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

from eocore.data.records import ImageRef
from eocore.errors import ConfigError
from eocore.predict.image_files import ImageFile
from eocore.serve.page.conversation import begin_round, can_point
from eocore.serve.page.desk import ChatSettings, Desk, DeskImage, Region
from eocore.serve.page.intake import desk_image
from eocore.serve.requests import ModelCard

CARD = ModelCard(
    name="m", system="earthmind", protocols=("generates",), roles=("multispectral", "sar"), draws_masks=True, reads_regions=True
)
BLIND = ModelCard(name="m", system="other", protocols=("generates",))


def placed(path: Path, *, role: str, size: tuple[int, int], transform: Affine) -> DeskImage:
    sensor, count, dtype = ("sentinel2_l2a", 12, "uint16") if role == "multispectral" else ("sentinel1_grd", 2, "float32")
    profile = {"driver": "GTiff", "count": count, "dtype": dtype, "height": size[0], "width": size[1]}
    with rasterio.open(path, "w", crs="EPSG:32632", transform=transform, **profile) as target:
        target.write(np.full((count, *size), 3000 if count == 12 else -10, dtype))
    file = ImageFile((str(path),), sensor)
    return desk_image(ImageRef(role, sensor, file.paths), file, title=path.name)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Optical of 40 x 60 px, and radar of half as many pixels, stored with south up."""
    found = Desk()
    found.add(placed(tmp_path / "s1.tif", role="sar", size=(20, 30), transform=Affine(20, 0, 5e5, 0, 20, 5.4e6 - 400)))
    found.add(placed(tmp_path / "s2.tif", role="multispectral", size=(40, 60), transform=from_origin(5e5, 5.4e6, 10, 10)))
    return found


def box(desk: Desk, *corners: tuple[float, float]) -> Region:
    (left, top), (right, bottom) = corners
    return Region("box", desk.left, ((left, top), (right, top), (right, bottom), (left, bottom)))


def test_a_question_shows_all_images_the_one_in_view_first(desk: Desk) -> None:
    made, request = begin_round(desk, CARD, question="  What is here?\n")
    assert list(request.images) == ["multispectral", "sar"] and request.regions == ()
    assert [(turn.role, turn.text) for turn in request.turns] == [("user", "What is here?")]
    assert made.is_new and desk.rounds == [made] and request.max_new_tokens == 256


def test_options_of_the_tab_reach_the_request(desk: Desk) -> None:
    desk.settings = ChatSettings(max_new_tokens=9, samples=True, temperature=0.5, top_p=0.6, seed=3)
    _, request = begin_round(desk, CARD, question="?")
    assert (request.max_new_tokens, request.seed, request.generation["temperature"]) == (9, 3, 0.5)
    desk.settings.samples = False
    assert begin_round(desk, CARD, question="?")[1].seed is None


def test_the_second_question_brings_the_first(desk: Desk) -> None:
    made, _ = begin_round(desk, CARD, question="one")
    made.state, made.answer = "done", "[SEG]"
    second, request = begin_round(desk, CARD, question="two")
    assert [turn.text for turn in request.turns] == ["one", "[SEG]", "two"] and not second.is_new


def test_a_region_is_pointed_out_to_a_model_that_reads_regions(desk: Desk) -> None:
    desk.region = box(desk, (10.2, 4.0), (30.0, 24.6))
    made, request = begin_round(desk, CARD, question="?")
    assert made.region_use == "point"
    assert [(each.kind, each.data) for each in request.regions] == [("box", [10, 4, 30, 25])]
    assert all(file.window is None for file in request.images.values())
    desk.region = Region("polygon", desk.left, ((1.5, 2.0), (9.0, 3.0), (5.0, 8.0)))
    assert begin_round(desk, CARD, question="?")[1].regions[0].data == [[1.5, 2.0, 9.0, 3.0, 5.0, 8.0]]


@pytest.mark.parametrize(("card", "use"), [(BLIND, "point"), (CARD, "cut")])
def test_a_region_is_cut_out_of_every_image_as_it_is_stored(desk: Desk, card: ModelCard, use: str) -> None:
    desk.region, desk.region_use = box(desk, (10, 4), (30, 24)), use  # type: ignore[assignment]
    made, request = begin_round(desk, card, question="?")
    assert made.region_use == "cut" and request.regions == ()
    assert request.images["multispectral"].window == (4, 10, 20, 20)
    assert request.images["sar"].window == (20 - 2 - 10, 5, 10, 10)  # half the pixels, counted from the south


def test_a_region_beyond_the_edge_ends_there(desk: Desk) -> None:
    desk.region, desk.region_use = box(desk, (50, 30), (90, 70)), "cut"
    assert begin_round(desk, CARD, question="?")[1].images["multispectral"].window == (30, 50, 10, 10)


def test_a_region_on_the_second_image_makes_it_the_first(desk: Desk) -> None:
    radar = next(key for key, image in desk.images.items() if image.role == "sar")
    desk.region = Region("box", radar, ((1, 1), (5, 1), (5, 5), (1, 5)))
    assert list(begin_round(desk, CARD, question="?")[1].images) == ["sar", "multispectral"]


def test_what_cannot_be_asked_is_said(desk: Desk) -> None:
    with pytest.raises(ConfigError, match=r"Type a question first\."):
        begin_round(desk, CARD, question=" \n")
    desk.region = box(desk, (1, 1), (5, 5))
    desk.images[desk.left].role = ""
    with pytest.raises(ConfigError, match=r"The region lies on an image that the model does not see"):
        begin_round(desk, CARD, question="?")
    assert desk.rounds == []


def test_of_an_image_larger_than_the_model_may_see_the_region_is_cut_out(desk: Desk) -> None:
    desk.region = box(desk, (0, 0), (20, 20))
    assert can_point(desk, CARD, max_pixels=40 * 60) and not can_point(desk, BLIND, max_pixels=40 * 60)
    made, request = begin_round(desk, CARD, question="?", max_pixels=40 * 60 - 1)
    assert made.region_use == "cut" and request.regions == ()
    assert request.images["multispectral"].window is not None


SERIES = replace(CARD, reads_series=True)


@pytest.fixture
def dated(tmp_path: Path) -> Desk:
    """Two optical images of one place, the later one coarser, and in view."""
    found = Desk()
    found.add(placed(tmp_path / "s2_2021-03-04.tif", role="multispectral", size=(40, 60), transform=from_origin(5e5, 5.4e6, 10, 10)))
    found.add(placed(tmp_path / "s2_2021-06-01.tif", role="multispectral", size=(20, 30), transform=from_origin(5e5, 5.4e6, 20, 20)))
    return found


def test_images_of_two_dates_are_shown_in_the_order_of_their_dates(dated: Desk) -> None:
    made, request = begin_round(dated, SERIES, question="What changed?")
    assert [(name, file.time) for name, file in request.images.items()] == [
        ("multispectral 2021-03-04", "2021-03-04"),
        ("multispectral 2021-06-01", "2021-06-01"),
    ]
    assert list(made.images.values()) == list(dated.images)
    _, alone = begin_round(dated, CARD, question="What is there?")
    assert [(name, file.time) for name, file in alone.images.items()] == [("multispectral", "")]


def test_a_region_lies_on_the_date_that_it_was_drawn_on(dated: Desk) -> None:
    dated.region = box(dated, (2, 4), (10, 8))
    _, request = begin_round(dated, SERIES, question="What is it?")
    (region,) = request.regions
    assert (region.image, region.data) == (1, [2, 4, 10, 8]) and next(iter(request.images)) == "multispectral 2021-03-04"
    dated.region_use = "cut"
    _, request = begin_round(dated, SERIES, question="What is it?")
    assert [file.window for file in request.images.values()] == [(8, 4, 8, 16), (4, 2, 4, 8)]


def test_images_of_one_role_without_dates_are_refused(dated: Desk) -> None:
    next(iter(dated.images.values())).time = ""
    with pytest.raises(ConfigError, match=r"s2_2021-03-04\.tif has no date, and the model sees several images of one role"):
        begin_round(dated, SERIES, question="What changed?")
