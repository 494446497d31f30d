"""Choices as models and users write them."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eocore.evaluate.scoring.parsing.choices import BEYOND, CONTRADICTION, NOTHING, REFUSAL, SEVERAL, ReadChoice, read_choice

COVER = ["water", "forest", "road", "grass"]
LAND = ["Urban fabric", "Arable land", "Moors, heathland and sclerophyllous vegetation", "Mixed forest", "Forest", "Inland waters"]

STATED = {
    1: [
        "B", "b", "(B)", "(b)", "[B]", "{B}", "B.", "B)", "B:", "B,", " b ", "\nB\n", "**B**", "`B`", "'B'", '"B"', "\u201cB\u201d",
        "\uff22", "\uff08\uff22\uff09", "\u24b7", "<b>B</b>", "\\boxed{B}", "$\\boxed{\\text{B}}$", "\\(B\\)", "<answer>B</answer>",
        "<answer>\nB. forest\n</answer>", "<|begin_of_box|>B<|end_of_box|>", "B<|im_end|>", "B</s>", '{"answer": "B"}',
        '```json\n{"answer": "B", "reason": "there is no A"}\n```', "B) forest", "B: forest", "B. forest", "B.forest", "B - forest",
        "B (forest)",
        "(B) forest", "\ufeffB", "B\u200b",
        "forest (B)", "forest", "Forest.", "FOREST!", "the forest", "a forest", "Answer: B", "answer: b.", "Answer:B",
        "ANSWER: B", "**Answer:** B", "### Answer\nB", "Answer: (B) forest", "Answer: B) forest.", "answer = B", "The answer is B",
        "The answer is: B",
        "The answer is\nB", "The answer is option B.", "The correct answer is (B).", "The correct option is: B. forest", "Option B",
        "OPTION (B)", "Choice B", "Letter B", "My choice is B", "So, the correct choice is (B).", "Final answer: B",
        "The answer is forest.",
        "Answer: the forest", "B is the correct answer", "B is correct, A is not", "\u7b54\u6848\uff1aB", "\u7b54\u6848\u662fB\u3002",
        "B\nThe image shows trees and no water.", "B, since the road is absent", "(B), since the road is absent",
        "B because of the trees",
        "B\n\nA is wrong. C is wrong.", "B.\nA. water is wrong", "The answer is B because there is no A",
        "The answer is A... Final answer: B",
        "<think>It could be A or C.</think>\n\nB", "A or C, so </think>B", "A. water\nB. forest\nC. road\nD. grass\nAnswer: B",
        "Looking at the image, we see trees.\n\nB", "The correct answer is B, not A.", "The answer is B rather than C",
        "forest, not water",
        "A forest is visible", "forest.\n\n(Explanation: water and road are absent)",
    ],
    3: ["D - not forest", "D: no water or forest visible", "D. There is no forest", "D\tgrass", "Answer: D) grass."],
    0: ["A", "a", "a.", "A.", "A water", "A. A large forest is visible", "The answer is A"],
    2: ["C. road is not paved", "C: Road isn't blocked", "A road", "C road", "\\boxed{C. road}", "It could be A or B.\nAnswer: C"],
}  # fmt: skip
IN_A_SENTENCE = {
    1: [
        "It is B.", "I would choose B", "I'd say B", "I think it's B", "I believe the image shows dense trees (B).", "This is option B.",
        "Option A is wrong; option B is correct", "Option A (water) is incorrect, option B fits best", "A? No. Probably B",
        "A. water is not visible. B. forest is correct.", "Options A and C are incorrect, therefore B.", "It is not A but B",
        "not A, but B",
        "Among the options, B fits best", "There is a forest here.", "The image primarily shows forests",
        "This is not water; it is a forest",
        "There is no water but a forest", "It isn't a road, it is forest", "forest rather than water", "rather than water, it is forest",
        "The land cover is forest.", "Probably forest", "Without a doubt B",
    ],
}  # fmt: skip
UNREAD = {
    SEVERAL: [
        "A, B", "A, C", "A. or B.", "(A) (B)", "A, B, C, D", "A and C", "both A and B", "AB", "A/B", "A & B", "A\nB", "[A, C]",
        '["A", "C"]',
        "A) water B) forest", "A: water, B: forest", "A. water\nB. forest\nC. road\nD. grass", "The answer is A or B",
        "\\boxed{A} or \\boxed{B}",
        "The answer is A. Wait, the answer is B.", "forest and water", "forest/grass", "forest vs water", "The answer is forest and road",
        "I cannot determine whether it is A or B.", "A C D",
    ],
    BEYOND: ["E", "(F)", "E.", "E. forest", "Answer: G", "A, E"],
    CONTRADICTION: ["B. water", "B) water", "C forest", "forest (C)", "Answer: B. water", "D: road"],
    REFUSAL: ["I don't know", "I'm sorry, I cannot tell", "None of the above", "I am not sure.", "Unclear."],
    NOTHING: [
        "", "  ", ".", "A large river", "I see trees", "railroad", "road-side stall", "\u0412", "The answer is not A", "Not A",
        "Neither A nor B",
        "The answer cannot be A.", "It is not option (A).", "There is no water, forest or grass", "The forest is not visible",
        "<think>surely B", "A bridge", "Option 2", "<answer></answer>",
    ],
}  # fmt: skip


def pairs(table: dict) -> list:
    return [(key, text) for key, texts in table.items() for text in texts]


@pytest.mark.parametrize(("index", "answer"), pairs(STATED))
def test_stated_choices_are_read_in_both_modes(index, answer):
    assert read_choice(answer, COVER) == ReadChoice(frozenset([index]))
    assert read_choice(answer, COVER, mode="strict") == ReadChoice(frozenset([index]))


@pytest.mark.parametrize(("index", "answer"), pairs(IN_A_SENTENCE))
def test_choices_in_sentences_are_read_in_lenient_mode_alone(index, answer):
    assert read_choice(answer, COVER).only == index
    assert not read_choice(answer, COVER, mode="strict").indices


@pytest.mark.parametrize(("reason", "answer"), pairs(UNREAD))
def test_what_is_no_choice_says_why(reason, answer):
    read = read_choice(answer, COVER)
    assert (read.only, read.reason) == (None, reason)
    assert read_choice(answer, COVER, mode="strict").only is None


@pytest.mark.parametrize(
    ("answer", "index"),
    [("sea ice", 1), ("Sea-Ice", 1), ("sea_ice", 1), ("It is sea ice.", 1), ("the sea", 0), ("a built area", 2), ("an area", 3)],
)
def test_the_longest_option_text_counts(answer, index):
    assert read_choice(answer, ["sea", "sea ice", "built area", "area"]).only == index


def test_two_texts_of_which_one_holds_the_other_are_two():
    assert read_choice("sea ice and open sea", ["sea", "sea ice"]).reason == SEVERAL
    assert read_choice("mostly broad-leaved forest", ["forest", "broad-leaved forest"]).only == 1


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("10", 1), ("ten", 1), ("10.0", 1), ("There are 10 of them", 1), ("There are ten ships.", 1), ("1", 0), ("B", 1), ("(C) 12",
        2), ("none", None),
        ("about 1.5", None), ("1,000", None), ("10 or 12", None), ("11", None),
    ],
)  # fmt: skip
def test_options_that_are_numbers(answer, index):
    assert read_choice(answer, ["1", "10", "12", "7"]).only == index


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("Yes", 0), ("yes, there is", 0), ("No, there's no road", 1), ("No.", 1), ("True", 0), ("A", 0), ("B. No", 1), ("Answer: no", 1),
        ("yes or no", None), ("Not sure", None), ("Nothing", None),
    ],
)  # fmt: skip
def test_yes_and_no_are_decided_by_the_first_word(answer, index):
    assert read_choice(answer, ["Yes", "No"]).only == index


@pytest.mark.parametrize("answer", ["water", "B", "(b) water", "B. water", "it is water", "Answer: B"])
def test_candidates_with_letters_of_their_own(answer):
    assert read_choice(answer, ["A. road", "B. water", "C. forest"]).only == 1
    assert read_choice(answer, ["(A) road", "(B) water", "(C) forest"]).only == 1


def test_letters_of_their_own_win_over_the_order():
    options = ["C. water", "A. road", "B. forest"]
    assert [read_choice(answer, options).only for answer in ("A", "B", "C", "C. water", "forest")] == [1, 2, 0, 0, 2]


@pytest.mark.parametrize(
    ("answer", "index"), [("2", 1), ("(2)", 1), ("2. water", 1), ("Option 2", 1), ("The answer is 3", 2), ("4", None), ("1, 2", None)]
)
def test_candidates_with_numbers_of_their_own(answer, index):
    assert read_choice(answer, ["1. road", "2. water", "3. forest"]).only == index


def test_an_option_that_is_a_letter_is_read_as_its_text_first():
    assert read_choice("B", ["C", "D", "A", "B"]).only == 3


def test_letters_alone_where_the_options_are_not_known():
    options = list("ABCD")
    said = ["A", "Answer: C", "The answer is C because there is no A", "E", "It is a forest"]
    assert [read_choice(text, options).only for text in said] == [0, 2, 2, None, None]


@pytest.mark.parametrize(
    ("answer", "indices"),
    [
        ("A, C and F", {0, 2, 5}), ("b d", {1, 3}), ("(A), (B).", {0, 1}), ("ACF", {0, 2, 5}), ("- A\n- C", {0, 2}), ("['A', 'C']",
        {0, 2}),
        ("Urban fabric, Moors, heathland and sclerophyllous vegetation", {0, 2}), ("There is mixed forest.", {3}),
        ("mixed forest and forest", {3, 4}),
        ("Answer: A, C", {0, 2}), ("A. Urban fabric, C. Moors, heathland and sclerophyllous vegetation", {0, 2}),
        ("The image shows A and F", {0, 5}),
        ("The image shows urban fabric and arable land, no forest.", {0, 1}), ("A (Urban fabric), F (Inland waters)", {0, 5}),
        ("1. Urban fabric\n2. Forest", {0, 4}), ("deforestation", set()), ("Z", set()), ("I cannot tell.", set()), ("", set()),
    ],
)  # fmt: skip
def test_several_options(answer, indices):
    assert read_choice(answer, LAND, several=True).indices == indices


def test_the_nineteenth_letter_and_the_word_i():
    classes = [f"class {letter}x" for letter in string.ascii_uppercase[:19]]
    assert read_choice("A, I, S", classes, several=True).indices == {0, 8, 18}
    assert read_choice("I think it is A", classes).only == 0


LETTER_FORMS = (
    "{L}", "({L})", "[{L}]", "{L}.", "{L})", "{L}:", "**{L}**", "Answer: {L}", "The answer is {L}.", "the correct option is ({L})",
    "Option {L}",
    "\\boxed{{{L}}}", "<answer>{L}</answer>", "{L}. {text}", "({L}) {text}", "{L}: {text}.", "{text}", "Answer: {text}", "The {text}.",
    "{text} ({L})",
    '{{"answer": "{L}"}}',
)  # fmt: skip
HARMLESS = ("", "\n", "  ", "<think>A, B or C?</think>", "<think>\nIs it the {other}?\n</think>\n")
AFTER = ("", "\n", "<|im_end|>", "</s>", "\nThe picture was taken from above.")
WORDS = ["water", "forest", "sea", "sea ice", "built area", "area", "railway station", "bare land", "crops", "urban fabric"]
options_drawn = st.lists(st.sampled_from(WORDS), min_size=2, max_size=6, unique=True)


@given(options_drawn, st.data(), st.sampled_from(LETTER_FORMS), st.sampled_from(HARMLESS), st.sampled_from(AFTER))
@settings(max_examples=300, deadline=None)
def test_a_choice_in_any_form_is_read_back(options, data, form, before, after):
    index = data.draw(st.integers(0, len(options) - 1))
    said = form.format(L=string.ascii_uppercase[index], text=options[index])
    text = before.format(other=options[index - 1]) + said + after
    for mode in ("strict", "lenient"):
        assert read_choice(text, options, mode=mode) == ReadChoice(frozenset([index])), text


TEN = ("airport", "beach", "bridge", "church", "desert", "farmland", "forest", "harbor", "industrial area", "meadow")
NUMBERS = ("A. 2", "B. 3", "C. 4", "D. 5")


@pytest.mark.parametrize(
    ("text", "options", "index"),
    [
        ("A or B? B.", COVER, 1), ("Not A. B.", COVER, 1), ("Neither A nor B, so C", COVER, 2),
        ("I was torn between A and B, but B is better.", COVER, 1),
        ("B-forest", COVER, 1), ("Die richtige Antwort ist B.", COVER, 1), ("La r\u00e9ponse est B.", COVER, 1),
        ("\u7b54\u6848\u9009B\uff0c\u56e0\u4e3aA\u4e0d\u5bf9", COVER, 1), ("\u4e0d\u662fA\uff0c\u662fB", COVER, 1),
        ("I would eliminate A and C. Of the remaining, B.", COVER, 1), ("I would choose B", TEN, 1),
        ("I would be inclined to pick B.", TEN, 1),
        ("I", TEN, 8), ("The answer is I.", TEN, 8), ("Yes or no? No.", ("Yes", "No"), 1),
        ("2 large and 1 small, so 3 in total", NUMBERS, 1), ("There are 3 ships, so the answer is B.", NUMBERS, 1),
    ],
)  # fmt: skip
def test_what_a_careful_reader_takes_for_the_choice(text, options, index):
    assert read_choice(text, options).only == index


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("The only wrong option is A.", COVER), ("The incorrect answer is: A", COVER), ("The least likely option is D", COVER),
        ("Rule out A, C, D.", COVER), ("Probably B, maybe C.", COVER), ("Plan B", COVER), ("I doubt it's B.", COVER),
        ("Anything but B", COVER), ("I don't think it is B.", COVER), ("I wouldn't choose B", COVER), ("It lies in area C", COVER),
        ("A\u548cB", COVER), ("A\u6216B", COVER), ("Option 3", NUMBERS), ("A. No", ("A. Yes", "B. No")),
        ("No, the answer is Yes", ("Yes", "No")),
        ("More than 3", NUMBERS), ("2 ships and 3 planes", NUMBERS),
    ],
)  # fmt: skip
def test_what_a_careful_reader_leaves_open(text, options):
    assert read_choice(text, options).only is None


@pytest.mark.parametrize("text", ["B", "b.", "(B)", "The answer is B", "Option B", "\\boxed{B}"])
def test_options_that_are_letters_are_called_by_these(text):
    assert read_choice(text, ("B", "D")).only == 0
    assert read_choice(text, ("D", "C", "B")).only == 2
    assert read_choice(text, ("A", "C")).only is None


@given(options_drawn, st.data())
@settings(max_examples=200, deadline=None)
def test_several_letters_are_never_one(options, data):
    indices = data.draw(st.sets(st.integers(0, len(options) - 1), min_size=2))
    form = data.draw(st.sampled_from(["{}", "({})", "{}."]))
    glue = data.draw(st.sampled_from([", ", " and ", " or ", "/", "; ", "\n", ", and "]))
    text = glue.join(form.format(string.ascii_uppercase[index]) for index in sorted(indices))
    read = read_choice(text, options)
    assert (read.indices, read.reason) == (indices, SEVERAL), text
    assert read_choice(text, options, several=True).indices == indices


ANY_TEXT = st.text(max_size=60) | st.text("aAbBcCdDeE.,:;()[]{}*\\ \n'\"-/ not is or and answer", max_size=60)
PHRASES = ("or", "and", "not", "no", "the answer is", "option", "water", "forest", "road", "because", "but", "I", "is correct", "it is")
WORDY = st.lists(st.sampled_from([*"ABCDE().,:\n", *PHRASES]), max_size=14)


@given(ANY_TEXT | WORDY.map(" ".join), st.sampled_from(["strict", "lenient"]), st.booleans())
@settings(max_examples=500, deadline=None)
def test_any_text_gives_options_or_a_reason(text, mode, several):
    read = read_choice(text, COVER, mode=mode, several=several)
    assert read.indices <= {0, 1, 2, 3}
    assert (read.only is None) == bool(read.reason)
    if read.only is not None:
        assert read_choice(string.ascii_uppercase[read.only], COVER).only == read.only


@given(WORDY.map(" ".join))
@settings(max_examples=500, deadline=None)
def test_what_strict_mode_reads_lenient_mode_reads_too(text):
    strict = read_choice(text, COVER, mode="strict")
    if strict.indices:
        assert read_choice(text, COVER) == strict
