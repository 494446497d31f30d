import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from eocore.portable.chat_templates import IMAGE_PLACEHOLDER, TEMPLATES, get_template, jinja_template, parse_turns, render

TURNS = [
    ("user", "<image>\nWhere is water?"),
    ("assistant", "Here: [SEG]."),
    ("user", "And <region>?"),
    ("assistant", "It's a road.\nA wide one."),
]


class TestRender:
    def test_phi3_chat_is_the_published_prompt(self) -> None:
        text = "".join(piece.text for piece in render([("user", "Hi")], get_template("phi3_chat"), add_generation_prompt=True))
        assert text == "<|user|>\nHi<|end|>\n<|assistant|>\n"

    def test_chatml_is_qwen_s_prompt(self) -> None:
        text = "".join(piece.text for piece in render(TURNS[:3], get_template("chatml"), add_generation_prompt=True))
        assert text == (
            "<|im_start|>user\n<image>\nWhere is water?<|im_end|>\n<|im_start|>assistant\nHere: [SEG].<|im_end|>\n"
            "<|im_start|>user\nAnd <region>?<|im_end|>\n<|im_start|>assistant\n"
        )

    @pytest.mark.parametrize("name", TEMPLATES)
    def test_answers_and_their_end_are_scored_and_nothing_else(self, name: str) -> None:
        template = get_template(name)
        scored = [piece.text for piece in render(TURNS, template) if piece.scored]
        assert scored == [TURNS[1][1] + template.assistant_end, TURNS[3][1] + template.assistant_end]

    def test_user_text_alone_is_not_trusted(self) -> None:
        doubted = [piece.text for piece in render(TURNS, get_template("phi3_chat")) if not piece.trusted]
        assert doubted == [TURNS[0][1], TURNS[2][1]]

    def test_another_role_is_named(self) -> None:
        with pytest.raises(ValueError, match="turn 1: role 'system' is unknown; choices: user, assistant"):
            render([TURNS[0], ("system", "Be brief.")], get_template("chatml"))


def test_an_unknown_template_is_named_with_the_choices() -> None:
    with pytest.raises(ValueError, match="no prompt template 'vicuna'; choices: phi3_chat, chatml"):
        get_template("vicuna")


@pytest.mark.parametrize(
    ("name", "tokens"), [("phi3_chat", ("<|user|>", "<|end|>", "<|assistant|>")), ("chatml", ("<|im_start|>", "<|im_end|>"))]
)
def test_control_tokens_are_the_marks_once_each(name: str, tokens: tuple[str, ...]) -> None:
    assert get_template(name).control_tokens == tokens


@pytest.fixture(scope="module")
def writer() -> PreTrainedTokenizerFast:
    """Writes templates out; its vocabulary does not matter."""
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")), unk_token="[UNK]")


class TestJinjaTemplate:
    """The Hugging Face chat template writes what `render` writes."""

    @pytest.mark.parametrize("name", TEMPLATES)
    @pytest.mark.parametrize("count", [1, 2, 3, 4])
    @pytest.mark.parametrize("opened", [True, False])
    def test_text_is_the_same_at_every_length(self, writer: PreTrainedTokenizerFast, name: str, count: int, opened: bool) -> None:
        messages = [{"role": role, "content": text} for role, text in TURNS[:count]]
        text = writer.apply_chat_template(
            messages, chat_template=jinja_template(get_template(name)), tokenize=False, add_generation_prompt=opened
        )
        assert text == "".join(piece.text for piece in render(TURNS[:count], get_template(name), add_generation_prompt=opened))

    @pytest.mark.parametrize("name", TEMPLATES)
    def test_an_image_part_becomes_the_placeholder(self, writer: PreTrainedTokenizerFast, name: str) -> None:
        content = [{"type": "image"}, {"type": "text", "text": "Where is water?"}]
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": [{"type": "text", "text": "Here."}]}]
        text = writer.apply_chat_template(messages, chat_template=jinja_template(get_template(name)), tokenize=False)
        turns = [("user", f"{IMAGE_PLACEHOLDER}\nWhere is water?"), ("assistant", "Here.")]
        assert text == "".join(piece.text for piece in render(turns, get_template(name)))


class TestParseTurns:
    @pytest.mark.parametrize("name", TEMPLATES)
    def test_it_reverses_render(self, name: str) -> None:
        template = get_template(name)
        dialogue = "".join(piece.text for piece in render(TURNS, template))
        assert parse_turns(dialogue, template) == TURNS
        assert parse_turns(f"{dialogue}\n", template) == TURNS
        assert parse_turns(dialogue.removesuffix(template.assistant_end), template) == TURNS

    def test_nothing_is_no_turns(self) -> None:
        assert parse_turns(" \n", get_template("phi3_chat")) == []

    @pytest.mark.parametrize("dialogue", ["Hi", "<|user|>\nHi<|end|>", "<|user|>\nHi", "<|user|>\nA<|end|>\n<|user|>\nB<|end|>\n"])
    def test_what_is_no_finished_dialogue_is_said(self, dialogue: str) -> None:
        with pytest.raises(ValueError, match="expected a finished dialogue"):
            parse_turns(dialogue, get_template("phi3_chat"))
