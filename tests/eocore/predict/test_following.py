from typing import Any

import pytest
import torch

from eocore.predict.following import BatchFollower, FollowedRow

LETTERS = "abcdefghij .|>"
END = "|>"
PAD = LETTERS.index(">")


class Letters:
    """A tokenizer of letters."""

    eos_token, eos_token_id, pad_token_id = None, None, PAD

    def decode(self, ids: Any, **_: Any) -> str:
        return "".join(LETTERS[int(number)] for number in ids)


class Processor:
    tokenizer, end_of_turn = Letters(), END


def ids(text: str) -> list[int]:
    return [LETTERS.index(letter) for letter in text]


def follow(texts: list[str], rows: list[FollowedRow], *, is_late: bool = False) -> list[list[bool]]:
    """Feeds prompts and letters as `generate` does; `is_late` asks for the stop before the token is handed on."""
    follower = BatchFollower(rows, Processor())
    follower.put(torch.tensor([ids(">ab")] * len(texts)))
    stopped = []
    for letters in zip(*texts, strict=True):
        tokens = torch.tensor(ids("".join(letters)))
        if is_late:
            stopped.append(follower(torch.zeros(len(texts), 1), None).tolist())
        follower.put(tokens)
        if not is_late:
            stopped.append(follower(torch.zeros(len(texts), 1), None).tolist())
    follower.end()
    return stopped


@pytest.mark.parametrize("is_late", [False, True])
def test_each_row_ends_at_its_own_length(is_late: bool) -> None:
    written: list[list[str]] = [[], []]
    rows = [FollowedRow(write=pieces.append, limit=limit) for pieces, limit in zip(written, (3, 6), strict=True)]
    stopped = follow(["a b c ", "d e f "], rows, is_late=is_late)
    assert ["".join(pieces).strip() for pieces in written] == ["a b", "d e f"]
    assert [row.num_tokens for row in rows] == [3, 6] and [row.finish for row in rows] == ["length", "length"]
    assert [step[0] for step in stopped] == [False, False, True, True, True, True] and stopped[-1] == [True, True]


def test_ends_and_stop_texts_end_a_row_and_are_not_written() -> None:
    written: list[list[str]] = [[], []]
    rows = [FollowedRow(write=written[0].append, limit=50), FollowedRow(write=written[1].append, limit=50, stops=("e f",))]
    follow(["a b|> a ", "d e f a "], rows)
    assert ["".join(pieces).strip() for pieces in written] == ["a b", "d"]
    assert [row.finish for row in rows] == ["stop", "stop"]


def test_a_cancelled_row_ends_alone() -> None:
    rows = [FollowedRow(write=lambda _: None, limit=50, is_cancelled=lambda: True), FollowedRow(write=lambda _: None, limit=50)]
    assert follow(["a b ", "a b "], rows)[0] == [True, False]
    assert [row.finish for row in rows] == ["cancelled", "stop"]


def test_padding_is_no_part_of_a_prompt() -> None:
    row = FollowedRow(write=lambda _: None, limit=5)
    follow(["a"], [row])
    assert row.num_prompt_tokens == 2
