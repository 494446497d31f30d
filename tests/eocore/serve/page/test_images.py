"""Images on the page: sent, refused, described, removed."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from page_actions import PageUser, picture_file
from PIL import Image
from playwright.sync_api import expect


def test_a_sent_picture_is_shown_in_its_colours(user: PageUser) -> None:
    user.send(picture_file("red.png"))
    expect(user.page.locator(".eo-image-title")).to_have_text("red.png")
    user.wait_for_tiles()
    x, y = user.place_of(32, 24, size=(64, 48))
    box = user.picture.bounding_box()
    assert box is not None
    shown = user.pixels()[round(y - box["y"]), round(x - box["x"])]
    assert np.abs(shown.astype(int) - (200, 30, 30)).max() <= 2


def test_a_raster_tells_what_it_is(user: PageUser, sent_images: Path) -> None:
    user.send(sent_images / "scene.tif")
    user.page.get_by_text("Details").click()
    facts = user.page.locator(".eo-facts")
    for text in ("sentinel2_l2a", "12: B01, B02", "64 x 48 px", "10 m, 0.64 x 0.48 km", "EPSG:32633"):
        expect(facts).to_contain_text(text)
    expect(user.page.get_by_label("Model sees it as").last).to_have_value("multispectral")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.png", b"these are notes, no image", "expected PNG, JPEG, GeoTIFF, or a zip"),
        ("empty.tif", b"", "the file is empty"),
        ("cut.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "cut.png"),
    ],
    ids=["text", "empty", "cut"],
)
def test_what_is_no_image_is_refused_in_words(user: PageUser, name: str, content: bytes, told: str) -> None:
    user.send({"name": name, "mimeType": "image/png", "buffer": content})
    expect(user.page.locator(".eo-error")).to_contain_text(told)
    expect(user.page.locator(".eo-image-title")).to_have_count(0)
    assert "/tmp" not in user.page.locator(".eo-error").inner_text()


def test_a_bomb_of_80_megapixels_is_refused_by_its_header(user: PageUser) -> None:
    content = io.BytesIO()
    Image.new("1", (10_000, 8_000)).save(content, format="PNG")
    assert len(content.getvalue()) < 50_000
    user.send({"name": "bomb.png", "mimeType": "image/png", "buffer": content.getvalue()})
    expect(user.page.locator(".eo-error")).to_contain_text("64")
    expect(user.page.locator(".eo-image-title")).to_have_count(0)


def test_markup_in_a_file_name_is_text(user: PageUser) -> None:
    user.send(picture_file("<img src=x onerror=alert(1)>.png"))
    expect(user.page.locator(".eo-image-title")).to_contain_text("img")
    assert user.page.locator(".eo-image-list img[src=x]").count() == 0


def test_a_file_that_does_not_tell_its_sensor_is_asked_about(user: PageUser, tmp_path: Path) -> None:
    with rasterio.open(tmp_path / "four.tif", "w", driver="GTiff", count=2, dtype="uint16", height=40, width=40) as target:
        target.write(np.full((2, 40, 40), 2000, np.uint16))
        target.descriptions = ("B04", "B08")
    user.send(tmp_path / "four.tif")
    expect(user.page.get_by_text("Which sensor is four.tif from?")).to_be_visible()
    user.page.get_by_label("Sensor", exact=True).click()
    expect(user.page.get_by_role("option", name="sentinel2_l1c", exact=True)).to_be_visible()
    expect(user.page.get_by_role("option", name="grey_uint8", exact=True)).to_have_count(0)  # it has no B04
    user.page.get_by_label("Sensor", exact=True).fill("sentinel2_l2a")
    user.page.get_by_role("option", name="sentinel2_l2a", exact=True).click()
    user.page.get_by_role("button", name="Use it").click()
    expect(user.page.locator(".eo-image-title")).to_have_text("four.tif")
    user.page.get_by_label("Bands").click()
    expect(user.page.get_by_role("option", name="NDVI")).to_be_visible()


def test_another_composite_looks_another_way(user: PageUser) -> None:
    user.open_example("Fields and water")
    before = user.pixels()
    user.choose("Bands", "NDVI")
    user.wait_for_tiles()
    user.page.wait_for_timeout(300)
    after = user.pixels()
    assert (np.abs(before.astype(int) - after).max(-1) > 20).mean() > 0.2
    user.choose("Image", "fields_and_water_radar.tif")
    expect(user.page.get_by_label("Bands")).to_have_value("VV, VH and their ratio")


def test_a_removed_image_is_gone_from_the_server(user: PageUser) -> None:
    user.send(picture_file("red.png"))
    user.wait_for_tiles()
    address = user.page.locator(".leaflet-tile").first.get_attribute("src")
    assert address is not None
    assert user.context.request.get(user.url.rstrip("/") + address).status == 200
    user.page.get_by_role("button", name="Remove", exact=True).click()
    expect(user.page.locator(".eo-image-title")).to_have_count(0)
    assert user.context.request.get(user.url.rstrip("/") + address).status == 404


def test_pictures_of_one_browser_are_no_one_elses(new_user: Callable[..., PageUser]) -> None:
    first, second = new_user(), new_user()
    first.open()
    second.open()
    first.send(picture_file("mine.png"))
    first.wait_for_tiles()
    address = first.page.locator(".leaflet-tile").first.get_attribute("src")
    assert address is not None
    assert first.context.request.get(first.url.rstrip("/") + address).status == 200
    assert second.context.request.get(first.url.rstrip("/") + address).status == 404
    expect(second.page.locator(".eo-image-title")).to_have_count(0)
