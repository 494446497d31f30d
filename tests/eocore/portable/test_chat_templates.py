import pytest
from jinja2 import TemplateError
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

from eocore.portable.chat_templates import (
    BREAK,
    Template,
    choose_template,
    get_template,
    parse_prompt,
    parse_turns,
    read_template,
    render,
    template_names,
)
from eocore.portable.messages import IMAGE_PLACEHOLDER, Image, Region, Seg, Text, Turn

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

    @pytest.mark.parametrize("name", template_names())
    def test_answers_and_their_end_are_supervised_and_nothing_else(self, name: str) -> None:
        template = get_template(name)
        supervised = [piece.text for piece in render(TURNS, template) if piece.supervised]
        assert supervised == [TURNS[1][1] + template.assistant_end, TURNS[3][1] + template.assistant_end]

    def test_user_text_alone_is_not_trusted(self) -> None:
        doubted = [(piece.text, piece.slot) for piece in render(TURNS, get_template("phi3_chat")) if not piece.trusted]
        assert doubted == [("<image>", Image()), ("\nWhere is water?", None), ("And ", None), ("<region>", Region(0)), ("?", None)]

    def test_texts_are_words_whatever_they_hold(self) -> None:
        asked = Turn("user", (Image(), Text("\nWhat does <image> or <region> mean?")))
        answered = Turn("assistant", (Text("Not [SEG] but "), Seg(0)))
        pieces = render([asked, answered], get_template("phi3_chat"), seg_token="<mask>")
        assert [piece.slot for piece in pieces] == [None, Image(), None, None, None, None]
        assert pieces[2].text == "\nWhat does <image> or <region> mean?" and pieces[-1].text == "Not [SEG] but <mask><|end|>"
        literal = render([asked, Turn("assistant", (Text("a literal [SEG]"),))], get_template("phi3_chat"))[-1].text
        assert literal == f"a literal [{BREAK}SEG]<|end|>"

    def test_another_role_is_named(self) -> None:
        with pytest.raises(ValueError, match="turn 1: role 'tool' is unknown; choices: user, assistant, system"):
            render([TURNS[0], ("tool", "Be brief.")], get_template("chatml"))


class TestSystemTurns:
    WITH_SYSTEM = (
        get_template("chatml")
        .text.replace(
            "{%- else -%}\n    {{- raise_exception",
            "{%- elif message['role'] == 'system' -%}\n    {{- '<|im_start|>system\\n' ~ message['content'] ~ '<|im_end|>\\n' -}}\n"
            "  {%- else -%}\n    {{- raise_exception",
        )
        .replace("if loop.first else", "if loop.first or loop.previtem['role'] == 'system' else")
    )
    """ChatML with system turns."""
    DEFAULT = WITH_SYSTEM.replace(
        "{%- for message in messages -%}",
        "{%- if messages[0]['role'] != 'system' -%}{{- '<|im_start|>system\\nYou are a helper.<|im_end|>\\n' -}}{%- endif -%}"
        "{%- for message in messages -%}",
    )
    """The same with words of its own where there is none, as Qwen 2.5."""
    BRACKETS = (
        "{{ '<s>' }}{% for m in messages %}{% if m['role'] == 'system' %}{{ '<<SYS>>' + m['content'] + '<</SYS>>' }}"
        "{% elif m['role'] == 'user' %}{{ '[Q]' + m['content'] + '[/Q]' }}"
        "{% else %}{{ '[A]' }}{% generation %}{{ m['content'] + '</s>' }}{% endgeneration %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '[A]' }}{% endif %}"
    )
    """Marks of another kind."""
    DROPPING = BRACKETS.replace("{{ '<<SYS>>' + m['content'] + '<</SYS>>' }}", "")
    """Passes over system turns."""

    @pytest.mark.parametrize("text", [WITH_SYSTEM, DEFAULT, BRACKETS], ids=["chatml", "default", "brackets"])
    def test_the_turn_is_written_as_the_template_does_and_read_back(self, text: str) -> None:
        template = read_template(text)
        turns = [("system", "Say <image> in [SEG] words."), *TURNS]
        pieces = render(turns, template, add_generation_prompt=True)
        messages = [{"role": role, "content": content} for role, content in turns]
        whole = render_jinja_template([messages], chat_template=text, add_generation_prompt=True)[0][0]
        assert "".join(piece.text for piece in pieces) == whole and "Say <image> in [SEG] words." in whole
        told = [piece for piece in pieces if piece.text == "Say <image> in [SEG] words."]
        assert [(piece.trusted, piece.supervised, piece.slot) for piece in told] == [(False, False, None)], "words alone"
        found = [(piece.text, piece.trusted, piece.slot) for piece in parse_prompt(whole, template) if not piece.supervised]
        assert (told[0].text, False, None) in found and "".join(text for text, *_ in found) == whole

    def test_words_of_the_template_stay_where_no_turn_replaces_them(self) -> None:
        template = read_template(self.DEFAULT)
        assert template.prefix == "<|im_start|>system\nYou are a helper.<|im_end|>"
        assert template.system == (
            "<|im_start|>system\n",
            "<|im_end|>",
        )
        whole = "".join(piece.text for piece in render(TURNS[:1], template))
        assert whole.startswith(template.prefix) and parse_prompt(whole, template)[0].trusted
        assert "helper" not in "".join(piece.text for piece in render([("system", "Be brief."), *TURNS], template))

    @pytest.mark.parametrize("text", [get_template("chatml").text, get_template("phi3_chat").text, DROPPING])
    def test_a_template_without_them_refuses(self, text: str) -> None:
        with pytest.raises(
            ValueError, match=r"no system turn, so that one would be lost\. Put what it says in front of the first question"
        ):
            render([("system", "Be brief."), *TURNS], read_template(text))

    @pytest.mark.parametrize("turns", [[TURNS[0], TURNS[1], ("system", "a")], [("system", "a"), ("system", "b"), TURNS[0]]])
    def test_one_at_the_beginning_at_most(self, turns: list[tuple[str, str]]) -> None:
        with pytest.raises(ValueError, match=r"turn [12] is a system turn; a conversation has one at most, at its beginning. Put"):
            render(turns, read_template(self.WITH_SYSTEM))


