"""Streamed answers on a real tokenizer, token by token."""

from typing import Any

import pytest
import torch

from eocore.predict.streaming import AnswerStreamer

END = "<|end|>"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Bytes as tokens, so that every mark comes in pieces."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core)


def stream(tokenizer: Any, answer: str, *, ends: tuple[str, ...] = (END,)) -> list[str]:
    pieces: list[str] = []
    streamer = AnswerStreamer(tokenizer, pieces.append, ends=ends)
    streamer.put(torch.tensor([tokenizer("the prompt").input_ids]))
    for token in tokenizer(answer).input_ids:
        streamer.put(torch.tensor([token]))
    streamer.end()
    return pieces


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (f"A lake and a road.{END}", "A lake and a road."),
        (f"  A lake{END} and more", "A lake"),
        ("a < b and <|e", "a < b and <|e"),
        (f"Äcker, 森林{END}", "Äcker, 森林"),
        (END, ""),
        ("", ""),
    ],
)
def test_an_answer_is_written_up_to_its_end(tokenizer: Any, answer: str, text: str) -> None:
    assert "".join(stream(tokenizer, answer)) == text


def test_it_comes_in_pieces_before_it_is_complete(tokenizer: Any) -> None:
    assert len(stream(tokenizer, f"one two three four{END}")) >= 4


def test_the_first_of_several_endings_counts(tokenizer: Any) -> None:
    assert "".join(stream(tokenizer, f"yes<eos>no{END}", ends=(END, "<eos>"))) == "yes"
