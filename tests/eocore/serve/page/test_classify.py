"""Classes in a real browser: bars of typed names, and where in the image each fits."""

from page_actions import PageUser
from playwright.sync_api import expect


def test_typed_classes_get_bars_and_a_map(user: PageUser) -> None:
    user.open_example("A plain picture")
    user.choose_model("vectors")
    user.tab("Classify").click()
    user.page.get_by_label("Classes, with commas").fill("water, a forest\nroofs")
    user.page.get_by_role("button", name="Classify", exact=True).click()
    rows = user.page.locator(".eo-bar-row")
    expect(rows).to_have_count(3)
    values = [float(text) for text in user.page.locator(".eo-bar-value").all_inner_texts()]
    assert values == sorted(values, reverse=True) and all(-1 <= value <= 1 for value in values)
    widths = [round(box["width"]) for box in (bar.bounding_box() for bar in user.page.locator(".eo-bar-fill").all()) if box]
    assert max(widths) > 20
    user.page.get_by_role("button", name="Where a forest is").click()
    picture = user.page.locator(".eo-similarity-picture")
    expect(picture.locator("img")).to_be_visible()
    expect(user.page.get_by_text("How well “a forest” fits, in picture.png")).to_be_visible()
    before = user.pixels(picture)
    assert before.std(axis=(0, 1)).max() > 5  # not one colour
    user.page.get_by_role("button", name="Where water is").click()
    expect(user.page.get_by_text("How well “water” fits")).to_be_visible()
    expect(picture.locator("img")).to_be_visible()
    assert (user.pixels(picture) != before).any()


def test_what_cannot_be_classified_is_told(user: PageUser) -> None:
    user.tab("Classify").click()
    button = user.page.get_by_role("button", name="Classify", exact=True)
    button.click()
    expect(user.page.get_by_text("no image is shown to the model")).to_be_visible()
    for typed, told in (("water", "two classes or more are needed"), ("water, water", "'water' is named twice")):
        user.page.get_by_label("Classes, with commas").fill(typed)
        button.click()
        expect(user.page.get_by_text(told)).to_be_visible()
