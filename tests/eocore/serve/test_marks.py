import pytest
from hypothesis import given
from hypothesis import strategies as st

from eocore.serve.marks import MarkReader
from eocore.serve.requests import MaskMark, TextDelta

SPECIAL = ("<eos>", "<|user|>", "<pad>", "[SEG]")


def read(pieces: list[str], *, draws: bool = True) -> tuple[str, list[MaskMark]]:
    reader = MarkReader(SPECIAL, draws=draws)
    found = [event for piece in pieces for event in reader.put(piece)] + list(reader.end())
    return "".join(each.text for each in found if isinstance(each, TextDelta)), [each for each in found if isinstance(each, MaskMark)]


def test_marks_become_events_with_their_phrase() -> None:
    text, marks = read(["Sure: <p> the red", " roof </p> [SEG] and <p>water</p>[SEG], and [SEG]."])
    assert text == "Sure:  the red roof   and water, and ."
    assert marks == [MaskMark(0, "the red roof"), MaskMark(1, "water"), MaskMark(2, "")]


def test_a_mark_stands_between_the_texts_around_it() -> None:
    found = list(MarkReader(SPECIAL, draws=True).put("a[SEG]b c "))
    assert found == [TextDelta("a"), MaskMark(0), TextDelta("b c ")]


def test_special_tokens_are_never_shown() -> None:
    assert read(["hello <eos>there<|us", "er|><pad>"]) == ("hello there", [])
    assert read(["the mask [SEG] of <p>x</p>"], draws=False) == ("the mask  of <p>x</p>", [])


def test_what_only_looks_like_the_beginning_of_a_mark_is_shown() -> None:
    assert read(["a < b and c [S"]) == ("a < b and c [S", [])
    assert read(["a<", "p", "z"]) == ("a<pz", [])


@given(st.lists(st.sampled_from(["a ", "<p>", "</p>", "[SEG]", "<eos>", "<", "[", "p>", "SEG]", "é"]), max_size=12), st.data())
def test_the_cut_into_pieces_does_not_matter(words: list[str], data: st.DataObject) -> None:
    whole = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(pieces) == read([whole])


@pytest.mark.parametrize("text", ["", "\n", "<p>", "</p>[SEG]"])
def test_short_answers(text: str) -> None:
    shown, marks = read([text])
    assert "<" not in shown and len(marks) == text.count("[SEG]")
