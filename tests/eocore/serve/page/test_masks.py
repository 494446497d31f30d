"""Masks on the page: laid over the picture, switched, measured, taken away."""

import io
import json
import re

import numpy as np
import pytest
import rasterio
from page_actions import PageUser
from PIL import Image
from playwright.sync_api import expect

SIDE = 96
"""Of the example scenes [px]."""


@pytest.fixture
def asked(user: PageUser) -> PageUser:
    """A user whose question was answered with a mask."""
    user.open_example("Fields and water")
    user.choose_model("masks")
    user.ask("Please segment the water in this image.")
    expect(user.page.locator(".eo-overlay")).to_have_count(1)
    return user


def download(user: PageUser, name: str) -> bytes:
    with user.page.expect_download() as started:
        user.page.get_by_role("link", name=name).click()
    return started.value.path().read_bytes()


def test_a_mask_covers_just_its_pixels(asked: PageUser) -> None:
    asked.tab("Masks").click()
    mask = np.asarray(Image.open(io.BytesIO(download(asked, "Download mask 1 as PNG")))) > 0
    assert 0 < mask.sum() < mask.size and mask.shape == (SIDE, SIDE)
    asked.page.mouse.move(5, 5)
    shown = asked.pixels().astype(int)
    asked.page.get_by_role("switch", name="Mask 1").click()
    expect(asked.page.locator(".eo-overlay")).to_have_css("opacity", "0")
    hidden = asked.pixels().astype(int)
    box = asked.picture.bounding_box()
    assert box is not None
    x, y = asked.place_of(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5, size=(SIDE, SIDE))
    at_centres = np.ix_(np.rint(y - box["y"]).astype(int), np.rint(x - box["x"]).astype(int))
    changed = np.abs(shown[at_centres] - hidden[at_centres]).max(-1) > 3
    assert np.array_equal(changed, mask)


def test_masks_of_a_new_answer_put_the_older_ones_off(asked: PageUser) -> None:
    asked.ask("Please segment the forest.")
    expect(asked.page.locator(".eo-overlay")).to_have_count(2)
    older, newer = (asked.page.get_by_role("button", name=f"Mask {number}") for number in (1, 2))
    expect(older).to_have_attribute("aria-pressed", "false")
    expect(newer).to_have_attribute("aria-pressed", "true")
    expect(asked.page.locator(".eo-overlay").first).to_have_css("opacity", "0")
    older.click()
    expect(asked.page.locator(".eo-overlay").first).not_to_have_css("opacity", "0")


def test_files_are_named_by_image_question_and_mask(asked: PageUser) -> None:
    asked.tab("Masks").click()
    with asked.page.expect_download() as started:
        asked.page.get_by_role("link", name="Download mask 1 as GeoTIFF").click()
    assert started.value.suggested_filename == "fields-and-water-optical_Please-segment-the-water-in-this-image_Mask-1.tif"


def test_a_mask_is_switched_from_the_answer_and_the_legend(asked: PageUser) -> None:
    chip = asked.page.get_by_role("button", name="Mask 1")
    overlay = asked.page.locator(".eo-overlay")
    expect(chip).to_have_attribute("aria-pressed", "true")
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "false")
    expect(overlay).to_have_css("opacity", "0")
    asked.tab("Masks").click()
    legend = asked.page.get_by_role("switch", name="Mask 1")
    expect(legend).not_to_be_checked()
    legend.click()
    expect(overlay).not_to_have_css("opacity", "0")
    asked.page.get_by_role("button", name="Hide all").click()
    expect(legend).not_to_be_checked()
    asked.page.get_by_role("button", name="Show all").click()
    expect(legend).to_be_checked()


def test_opacity_is_that_of_the_slider(asked: PageUser) -> None:
    asked.tab("Masks").click()
    expect(asked.page.locator(".eo-overlay")).to_have_css("opacity", "0.55")
    slider = asked.page.get_by_role("slider", name="Opacity of all masks")
    box = slider.bounding_box()
    assert box is not None
    asked.page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + box["height"] / 2)
    expect(asked.page.locator(".eo-overlay")).to_have_css("opacity", re.compile(r"0\.(1[5-9]|2[0-5]?)"))


def test_area_and_files_agree(asked: PageUser) -> None:
    asked.tab("Masks").click()
    mask = np.asarray(Image.open(io.BytesIO(download(asked, "Download mask 1 as PNG")))) > 0
    hectares = mask.sum() * 100 / 10_000  # pixels of 10 m
    expect(asked.page.locator(".eo-mask-card")).to_contain_text(f"{hectares:,.2f} ha · {mask.sum():,} px")
    with rasterio.MemoryFile(download(asked, "Download mask 1 as GeoTIFF")) as memory, memory.open() as file:
        assert np.array_equal(file.read(1) > 0, mask) and file.crs.to_epsg() == 32632
    feature = json.loads(download(asked, "Download mask 1 as GeoJSON"))["features"][0]
    assert feature["properties"]["area_m2"] == pytest.approx(mask.sum() * 100)
    assert download(asked, "Download mask 1 as GeoPackage").startswith(b"SQLite format 3")


def test_a_picture_without_a_place_gives_the_png_alone(user: PageUser) -> None:
    user.open_example("A plain picture")
    user.choose_model("masks")
    user.ask("Please segment the water.")
    user.tab("Masks").click()
    expect(user.page.locator(".eo-mask-card")).to_contain_text("the image is not georeferenced")
    expect(user.page.locator(".eo-download")).to_have_count(1)


def test_files_of_masks_are_no_one_elses(asked: PageUser) -> None:
    asked.tab("Masks").click()
    address = asked.page.get_by_role("link", name="Download mask 1 as PNG").get_attribute("href")
    assert address is not None
    stranger = asked.context.browser
    assert stranger is not None
    other = stranger.new_context()
    assert other.request.get(asked.url.rstrip("/") + address).status == 404
    assert asked.context.request.get(asked.url.rstrip("/") + address.replace(".png", ".exe")).status == 404
    other.close()
