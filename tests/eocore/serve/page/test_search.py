"""Search in a real browser: by words, by an image, on the map; grid and map belong together; on to the chat."""

import numpy as np
import pytest
from page_actions import PageUser, picture_file
from playwright.sync_api import Locator, expect
from served_indexes import BASE_MAP_COLOUR

NUM_ITEMS = 30


@pytest.fixture
def searcher(user: PageUser) -> PageUser:
    """A user in front of the panel, with the index open."""
    user.tab("Search").click()
    expect(user.page.get_by_text(f"{NUM_ITEMS} items. Look for words")).to_be_visible()
    return user


def search(user: PageUser, text: str = "") -> None:
    if text:
        user.page.get_by_label("What to look for").fill(text)
    user.page.get_by_role("button", name="Search", exact=True).click()


def results(user: PageUser) -> Locator:
    return user.page.locator(".eo-result")


def names(user: PageUser) -> list[str]:
    return user.page.locator(".eo-result-name").all_inner_texts()


def test_words_find_items_with_all_that_is_known_of_them(searcher: PageUser) -> None:
    search(searcher, "water")
    expect(results(searcher)).to_have_count(24)
    expect(searcher.page.get_by_text("24 of 30 items, in")).to_be_visible()
    expect(searcher.page.locator(".eo-result-picture img")).to_have_count(24)
    first = results(searcher).first
    assert first.locator(".eo-rank").inner_text() == "1" and -1 <= float(first.locator(".eo-score").inner_text()) <= 1
    scores = [float(text) for text in searcher.page.locator(".eo-score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    number = int(first.locator(".eo-result-name").inner_text()[-2:])
    assert f"scene {number} of the north" in first.inner_text() or f"scene {number + 18} of the south" in first.inner_text()
    assert "2024-0" in first.inner_text() and "% clouds" in first.inner_text()
    expect(searcher.page.locator("path.eo-outline")).to_have_count(24)
    searcher.page.reload()
    expect(results(searcher)).to_have_count(24)


def test_grid_and_map_show_the_same_item(searcher: PageUser) -> None:
    search(searcher, "forest")
    results(searcher).nth(2).click()
    expect(searcher.page.locator(".eo-result.eo-chosen")).to_have_count(1)
    chosen = searcher.page.locator("path.eo-outline.eo-chosen")
    expect(chosen).to_have_attribute("data-key", names(searcher)[2])
    searcher.page.locator(f'path.eo-outline[data-key="{names(searcher)[5]}"]').dispatch_event("click")
    expect(results(searcher).nth(5)).to_have_class("q-card nicegui-card eo-result eo-chosen")
    expect(chosen).to_have_attribute("data-key", names(searcher)[5])


def test_the_base_map_lies_under_the_grid_and_comes_from_this_server(searcher: PageUser) -> None:
    tiles = searcher.page.locator(".eo-base-map img")
    expect(tiles.first).to_be_visible()
    searcher.page.wait_for_function("!document.querySelector('.eo-base-map img:not(.leaflet-tile-loaded)')")
    assert all(str(tile.get_attribute("src")).startswith("/page/basemap/") for tile in tiles.all())
    shown = searcher.pixels(searcher.page.locator(".eo-search-map")).astype(int)
    assert (np.abs(shown - BASE_MAP_COLOUR).max(-1) <= 2).mean() > 0.5
    assert searcher.context.request.get(f"{searcher.url}page/basemap/0/7/0.png").status == 404


def test_filters_alone_list_what_fits(searcher: PageUser) -> None:
    searcher.page.get_by_label("From").fill("2024-06-01")
    searcher.page.get_by_label("Most clouds [%]").fill("3")
    search(searcher)
    expect(results(searcher)).to_have_count(4)
    assert names(searcher) == ["north-00", "north-01", "north-02", "north-03"]
    searcher.page.get_by_label("West, south, east, north").fill("11.9, 41.9, 12.5, 42.5")
    search(searcher)
    expect(searcher.page.get_by_text("none of 30 items fits the filters. Loosen one.")).to_be_visible()
    searcher.page.get_by_role("button", name="Clear the form").click()
    search(searcher)
    expect(searcher.page.get_by_text("nothing to look for")).to_be_visible()


def test_a_box_that_is_drawn_on_the_map_is_a_filter(searcher: PageUser) -> None:
    searcher.page.get_by_role("button", name="Draw a box to search in").click()
    expect(searcher.page.get_by_text("Drag from corner to corner")).to_be_visible()
    box = searcher.page.locator(".eo-search-map").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    searcher.drag((box["x"] + 2, middle), (box["x"] + box["width"] - 2, box["y"] + box["height"] - 2))
    expect(searcher.page.get_by_text("Drag from corner to corner")).to_have_count(0)
    search(searcher, "water")
    expect(results(searcher)).to_have_count(12)
    assert all(name.startswith("south") for name in names(searcher))
    searcher.page.get_by_role("button", name="Search everywhere").click()
    search(searcher)
    expect(results(searcher)).to_have_count(24)


def test_more_like_this_and_chat_about_it(searcher: PageUser) -> None:
    search(searcher, "water")
    expect(results(searcher)).to_have_count(24)
    first = names(searcher)[0]
    results(searcher).first.get_by_role("button", name="More like this").click()
    expect(searcher.page.locator(".eo-likings")).to_contain_text(f"like {first}")
    expect(searcher.page.locator(".eo-result-name").first).not_to_have_text(first)
    assert first not in names(searcher)  # what results are to be like is none itself
    second = names(searcher)[0]
    searcher.tab("Images").click()
    searcher.send(picture_file("mine.png"))
    searcher.open_example("Fields and water")
    searcher.tab("Search").click()
    results(searcher).first.get_by_role("button", name="Chat about it").click()
    expect(searcher.tab("Chat")).to_have_attribute("aria-selected", "true")
    searcher.wait_for_tiles()
    expect(searcher.page.get_by_label("Image", exact=True)).to_have_value(second)
    searcher.ask("What is here?")
    expect(searcher.last_round).to_contain_text(second)
    searcher.tab("Images").click()  # what was sent stays, the example does not
    expect(searcher.page.locator(".eo-image-card .eo-image-title")).to_have_text(["mine.png", second])


def test_an_image_on_the_desk_is_looked_for(searcher: PageUser) -> None:
    searcher.page.get_by_role("checkbox", name="The opened images that the model sees, too").click()
    search(searcher)
    expect(searcher.page.get_by_text("the model sees none of the opened images")).to_be_visible()
    searcher.page.get_by_role("button", name="Close").click()
    searcher.open_example("A plain picture")
    searcher.tab("Search").click()
    search(searcher)
    expect(results(searcher)).to_have_count(24)


def test_what_is_typed_wrongly_is_told(searcher: PageUser) -> None:
    searcher.page.get_by_label("West, south, east, north").fill("11, 48")
    expect(searcher.page.get_by_text("The area 11,48: expected WEST,SOUTH,EAST,NORTH")).to_be_visible()
    searcher.page.get_by_label("From").fill("last summer")
    search(searcher, "water")
    expect(searcher.page.get_by_text("From last summer: expected an ISO 8601 date")).to_be_visible()
    searcher.page.get_by_label("From").fill("")
    search(searcher, "<b>?!</b> %")
    expect(results(searcher)).to_have_count(24)
    search(searcher, "?!")
    expect(searcher.page.get_by_text("'?!' has no word in it")).to_be_visible()
