"""Texts become typed parts once; after that a text is words, whatever it holds."""

import importlib.util
import sys

import pytest

from eocore.portable import messages
from eocore.portable.messages import (
    Image,
    Region,
    Seg,
    Text,
    Turn,
    about_images,
    as_turns,
    introduced_regions,
    joined,
    read_parts,
    read_turns,
    shifted,
    with_images,
    without_images,
)


def test_questions_show_images_and_regions_and_answers_refer_to_masks() -> None:
    turns = read_turns(["<image>\nWhat are <region> and <region>?", "A lake [SEG], a hill [SEG].", "And <region>?", "Again [SEG]"])
    assert turns[0].parts == (Image(), Text("\nWhat are "), Region(0), Text(" and "), Region(1), Text("?"))
    assert turns[1].parts == (Text("A lake "), Seg(0), Text(", a hill "), Seg(1), Text("."))
    assert turns[2].parts == (Text("And "), Region(2), Text("?")) and turns[3].parts[-1] == Seg(2)


@pytest.mark.parametrize("text", ["", "<image>", "a<region><region>b", "see [SEG]", "<image>\n<image>\nTwo"])
def test_what_is_read_is_written_as_it_was(text: str) -> None:
    assert Turn("user", read_parts(text, "user")).text == text
    assert Turn("assistant", read_parts(text, "assistant")).text == text


def test_each_role_has_its_own_placeholders() -> None:
    assert read_parts("What does [SEG] mean?", "user") == (Text("What does [SEG] mean?"),)
    assert read_parts("An <image>.", "assistant") == (Text("An <image>."),)


def test_messages_of_parts_keep_them_and_texts_after_them_are_numbered_on() -> None:
    asked = Turn("user", (Image(), Text("Is <region> here?"), Region(0)))
    turns = as_turns([asked, ("assistant", "[SEG]"), ("user", "And <region>?")])
    assert turns[0] is asked and turns[2].parts[1] == Region(1)
    with pytest.raises(ValueError, match="turn 1: role 'tool' is unknown; choices: user, assistant, system"):
        as_turns([asked, ("tool", "42")])


def test_a_system_turn_is_words_before_the_first_question() -> None:
    turns = with_images(as_turns([("system", "Never draw [SEG] or <image>."), ("user", "What?")]))
    assert turns[0].parts == (Text("Never draw [SEG] or <image>."),)
    assert turns[1].parts == (Image(), Text("\nWhat?")), "images are shown in the question"
    assert with_images(turns[:1]) == turns[:1]
    with pytest.raises(ValueError, match="turn 1 is a system turn; a conversation has one at most"):
        as_turns([("user", "What?"), Turn("system", (Text("Be brief."),))])


def test_neighbouring_texts_are_one_since_tokenizers_would_part_them() -> None:
    assert joined([Text("a"), Text(""), Text("b"), Seg(0), Text("")]) == (Text("ab"), Seg(0))
    assert about_images(Text("What?")) == (Image(), Text("\nWhat?"))


def test_images_are_put_in_front_only_where_none_is_shown() -> None:
    (turn,) = with_images(read_turns(["What?"]))
    assert turn.text == "<image>\nWhat?" and turn.words == "What?"
    late = read_turns(["Hello", "Hi", "See <image>", "Yes"])
    assert with_images(late) == late and with_images(()) == ()
    assert without_images(turn.parts) == (Text("What?"),)
    assert without_images(read_parts("In <image>, what?", "user")) == (Text("In , what?"),)


def test_turns_that_come_after_others_refer_to_later_masks() -> None:
    turn = Turn("assistant", (Seg(0), Text(" and "), Seg(1)))
    assert shifted(turn, regions=5, masks=2).parts == (Seg(2), Text(" and "), Seg(3))
    assert shifted(Turn("user", (Region(0),)), regions=5, masks=2).parts == (Region(5),)


def test_turns_of_another_copy_of_the_module_become_turns_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers loads a checkpoint's files: once for the model, once for a processor loaded by itself."""
    spec = importlib.util.spec_from_file_location("messages_again", messages.__file__)
    assert spec is not None and spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, again)
    spec.loader.exec_module(again)
    texts = ["<image>\nWhat is <region>?", "A lake [SEG]."]
    foreign = again.read_turns(texts)
    assert not isinstance(foreign[0], Turn)
    assert as_turns(foreign) == read_turns(texts)


def test_regions_are_introduced_by_name_and_counted_on() -> None:
    assert introduced_regions(2, first=3) == (
        Text("There are 2 part regions in the picture: region1"),
        Region(3),
        Text(", region2"),
        Region(4),
        Text("."),
    )
    assert introduced_regions(1, introduction="{regions} of {count}") == (Text("region1"), Region(0), Text(" of 1"))
