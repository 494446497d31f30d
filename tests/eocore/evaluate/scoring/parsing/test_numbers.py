"""Numbers as models and annotation files write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eocore.evaluate.scoring.parsing.numbers import Number, find_number, read_number, replace_number_words

WHOLE = {
    2: ["2", "2.0", "2.", "two", "Two.", " 2 ", "**2**", "about 2", "~2", "\uff12", "+2", "2.00"],
    1200: ["1,200", "1 200", "1'200", "1200", "1.2e3", "1200.0", "one thousand two hundred", "1\u202f200", "twelve hundred"],
    21: ["21", "twenty-one", "twenty one"],
    105: ["one hundred and five", "a hundred and five"],
    12: ["a dozen", "dozen", "twelve"],
    6: ["half a dozen", "six"],
    -3: ["-3", "\u22123"],
    0.5: ["0.5", ".5", "5e-1"],
    0: ["0", "zero", "0.0"],
}


@pytest.mark.parametrize(("value", "text"), [(value, text) for value, texts in WHOLE.items() for text in texts])
def test_whole_texts(value, text):
    assert read_number(text) == Number(value)
    assert find_number(text) == Number(value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3.5 km\u00b2", Number(3.5, "km2")), ("1520m2", Number(1520, "m2")), ("20 000 m2", Number(20000, "m2")), ("50%",
        Number(50, "%")),
        ("50 per cent", Number(50, "%")), ("ten metres", Number(10, "m")), ("2.5 hectares", Number(2.5, "ha")),
    ],
)  # fmt: skip
def test_units(text, number):
    assert read_number(text) == number


def test_units_must_agree_where_both_are_stated():
    assert Number(3, "m2").equals(Number(3))
    assert not Number(3, "m2").equals(Number(3, "km2"))
    assert Number(0.1 + 0.2).equals(Number(0.3))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "many",
        "10-20",
        "10 to 20",
        "2 or 3",
        "1,5",
        "12,34",
        "1.2.3",
        "\u00bd",
        "5/6",
        "8:30",
        "2nd",
        "10\u00b2",
        "two three",
        "two buildings",
        "1e999",
    ],
)
def test_what_is_no_number(text):
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("two buildings", 2), ("There are 3 buildings", 3), ("There is 1 ship.", 1), ("3 buildings (2 large, 1 small)", 3),
        ("I count 7 cars", 7),
        ("The answer is 4, 2 of them red", 4), ("The total number of ships is 7 in 2 harbours", 7), ("This one shows 3", 3),
        ("Answer: 12", 12),
        ("approximately 1,000 houses", 1000), ("Sentinel-2 shows 5", 5), ("none", 0), ("no ships", 0), ("There are no ships.", 0),
        ("10 ships", 10),
        ("2 or 3", None), ("10-20", None), ("between 10 and 20", None), ("five to six", None), ("dozens of ships", None), ("No",
        None), ("no idea", None),
        ("There is no way to tell", None), ("several", None), ("2nd floor", None), ("5/6", None), ("I count 3, maybe 4", None),
    ],
)  # fmt: skip
def test_numbers_in_sentences(text, value):
    found = find_number(text)
    assert (found and found.value) == value if value is not None else found is None


@pytest.mark.parametrize(
    "text",
    [
        "more than 10", "There are at least 3 ships", "over 100", "fewer than five", "up to 7", "10+", ">10", "\u22655",
        "5\u00b11", "20-ish",
        "10 or more", "10 ships or more", "no more than two", "The answer is more than 5", "not 3", "minus three", "\u8d85\u8fc710\u8258",
        "4\u52305\u8258", "4~5", "2 ships and 3 planes", "There are 2 large and 1 small ship", "1. Ship at the top\n2. Ship at the bottom",
        "There is no ship, but 2 planes.",
    ],
)  # fmt: skip
def test_bounds_ranges_and_counts_of_several_things_are_no_number(text):
    assert find_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 large and 1 small, so 3 in total", 3), ("2 on the left and 1 on the right. Total: 3", 3), ("2 + 1 = 3", 3),
        ("2.5 million", 2.5e6),
        ("3 hundred", 300), ("2 dozen houses", 24), ("There aren't any ships.", 0), ("I don't see any ships in this image.", 0),
        ("\u56fe\u4e2d\u67094\u8258\u8239\u3002", 4), ("4 or so", 4), ("In 2019, there were 3 ships", 3),
        ("Based on the 10 m resolution image, there are 4 ships.", 4), ("There is no cloud. There are 3 ships.", 3),
        ("1. Ship at the top\n2. Ship at the bottom\n\nTotal: 2", 2), ("There are 2 ships, 1 of which is large.", 2),
    ],
)  # fmt: skip
def test_totals_scales_and_denials(text, value):
    assert find_number(text) == Number(value)


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("How many ships are there?", 2), ("How many planes are in the image?", 3), ("Count the planes.", 3),
        ("What is the number of visible buses?", 4), ("How many churches can you see?", 0), ("How many cars are there?", None), ("", None),
    ],
)  # fmt: skip
def test_the_question_tells_which_number_is_meant(question, value):
    found = find_number("There are 2 ships and 3 large planes, 4 buses, but no churches.", question)
    assert (found and found.value) == value if value is not None else found is None


def test_a_denial_of_what_is_asked_is_zero():
    assert find_number("There is no ship, but 2 planes.", "How many ships are there?") == Number(0)
    assert find_number("There is no ship, but 2 planes.", "How many planes are there?") == Number(2)
    assert find_number("Three airplanes and one helicopter.", "How many airplanes?") == Number(3)
    for text in ("There are more than 2 ships and 3 planes.", "2 ships, possibly 3", "Two (maybe three) ships", "one or two ships"):
        assert find_number(text, "How many ships are there?") is None, text


def test_words_become_digits():
    assert replace_number_words("Twenty-one ships, two hundred and three cars, one-way road") == "21 ships, 203 cars, one-way road"
    assert replace_number_words("two three") == "two three"


def in_words(number: int) -> str:
    """Written out, up to 999,999, by rules of their own."""
    small = ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen"]
    small += ["fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
    tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    if number >= 1000:
        return f"{in_words(number // 1000)} thousand {in_words(number % 1000)}".strip()
    if number >= 100:
        return f"{small[number // 100]} hundred {in_words(number % 100)}".strip()
    return small[number] if number < 20 else f"{tens[number // 10]}-{small[number % 10]}".strip("-")


FORMS = (str, "{:,}".format, "{:.1f}".format, "{:.6e}".format, in_words)
AROUND = (
    "{}",
    " {} ",
    "{}.",
    "**{}**",
    "about {}",
    "There are {} ships.",
    "{} ships",
    "Answer: {}",
    "The answer is {}.",
    "\n{}\n",
    "{} km",
)


@given(st.integers(1, 999_999), st.sampled_from(FORMS), st.sampled_from(AROUND))
@settings(max_examples=400, deadline=None)
def test_a_number_in_any_form_is_read_back(number, form, around):
    found = find_number(around.format(form(number)))
    assert found is not None
    assert found.value == number


@given(st.integers(-10_000, 10_000) | st.floats(-1e6, 1e6).map(lambda value: round(value, 3)))
@settings(max_examples=200, deadline=None)
def test_json_numbers_equal_their_text(number):
    read = read_number(str(number))
    assert read is not None
    assert read.equals(Number(float(number)))
    again = read_number(f"{read.value!r}")
    assert again == read


@given(st.text(max_size=40) | st.text("0123456789,.-+e %km/ two three hundred and a or", max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_text_gives_a_finite_number_or_none(text):
    whole, found = read_number(text), find_number(text)
    assert whole is None or (whole == found and abs(whole.value) < 1e15)
    assert replace_number_words(replace_number_words(text)) == replace_number_words(text)
