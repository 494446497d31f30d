"""The page as a whole: tabs, reload, the back button, the keyboard, narrow windows, many users."""

from collections.abc import Callable

import pytest
from page_actions import PageUser, picture_file
from playwright.sync_api import expect

from eocore.serve.page.shell import PANELS

FOCUSED = """(({ ariaLabel, innerText, tagName }) => tagName === 'BODY' ? '' : `${ariaLabel || ''} ${innerText}`)(document.activeElement)"""
"""Name of what has the focus."""


def test_every_panel_opens(user: PageUser) -> None:
    for panel in PANELS:
        tab = user.tab(panel.title)
        if tab.count():
            tab.click()
            expect(user.page.locator(f".eo-panel-{panel.name}")).to_be_visible()
            expect(tab).to_have_attribute("aria-selected", "true")


def test_the_back_button_leads_to_the_panel_before(user: PageUser) -> None:
    user.tab("Chat").click()
    expect(user.page).to_have_url(f"{user.url}?panel=chat")
    user.tab("Masks").click()
    expect(user.page).to_have_url(f"{user.url}?panel=masks")
    user.page.go_back()
    expect(user.tab("Chat")).to_have_attribute("aria-selected", "true")
    user.page.go_back()
    expect(user.tab("Images")).to_have_attribute("aria-selected", "true")
    user.open("?panel=masks")
    expect(user.tab("Masks")).to_have_attribute("aria-selected", "true")


def test_a_reload_changes_nothing(user: PageUser) -> None:
    user.open_example("Fields and water")
    user.choose_model("masks")
    user.ask("Please segment the water.")
    user.page.reload()
    user.wait_for_tiles()
    expect(user.tab("Chat")).to_have_attribute("aria-selected", "true")
    expect(user.page.locator(".eo-round")).to_have_count(1)
    expect(user.page.locator(".eo-overlay")).to_have_count(1)
    user.page.goto("about:blank")
    user.page.go_back()
    user.wait_for_tiles()
    expect(user.page.locator(".eo-overlay")).to_have_count(1)
    user.ask("And the forest?")
    expect(user.page.locator(".eo-round")).to_have_count(2)
    expect(user.page.locator(".eo-overlay")).to_have_count(2)


def test_two_tabs_of_one_browser_work_on_their_own(user: PageUser) -> None:
    user.open_example("A plain picture")
    second = user.context.new_page()
    second.goto(user.url)
    expect(second.get_by_text("Nothing yet.")).to_be_visible()
    second.close()


def test_the_keyboard_is_enough(user: PageUser) -> None:
    press = user.page.keyboard.press

    def go_to(name: str) -> None:
        """Presses Tab until the element of that name has the focus."""
        for _ in range(60):
            press("Tab")
            told = user.page.evaluate(FOCUSED)
            if name in told:
                return
        pytest.fail(f"Tab never reaches '{name}'")

    go_to("Fields and water")
    press("Enter")
    user.wait_for_tiles()
    user.page.evaluate("document.activeElement.blur()")
    go_to("Images")
    press("ArrowRight")
    press("Enter")
    expect(user.tab("Chat")).to_have_attribute("aria-selected", "true")
    go_to("Question")
    user.page.keyboard.type("Please segment the water.")
    press("Enter")
    user.wait_for_answer()
    press("Shift+Tab")
    user.page.evaluate("document.activeElement.blur()")
    go_to("Mask 1")
    press("Enter")
    expect(user.page.locator(".eo-overlay")).to_have_css("opacity", "0")
    user.page.evaluate("document.activeElement.blur()")
    go_to("arrow keys move it")
    before = user.page.locator(".leaflet-map-pane").first.get_attribute("style")
    press("ArrowRight")
    expect(user.page.locator(".leaflet-map-pane").first).not_to_have_attribute("style", before or "")


def test_a_narrow_window_has_all_of_it(new_user: Callable[..., PageUser]) -> None:
    user = new_user(narrow=True)
    user.open()
    user.open_example("Fields and water")
    user.ask("Please segment the water.")
    wide = user.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{wide} px are out of sight to the right"
    for part in (user.picture, user.page.get_by_label("Question"), user.page.get_by_role("button", name="Send")):
        box = part.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 420 and box["y"] + box["height"] <= 800


@pytest.mark.slow
def test_twenty_users_keep_their_own_images(new_user: Callable[..., PageUser]) -> None:
    users = [new_user() for _ in range(20)]
    for user in users:
        user.open()
    for number, user in enumerate(users):
        user.send(picture_file(f"mine_{number:02d}.png", colour=(10 * number, 0, 250 - 10 * number)))
    for number, user in enumerate(users):
        expect(user.page.locator(".eo-image-title")).to_have_text(f"mine_{number:02d}.png")
        user.wait_for_tiles()
        height, width = user.pixels().shape[:2]
        middle = user.pixels()[height // 2, width // 2].astype(int)
        assert abs(middle[0] - 10 * number) <= 2 and abs(middle[2] - (250 - 10 * number)) <= 2
