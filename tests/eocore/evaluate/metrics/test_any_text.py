"""Answers are untrusted: whatever a model writes, every reader of answers gives a result, and in time that grows with the length."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eocore.evaluate.judge.prompts import parse_match, parse_score
from eocore.evaluate.metrics import boxes, captions, classification, multilabel, vqa
from eocore.evaluate.scoring.parsing.boxes import parse_boxes
from eocore.evaluate.scoring.parsing.choices import read_choice
from eocore.evaluate.scoring.parsing.numbers import find_number, replace_number_words
from eocore.evaluate.scoring.parsing.text import final_answer

LABELS = ["Urban fabric", "Beaches, dunes, sands", "A"]
READERS = {
    "tokenise": captions.tokenise,
    "boxes": parse_boxes,
    "choice": lambda text: read_choice(text, ["A. road", "B. a (x", "C. "]),
    "choice of numbers": lambda text: read_choice(text, ["1", "a", "3 km"], several=True),
    "number": find_number,
    "number words": replace_number_words,
    "final answer": final_answer,
    "equal": lambda text: vqa.match_answer(text, "no"),
    "contained": lambda text: vqa.contains_answer(text, "a (b"),
    "bucket": vqa.count_bucket,
    "label": lambda text: classification.parse_label(text, LABELS),
    "labels": lambda text: read_choice(text, LABELS, several=True),
    "recall": lambda text: multilabel.token_recall(text, text),
    "score": parse_score,
    "match": parse_match,
}
PIECES = ["a", "1", "1,", "(", "[1,", "{", "<a", "n't", " ", "A, ", "A. ", "...", "?!", "'s", "a.", '{"accuracy": ', "accuracy: ", "\u0663"]
PIECES += [
    "<think>",
    "</think>",
    "\\boxed{",
    "<answer>",
    "A or ",
    "answer is A",
    "not ",
    "road, ",
    "[[1,2,3,4],",
    '{"bbox": [',
    "<1>",
    "(1, 2), ",
    "one hundred and ",
]
MOST_S = 2.0


@pytest.mark.parametrize("name", READERS)
@given(text=st.text(max_size=60) | st.text("aAbBno'. ,;:-()[]{}<>|/0123456789\"\n", max_size=60))
@settings(max_examples=60, deadline=None)
def test_no_text_breaks_a_reader(name, text):
    READERS[name](text)


@pytest.mark.parametrize("name", READERS)
def test_long_texts_take_no_more_than_their_length(name):
    for piece in PIECES:
        start = time.process_time()
        READERS[name](piece * (20_000 // len(piece)) + "!")
        assert time.process_time() - start < MOST_S, piece


@given(st.lists(st.floats(-50, 150), min_size=4, max_size=8), st.lists(st.floats(-50, 150), min_size=4, max_size=8))
@settings(max_examples=150, deadline=None)
def test_iou_of_any_two_boxes_is_a_share(first, second):
    pair = [boxes.Box.of(numbers if len(numbers) in (4, 5, 8) else numbers[:4]) for numbers in (first, second)]
    assert 0.0 <= boxes.box_iou(*pair) <= 1.0 + 1e-9
    assert 0.0 <= boxes.box_iou_plus_one(*pair) <= 1.0 + 1e-9