def test_an_unknown_template_is_named_with_the_choices() -> None:
    with pytest.raises(ValueError, match="no prompt template 'vicuna'; choices: chatml, llama2_chat, phi3_chat, plain"):
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

    @pytest.mark.parametrize("name", template_names())
    @pytest.mark.parametrize("count", [1, 2, 3, 4])
    @pytest.mark.parametrize("opened", [True, False])
    def test_text_is_the_same_at_every_length(self, writer: PreTrainedTokenizerFast, name: str, count: int, opened: bool) -> None:
        messages = [{"role": role, "content": text} for role, text in TURNS[:count]]
        text = writer.apply_chat_template(messages, chat_template=get_template(name).text, tokenize=False, add_generation_prompt=opened)
        assert text == "".join(piece.text for piece in render(TURNS[:count], get_template(name), add_generation_prompt=opened))

    @pytest.mark.parametrize("name", template_names())
    def test_an_image_part_becomes_the_placeholder(self, writer: PreTrainedTokenizerFast, name: str) -> None:
        content = [{"type": "image"}, {"type": "text", "text": "Where is water?"}]
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": [{"type": "text", "text": "Here."}]}]
        text = writer.apply_chat_template(messages, chat_template=get_template(name).text, tokenize=False)
        if name == "question_answer":  # the image stands before all text
            assert text == f"{IMAGE_PLACEHOLDER}Question:Where is water?\nAnswer:Here.<|endoftext|>"
            return
        between = "" if name == "plain" else "\n"  # an image and its caption alone
        turns = [("user", f"{IMAGE_PLACEHOLDER}{between}Where is water?"), ("assistant", "Here.")]
        assert text == "".join(piece.text for piece in render(turns, get_template(name)))


class TestParseTurns:
    @pytest.mark.parametrize("name", ["phi3_chat", "chatml"])
    def test_it_reverses_render(self, name: str) -> None:
        template = get_template(name)
        dialogue = "".join(piece.text for piece in render(TURNS, template))
        assert parse_turns(dialogue, template) == TURNS
        assert parse_turns(f"{dialogue}\n", template) == TURNS
        assert parse_turns(dialogue.removesuffix(template.assistant_end), template) == TURNS

    @pytest.mark.parametrize("name", ["llama2_chat", "plain"])
    def test_a_format_without_marks_of_questions_is_named(self, name: str) -> None:
        with pytest.raises(ValueError, match="puts no mark before a question"):
            parse_turns("Where? [/INST] There. </s>", get_template(name))

    def test_nothing_is_no_turns(self) -> None:
        assert parse_turns(" \n", get_template("phi3_chat")) == []

    @pytest.mark.parametrize("dialogue", ["Hi", "<|user|>\nHi<|end|>", "<|user|>\nHi", "<|user|>\nA<|end|>\n<|user|>\nB<|end|>\n"])
    def test_what_is_no_finished_dialogue_is_said(self, dialogue: str) -> None:
        with pytest.raises(ValueError, match="expected a finished dialogue"):
            parse_turns(dialogue, get_template("phi3_chat"))


