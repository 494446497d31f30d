"""One slot shows all images of a prompt."""

import pytest

from eocore.portable.chat_templates import get_template, parse_prompt
from eocore.portable.image_slots import shows_image, with_leading_image, with_one_image

TEMPLATE = get_template("phi3_chat")


def texts(prompt: str, *, has_images: bool = True) -> list[str]:
    return [piece.text for piece in with_one_image(parse_prompt(prompt, TEMPLATE), has_images=has_images)]


@pytest.mark.parametrize(
    ("prompt", "has_images", "expected"),
    [
        ("<image>\n<image>\nWhat?", True, ["<image>", "\nWhat?"]),
        ("See <image>, and <image>\n\nwhat?", True, ["See ", "<image>", ", and what?"]),
        ("See <image> now", False, ["See  now"]),
        ("What?", True, ["What?"]),
        ("<|user|>\n<image>\nA<|end|>\n<|assistant|>\nB", True, ["<|user|>\n", "<image>", "\nA", "<|end|>\n", "<|assistant|>\n", "B"]),
    ],
)
def test_the_first_slot_stays_and_the_texts_around_the_others_are_one(prompt: str, has_images: bool, expected: list[str]) -> None:
    assert texts(prompt, has_images=has_images) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What?", ["<image>", "\nWhat?"]),
        ("<|user|>\nWhat?<|end|>\n", ["<|user|>\n", "<image>", "\nWhat?", "<|end|>\n"]),
        ("<|user|>\n<|end|>\n", ["<|user|>\n", "<image>", "\n", "<|end|>\n"]),
    ],
)
def test_a_missing_slot_leads_the_first_question(prompt: str, expected: list[str]) -> None:
    pieces = parse_prompt(prompt, TEMPLATE)
    assert not shows_image(pieces)
    led = with_leading_image(pieces, TEMPLATE)
    assert [piece.text for piece in led] == expected and shows_image(led)
