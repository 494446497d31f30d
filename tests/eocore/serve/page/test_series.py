"""Two dates on the page: both are shown to the model, and a mask lies on the image that the answer, or the question, names."""

import io
from typing import Any

import numpy as np
import pytest
from page_actions import PageUser
from PIL import Image
from playwright.sync_api import expect

from eocore.synthetic.spectra import true_colour
from eocore.synthetic.timeline import make_series

DAYS = ("2021-03-04", "2021-06-01")
SIDE = 96
"""Of the pictures [px]."""


def dated_pictures() -> list[dict[str, Any]]:
    """Two pictures of one place, each with its date in the name, as browsers send them."""
    series = make_series("page", [0, 0], size=SIDE, num_dates=2)
    sent = []
    for day, layers in zip(DAYS, series.optical, strict=True):
        content = io.BytesIO()
        Image.fromarray(np.asarray(true_colour(layers))).save(content, format="PNG")
        sent.append({"name": f"field_{day}.png", "mimeType": "image/png", "buffer": content.getvalue()})
    return sent


@pytest.fixture
def pair(user: PageUser) -> PageUser:
    """A user who has sent two pictures of one place, of two dates."""
    for number, picture in enumerate(dated_pictures()):
        user.send(picture)
        expect(user.page.locator(".eo-image-title")).to_have_count(number + 1)
    user.wait_for_tiles()
    return user


def covered(user: PageUser) -> np.ndarray:
    """(H, W) bool: pixels of the image in view that look otherwise with its mask than without."""
    switch, overlay = user.page.get_by_role("switch", name="Mask 1"), user.page.locator(".eo-overlay")
    expect(overlay).to_have_count(1)
    box = user.picture.bounding_box()
    assert box is not None
    x, y = user.place_of(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5, size=(SIDE, SIDE))
    at_centres = np.ix_(np.rint(y - box["y"]).astype(int), np.rint(x - box["x"]).astype(int))
    user.page.mouse.move(5, 5)
    shown = user.pixels().astype(int)
    switch.click()
    expect(overlay).to_have_css("opacity", "0")
    user.page.mouse.move(5, 5)
    hidden = user.pixels().astype(int)
    return np.asarray(np.abs(shown[at_centres] - hidden[at_centres]).max(-1) > 3)


def downloaded(user: PageUser) -> np.ndarray:
    """(H, W) bool of the first mask's file."""
    with user.page.expect_download() as started:
        user.page.get_by_role("link", name="Download mask 1 as PNG").click()
    return np.asarray(Image.open(io.BytesIO(started.value.path().read_bytes()))) > 0


def show(user: PageUser, day: str) -> None:
    """Shows the image of a date."""
    user.choose("Image", f"field_{day}.png")
    user.wait_for_tiles()


def test_a_mask_of_two_dates_lies_on_the_one_that_the_answer_names(pair: PageUser) -> None:
    pair.choose_model("dated")
    fields = pair.page.get_by_label("Date of the image")
    expect(fields).to_have_count(2)
    for number, day in enumerate(DAYS):
        expect(fields.nth(number)).to_have_value(day)
    pair.ask("Please segment what changed until 2021-06-01.")
    expect(pair.last_round.locator(".eo-about")).to_contain_text(f"rgb {DAYS[0]}: field_{DAYS[0]}.png, rgb {DAYS[1]}: field_{DAYS[1]}.png")
    expect(pair.last_round.locator(".eo-answer")).to_contain_text(f"On {DAYS[0]}")
    pair.tab("Masks").click()
    expect(pair.page.locator(".eo-mask-card")).to_contain_text(f"on field_{DAYS[0]}.png")
    mask = downloaded(pair)
    assert mask.shape == (SIDE, SIDE) and 0 < mask.sum() < mask.size
    show(pair, DAYS[1])
    expect(pair.page.locator(".eo-overlay")).to_have_count(0)
    show(pair, DAYS[0])
    assert np.array_equal(covered(pair), mask)


def test_without_a_date_in_the_answer_the_question_s_counts(pair: PageUser) -> None:
    pair.choose_model("masks")
    for number, day in enumerate(DAYS, start=1):
        pair.ask(f"Please segment the road of {day}.")
        pair.tab("Masks").click()
        expect(pair.page.locator(".eo-mask-card").nth(number - 1)).to_contain_text(f"on field_{day}.png")


def test_images_of_one_role_need_dates_to_be_seen_together(pair: PageUser) -> None:
    pair.choose_model("masks")
    pair.tab("Images").click()
    field = pair.page.get_by_label("Date of the image").last
    field.fill("")
    field.press("Tab")
    roles = pair.page.get_by_label("Model sees it as")
    expect(roles.first).to_have_value("not shown")
    expect(roles.last).to_have_value("rgb")
    expect(pair.page.locator(".eo-given-up")).to_have_text("Another rgb image took its place. With a date each, the model sees both.")
    pair.ask("Please segment the road.")
    expect(pair.last_round.locator(".eo-about")).to_have_text(f"rgb: field_{DAYS[1]}.png")
    pair.tab("Images").click()
    field.fill("2021-07-01")
    field.press("Tab")
    expect(roles.first).to_have_value("rgb")
    expect(pair.page.locator(".eo-given-up")).to_have_count(0)
    pair.ask("Please segment the road.")
    expect(pair.last_round.locator(".eo-about")).to_contain_text(f"rgb {DAYS[0]}: field_{DAYS[0]}.png, rgb 2021-07-01: field_{DAYS[1]}.png")