class TestReadTemplate:
    """The jinja text is the only definition of a format: its marks are found by rendering it."""

    def test_marks_of_the_upstream_prompt(self) -> None:
        template = get_template("phi3_chat")
        marks = ("", "<|user|>\n", "<|end|>\n", "<|assistant|>\n", "<|end|>", "\n")
        assert template == Template(template.text, *marks)

    def test_a_text_before_the_first_turn(self) -> None:
        text = (
            "{{ '<s>Be brief. ' }}{% for m in messages %}{% if m['role'] == 'user' %}{{ 'USER: ' + m['content'] + ' ' }}"
            "{% else %}{{ 'ASSISTANT: ' }}{% generation %}{{ m['content'] + '</s>' }}{% endgeneration %}{% endif %}{% endfor %}"
            "{% if add_generation_prompt %}{{ 'ASSISTANT: ' }}{% endif %}"
        )
        template = read_template(text)
        assert template == Template(text, "<s>Be brief. ", "USER: ", " ", "ASSISTANT: ", "</s>", "")
        pieces = render(TURNS, template)
        assert "".join(piece.text for piece in pieces).startswith("<s>Be brief. USER: <image>")
        found = [(piece.text, piece.trusted) for piece in parse_prompt("".join(piece.text for piece in pieces), template)]
        assert found == [(piece.text, piece.trusted) for piece in pieces]

    def test_a_template_that_does_not_say_what_is_generated(self) -> None:
        with pytest.raises(ValueError, match=r"needs a \{% generation %\} block around each answer"):
            read_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")

    def test_turns_that_are_framed_in_different_ways(self) -> None:
        text = get_template("chatml").text.replace("{%- if add_generation_prompt -%}", "{{- 'Bye.' -}}{%- if add_generation_prompt -%}")
        with pytest.raises(ValueError, match="frames turns of one role in different ways"):
            read_template(text)


class TestChooseTemplate:
    OLD = (
        "{% for message in messages %}{% if message['role'] == 'user' %}{% if not loop.first %}{{ '\\n' }}{% endif %}"
        "{{ '<|user|>\\n' }}{{ message['content'] }}{{ '<|end|>\\n' }}{% elif message['role'] == 'assistant' %}"
        "{{ '<|assistant|>\\n' }}{{ message['content'] }}{{ '<|end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
    )
    """As folders of earlier versions hold it."""

    def test_the_text_of_a_folder_counts(self) -> None:
        text = get_template("chatml").text.replace("<|im_end|>", "<|done|>")
        assert choose_template("phi3_chat", text).assistant_end == "<|done|>"
        assert choose_template("any name", text).assistant_end == "<|done|>"

    def test_a_folder_of_an_earlier_version_has_its_named_template(self) -> None:
        assert choose_template("phi3_chat", self.OLD) == choose_template("phi3_chat", None) == get_template("phi3_chat")

    def test_an_older_text_that_is_not_the_named_template(self) -> None:
        with pytest.raises(ValueError, match=r"does not say what the model generates, and it is not the template 'chatml'. Put"):
            choose_template("chatml", self.OLD)


@pytest.mark.parametrize("name", [name for name in template_names() if name != "llama2_chat"])
def test_another_role_is_refused_in_messages_too(writer: PreTrainedTokenizerFast, name: str) -> None:
    with pytest.raises(TemplateError, match="role 'system' is unknown; choices: user, assistant"):
        writer.apply_chat_template([{"role": "system", "content": "a"}], chat_template=get_template(name).text, tokenize=False)


@pytest.mark.parametrize("name", template_names())
def test_the_generation_block_marks_what_is_supervised(name: str) -> None:
    template = get_template(name)
    messages = [{"role": role, "content": text} for role, text in TURNS]
    (text,), (spans,) = render_jinja_template([messages], chat_template=template.text, return_assistant_tokens_mask=True)
    assert [text[start:end] for start, end in spans] == [piece.text for piece in render(TURNS, template) if piece.supervised]
