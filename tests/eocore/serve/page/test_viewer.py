"""Two images in the viewer, and large ones."""

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from page_actions import PATIENCE_MS, PageUser, picture_file
from playwright.sync_api import expect
from rasterio.transform import from_origin
from rasterio.windows import Window

PLACE = re.compile(r"column (\d+), row (\d+)")
"""What the viewer says of the pixel below the pointer."""
LOOK_MS = 200


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(H, W) largest change of a channel."""
    found: np.ndarray = np.abs(first.astype(int) - second).max(-1)
    return found


def test_the_divider_shows_more_of_one_or_of_the_other(user: PageUser) -> None:
    user.open_example("Two dates")
    expect(user.page.get_by_label("Bands, left")).to_have_value("Short-wave infrared")  # in true colour burnt ground looks like water
    divider = user.page.get_by_role("slider", name="Divider between the two images")
    divider.focus()
    divider.press("End")
    first = user.pixels()
    divider.press("Home")
    second = user.pixels()
    width = first.shape[1]
    assert (difference(first, second) > 10).mean() > 0.2  # the forest has burnt
    for _ in range(10):
        divider.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "50")
    half = user.pixels()
    left, right = slice(60, width // 2 - 30), slice(width // 2 + 30, width - 60)
    below = slice(60, -60)  # names stand above, the scale below
    assert (difference(half, first)[below, left] > 10).mean() < 0.01
    assert (difference(half, second)[below, right] > 10).mean() < 0.01


def test_the_divider_follows_the_pointer(user: PageUser) -> None:
    user.open_example("Two dates")
    divider = user.page.get_by_role("slider", name="Divider between the two images")
    box, view = divider.bounding_box(), user.picture.bounding_box()
    assert box is not None and view is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    user.drag(middle, (view["x"] + view["width"] * 0.25, middle[1]))
    assert abs(int(divider.get_attribute("aria-valuenow") or 0) - 25) <= 1


def test_side_by_side_both_move_together(user: PageUser) -> None:
    user.open_example("Two dates")
    user.page.get_by_role("button", name="Side by side").click()
    expect(user.page.locator(".eo-map").nth(1)).to_be_visible()
    user.wait_for_tiles()
    whole = [place_in_the_middle(user, side) for side in (0, 1)]
    user.page.get_by_role("button", name="Zoom in", exact=True).click()
    user.page.locator(".eo-map").first.press("ArrowRight")
    expect(user.page.locator(".leaflet-pan-anim")).to_have_count(0)
    user.wait_for_tiles()
    moved = [place_in_the_middle(user, side) for side in (0, 1)]
    for before, after in zip(whole, moved, strict=True):
        assert after[0] - before[0] > 3 and abs(after[1] - before[1]) <= 1  # columns, rows
    assert np.abs(np.subtract(*moved)).max() <= 1


def place_in_the_middle(user: PageUser, side: int) -> tuple[int, int]:
    """(column, row) of the image pixel in the middle of one of two maps."""
    shown, readout = user.page.locator(".eo-map").nth(side), user.page.locator(".eo-readout")
    seen: tuple[int, int] | None = None
    for _ in range(PATIENCE_MS // LOOK_MS):  # a map that is laid out anew tells another place with the next movement
        box = shown.bounding_box()
        assert box is not None
        user.page.mouse.move(box["x"] + box["width"] / 2 + 4, box["y"] + box["height"] / 2)
        user.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        found = PLACE.search(readout.inner_text())
        place = (int(found[1]), int(found[2])) if found else None
        if place is not None and place == seen:
            return place
        seen = place
        user.page.wait_for_timeout(LOOK_MS)
    raise AssertionError(f"the place below the pointer does not come to rest: {seen}")


def test_a_large_image_comes_in_parts_as_they_are_looked_at(user: PageUser) -> None:
    asked: list[str] = []
    user.page.on("request", lambda request: asked.append(request.url) if re.search(r"/\d+/\d+/\d+\.png", request.url) else None)
    user.open_example("A large scene")
    levels = {int(address.rsplit("/", 3)[1]) for address in asked}
    assert levels and min(levels) >= 1  # a reduced picture of all of it
    for _ in range(4):
        user.page.get_by_role("button", name="Zoom in", exact=True).click()
    user.wait_for_tiles()
    near = [address for address in asked if address.rsplit("/", 3)[1] == "0"]
    assert near and len(set(near)) < 36  # of 6 x 6 tiles those in view


def test_an_image_that_is_added_while_two_are_compared_takes_the_free_side(user: PageUser) -> None:
    user.send(picture_file("one.png"))
    user.wait_for_tiles()
    user.page.get_by_role("button", name="Swipe").click()
    expect(user.page.get_by_label("Image, right")).to_have_value("one.png")
    user.send(picture_file("two.png", colour=(20, 20, 200)))
    expect(user.page.get_by_label("Image, right")).to_have_value("two.png")
    expect(user.page.get_by_label("Image, left")).to_have_value("one.png")


@pytest.mark.slow
def test_a_whole_tile_of_sentinel_2_is_shown_and_a_part_of_it_asked_about(user: PageUser, tmp_path: Path) -> None:
    """10,980 x 10,980 px in true colour, without overviews: 362 MB of pixels."""
    side, block = 10_980, 549
    path = tmp_path / "T32TQM_TCI_10m.tif"
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": side, "width": side, "crs": "EPSG:32632", "tiled": True}
    squares = (np.indices((side // block, side // block)).sum(0) % 2).astype(np.uint8)
    with rasterio.open(
        path, "w", transform=from_origin(600_000, 5_300_040, 10, 10), compress="deflate", interleave="pixel", **profile
    ) as target:
        for number, row in enumerate(squares):
            strip = np.repeat(np.repeat(40 + 150 * row[None], block, axis=0), block, axis=1)
            target.write(np.stack([strip, strip, strip]), window=Window(0, number * block, side, block))
    user.choose_model("masks")
    user.send(path)
    expect(user.page.locator(".eo-image-title")).to_have_text(path.name)
    expect(user.page.locator(".eo-reading")).to_be_visible()
    user.wait_for_tiles()
    expect(user.page.locator(".eo-reading")).to_have_count(0)
    box = user.picture.bounding_box()
    assert box is not None
    x, y = user.place_of(np.array([274, 823]), np.array([274, 274]), size=(side, side))  # of the first two squares
    shown = user.pixels()[np.rint(y - box["y"]).astype(int), np.rint(x - box["x"]).astype(int)].astype(int)
    assert np.abs(shown - [[40] * 3, [190] * 3]).max() <= 12
    user.page.get_by_role("button", name="Draw a box to ask about").click()
    user.drag(user.place_of(5000, 5000, size=(side, side)), user.place_of(5600, 5500, size=(side, side)))
    expect(user.page.locator(".eo-region-row")).to_contain_text("The model sees this part alone.")
    user.ask("Please segment it.")
    expect(user.last_round).to_have_attribute("data-state", "done")
    expect(user.page.locator(".eo-overlay")).to_have_count(1)
    mask = user.page.locator(".eo-overlay").bounding_box()
    left, top = user.place_of(5000, 5000, size=(side, side))
    assert mask is not None and abs(mask["x"] - left) < 4 and abs(mask["y"] - top) < 4


def test_the_place_under_the_pointer_is_told(user: PageUser) -> None:
    user.open_example("Fields and water")
    user.page.mouse.move(*user.place_of(10.5, 20.5, size=(96, 96)))
    expect(user.page.locator(".eo-readout")).to_have_text(re.compile(r"column 10, row 20 · 50010[456], 539979[456] EPSG:32632"))
