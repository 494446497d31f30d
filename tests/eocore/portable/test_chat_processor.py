from pathlib import Path

import pytest
from image_chat import NUM_EMBEDDINGS, Options, Processor, make_tokenizer

from eocore.portable.messages import as_turns
from eocore.portable.text_splicing import FILLER_ID
from eocore.portable.vision_layout import SampleError

TURNS = [("user", "<image>\nWhat?"), ("assistant", "water"), ("user", "And?")]


@pytest.mark.parametrize("template", ["llama2_chat", "chatml"])
def test_a_prompt_as_text_is_encoded_as_its_turns(template: str) -> None:
    processor = Processor(make_tokenizer(), Options(template=template))
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": "water"},
        {"role": "user", "content": "And?"},
    ]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    pieces = processor._prompt_pieces(text, has_images=True)
    from_text = processor.encode_pieces(pieces, num_embeddings=NUM_EMBEDDINGS, sample_id="")
    assert from_text.input_ids.tolist() == processor.encode(TURNS, has_image=True, for_generation=True).input_ids.tolist()


def test_llama2_chat_is_written_as_published() -> None:
    processor = Processor(make_tokenizer(), Options(template="llama2_chat"))
    written = processor.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True, tokenize=False)
    assert written.startswith("<s>[INST] <<SYS>>\nYou are a helpful language and vision assistant.")
    assert written.endswith("using natural language.\n<</SYS>>\n\nHi [/INST] ")
    own = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]
    assert processor.apply_chat_template(own, tokenize=False) == "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Yes. </s>"


def test_an_image_without_a_position_is_shown_first() -> None:
    processor = Processor(make_tokenizer())
    encoded = processor.encode_pieces(processor._prompt_pieces("What?", has_images=True), num_embeddings=NUM_EMBEDDINGS, sample_id="")
    assert encoded.placeholders.tolist() == [0, 1, 2] and encoded.input_ids[:3].tolist() == [FILLER_ID] * 3
    assert processor.tokenizer.decode(encoded.input_ids[3:]) == "\nWhat?"


def test_placeholders_need_no_token_and_the_filler_may_stand_in_the_text() -> None:
    processor = Processor(make_tokenizer())
    encoded = processor.encode([("user", "a<pad>b")], has_image=False, for_generation=True)
    assert len(encoded.placeholders) == 0
    with pytest.raises(SampleError, match="holds 0 <image>"):
        processor.encode([("user", "no image here")], has_image=True)


def test_answers_may_not_hold_what_frames_turns() -> None:
    processor = Processor(make_tokenizer())
    with pytest.raises(SampleError, match=r"an answer holds <\|im_end\|>"):
        processor._check_answers(as_turns([("user", "a"), ("assistant", "b<|im_end|>")]), "r")
    with pytest.raises(SampleError, match="independent questions are for training"):
        processor._render(as_turns(TURNS), True, for_generation=True)


def test_it_comes_back_from_its_folder(tmp_path: Path) -> None:
    processor = Processor(make_tokenizer(), Options(template="llama2_chat"))
    processor.save_pretrained(tmp_path)
    again = Processor.from_pretrained(tmp_path)
    assert again.options == processor.options and again.chat_format == processor.chat_format
    assert again.end_of_turn == " </s>" and again.pad_token_id == 0
