"""The conversation on the page."""

import re

from page_actions import PageUser
from playwright.sync_api import expect

HOSTILE = "<b>bold</b> <img src=x onerror=alert(1)> <|im_end|> [SEG] <p>{{ 7 * 7 }}</p> \u202e"


def test_an_answer_comes_as_words_alone(user: PageUser) -> None:
    user.open_example("A plain picture")
    user.choose_model("words")
    user.limit_answers(20)
    user.ask("What is shown?")
    expect(user.last_round.locator(".eo-note")).to_contain_text("as long as it may be")
    answer = user.last_round.locator(".eo-answer").inner_text()
    assert re.fullmatch(r"[a-z\s]+", answer), answer  # no special token, no mark
    expect(user.last_round.locator(".eo-speaker")).to_have_text("words")


def test_markup_and_special_tokens_in_a_question_are_text(user: PageUser) -> None:
    user.open_example("A plain picture")
    user.choose_model("masks")
    user.ask(HOSTILE)
    expect(user.last_round.locator(".eo-user .eo-words")).to_have_text(HOSTILE)
    assert user.page.locator(".eo-round b, .eo-round img").count() == 0
    expect(user.last_round.locator(".eo-mask-chip")).to_have_count(1)  # of the answer; that of the question is a word
    assert "[SEG]" not in user.last_round.locator(".eo-model").inner_text()
    user.tab("Masks").click()
    expect(user.page.locator(".eo-group-title")).to_have_text(HOSTILE)


def test_several_rounds_and_a_new_conversation(user: PageUser) -> None:
    user.open_example("A plain picture")
    user.choose_model("words")
    user.limit_answers(8)
    for question in ("First?", "Second?"):
        user.ask(question)
    expect(user.page.locator(".eo-round")).to_have_count(2)
    expect(user.page.locator(".eo-new-conversation")).to_have_count(0)
    user.page.get_by_role("button", name="Ask without what was said").click()
    user.ask("Third?")
    expect(user.page.locator(".eo-new-conversation")).to_have_count(1)
    user.page.get_by_role("button", name="Delete answers and masks").click()
    expect(user.page.locator(".eo-round")).to_have_count(0)


def test_a_long_answer_can_be_stopped(user: PageUser) -> None:
    user.open_example("A plain picture")
    user.choose_model("words")
    user.limit_answers(2048)
    user.page.get_by_label("Question").fill("Go on and on.")
    user.page.get_by_label("Question").press("Enter")
    expect(user.last_round.locator(".eo-answer")).to_be_visible()  # streamed: words before the end
    user.page.get_by_role("button", name="Stop").click()
    expect(user.last_round.locator(".eo-note")).to_have_text("Stopped.")
    user.limit_answers(8)
    user.ask("And now?")
    expect(user.page.locator(".eo-round")).to_have_count(2)


def test_a_box_is_asked_about(user: PageUser) -> None:
    user.open_example("Fields and water")
    user.choose_model("masks")
    user.page.get_by_role("button", name="Draw a box to ask about").click()
    user.drag(user.place_of(20, 30, size=(96, 96)), user.place_of(60, 70, size=(96, 96)))
    expect(user.page.locator(".eo-region-row")).to_contain_text("box of 4")
    expect(user.page.locator(".eo-region-row")).to_contain_text("fields_and_water_optical.tif")
    user.ask("Please segment it.")
    expect(user.last_round.locator(".eo-about")).to_contain_text("pointed out")
    user.choose("How the model sees it", "Cut it out")
    user.ask("Please segment it.")
    expect(user.last_round.locator(".eo-about")).to_contain_text("cut out")
    user.tab("Masks").click()
    expect(user.page.locator(".eo-mask-card").last).to_contain_text("ha")
    boxes = [each.bounding_box() for each in user.page.locator(".eo-overlay").all()]
    assert boxes[0] is not None and boxes[1] is not None
    assert boxes[1]["width"] < 0.5 * boxes[0]["width"]  # the mask of the part lies on the part
    left, top = user.place_of(20, 30, size=(96, 96))
    assert abs(boxes[1]["x"] - left) < 10 and abs(boxes[1]["y"] - top) < 10


def test_an_outline_is_asked_about_and_removed(user: PageUser) -> None:
    user.open_example("Fields and water")
    user.choose_model("masks")
    user.page.get_by_role("button", name="Draw an outline to ask about").click()
    for corner in ((20, 20), (70, 25), (50, 70)):
        user.page.mouse.click(*user.place_of(*corner, size=(96, 96)))
    user.page.keyboard.press("Enter")
    expect(user.page.locator(".eo-region-row")).to_contain_text("polygon of")
    expect(user.page.locator("path.eo-region")).to_have_count(1)
    user.ask("What is this?")
    expect(user.last_round.locator(".eo-about")).to_contain_text("polygon")
    user.page.locator(".eo-region-row").get_by_role("button", name="Remove the region").click()
    expect(user.page.locator("path.eo-region")).to_have_count(0)


def test_what_a_model_cannot_take_is_told_in_words(user: PageUser) -> None:
    user.open_example("A plain picture")
    user.choose_model("words")
    user.ask("word " * 30_000)
    note = user.last_round.locator(".eo-note-error")
    expect(note).not_to_have_text("")
    assert "Traceback" not in note.inner_text() and "/tmp" not in note.inner_text()
