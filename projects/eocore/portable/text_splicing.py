"""Pieces of prompt -> token ids and labels, with vision placeholders put in as ids, never tokenised as text."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eocore.portable.chat_templates import BREAK, Piece, defuse
from eocore.portable.messages import IMAGE_PLACEHOLDER, REGION_PLACEHOLDER, Image, Region
from eocore.portable.row_packing import IGNORE
from eocore.portable.vision_layout import SampleError

KNOWN_TEXTS = 4096
"""Most pieces of text whose ids are remembered: template parts and questions come back all the time."""
TOKENIZING = threading.Lock()
"""A tokenizer keeps what a call chooses (`split_special_tokens`) as its own state, so that two calls at once would mix up their choices."""
FILLER_ID = 0
"""Where no token stands for a vision token: every vocabulary has this id, and its embedding is replaced."""


@dataclass(frozen=True, kw_only=True)
class PromptTokens:
    """The special tokens a system's prompts are put together from.

    Attributes:
        image: stands for one vision token; "" = no token of the vocabulary does, and `FILLER_ID` holds its position.
        image_start, image_end: around a block of vision tokens.
        region_start, region_end: around the vision tokens of a region.
        special: all special tokens of the system, which no user may write.
    """

    image: str = ""
    image_start: str = ""
    image_end: str = ""
    region_start: str = ""
    region_end: str = ""
    special: tuple[str, ...] = ()


@dataclass
class _Spliced:
    ids: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    vision: list[Tensor] = field(default_factory=list)
    placeholders: list[Tensor] = field(default_factory=list)
    image_starts: list[int] = field(default_factory=list)
    image_ends: list[int] = field(default_factory=list)
    words: list[Tensor] = field(default_factory=list)
    num_regions: int = 0
    question_starts: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        return sum(map(len, self.ids))

    def begin_question(self) -> None:
        self.question_starts.append(self.length)

    def add(self, ids: Tensor, *, supervised: bool) -> None:
        self.ids.append(ids)
        self.labels.append(ids if supervised else torch.full_like(ids, IGNORE))


class SplicedText(NamedTuple):
    """Tokens of a conversation.

    Attributes:
        input_ids: (L,).
        labels: (L,) ids of supervised tokens, `IGNORE` elsewhere.
        vision_index: (I,) vision token of each placeholder.
        placeholders: (I,) positions of the placeholders.
        image_starts: how many of them (of regions) stand before the images' own, each time that the images are shown.
        question_starts: where each independent question begins; empty: they are one conversation.
        image_ends: position of the first token behind the images, each time that they are shown.
        words: (W,) positions of the words of the user's turns.
    """

    input_ids: Tensor
    labels: Tensor
    vision_index: Tensor
    placeholders: Tensor
    image_starts: list[int]
    question_starts: list[int]
    image_ends: list[int]
    words: Tensor


class TextSplicer:
    """Tokenises with one tokenizer.

    Args:
        tokenizer: holds the special tokens.
        tokens: the special tokens of the system.
        marks: of the chat template, which no user may write either.
    """

    def __init__(self, tokenizer: Any, tokens: PromptTokens, *, marks: Sequence[str] = ()) -> None:
        self.tokenizer = tokenizer
        self.tokens = tokens
        self.image_token_id = known_id(tokenizer, tokens.image) if tokens.image else FILLER_ID
        special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self.guarded = frozenset({*tokens.special, *marks, *special} - {IMAGE_PLACEHOLDER, REGION_PLACEHOLDER})
        vocabulary = tokenizer.get_vocab()
        self._guarded_ids = {vocabulary[token] for token in (*tokens.special, *marks) if token in vocabulary}
        self._known: dict[tuple[str, bool], Tensor] = {}

    def splice(
        self,
        pieces: Sequence[Piece],
        blocks: Sequence[tuple[str, Tensor]],
        *,
        regions: Sequence[tuple[str, Tensor]],
        sample_id: str,
        tokens_apart: int = 0,
    ) -> SplicedText:
        """Tokens of a conversation.

        Args:
            pieces: from `chat_templates.render`.
            blocks: (text before the block, indices of its vision tokens) that together replace the one `<image>`.
            regions: (text before the region, its vision token numbers) of each region, by its index.
            sample_id: for messages.
            tokens_apart: vision tokens that each independent question has of its own, shown by itself; 0: all questions see the same.

        Raises:
            SampleError: placeholders and images or regions are not equally many.
        """
        spliced = _Spliced()
        for piece in pieces:
            if piece.begins_question:
                spliced.begin_question()
            shift = tokens_apart * max(len(spliced.question_starts) - 1, 0)
            self._add(spliced, piece, blocks=_shifted(blocks, shift), regions=_shifted(regions, shift))
        times = max(len(spliced.question_starts), 1) if tokens_apart else 1
        _check_counts(spliced, blocks, regions=regions, sample_id=sample_id, times=times)
        ids, labels, vision = (_joined(parts) for parts in (spliced.ids, spliced.labels, spliced.vision))
        if self.tokens.image and int((ids == self.image_token_id).sum()) != len(vision):
            raise SampleError(
                f"{sample_id}: the text itself holds {self.tokens.image}, which stands for vision tokens alone; they could not be told "
                f"apart. Write {IMAGE_PLACEHOLDER} where the images belong."
            )
        placeholders, words = _joined(spliced.placeholders), _joined(spliced.words)
        return SplicedText(ids, labels, vision, placeholders, spliced.image_starts, spliced.question_starts, spliced.image_ends, words)

    def _add(self, spliced: _Spliced, piece: Piece, *, blocks: Sequence[tuple[str, Tensor]], regions: Sequence[tuple[str, Tensor]]) -> None:
        if isinstance(piece.slot, Image):
            spliced.image_starts.append(sum(len(index) for index in spliced.vision))
            for lead, index in blocks:
                self._add_run(spliced, lead + self.tokens.image_start, index=index, end=self.tokens.image_end)
            spliced.image_ends.append(spliced.length)
        elif isinstance(piece.slot, Region):
            spliced.num_regions += 1
            if piece.slot.index < len(regions):
                lead, index = regions[piece.slot.index]
                self._add_run(spliced, lead + self.tokens.region_start, index=index, end=self.tokens.region_end)
        else:
            ids = self.text_ids(piece.text, trusted=piece.trusted)
            if piece.is_question:
                spliced.words.append(torch.arange(len(ids)) + spliced.length)
            spliced.add(ids, supervised=piece.supervised)

    def _add_run(self, spliced: _Spliced, start: str, *, index: Tensor, end: str) -> None:
        spliced.add(self.text_ids(start, trusted=True), supervised=False)
        spliced.placeholders.append(torch.arange(len(index)) + spliced.length)
        spliced.add(torch.full((len(index),), self.image_token_id), supervised=False)
        spliced.add(self.text_ids(end, trusted=True), supervised=False)
        spliced.vision.append(index)

    def text_ids(self, text: str, *, trusted: bool) -> Tensor:
        """(L,) ids of plain text, not to be changed in place.

        Without trust, special tokens in it are split, so that user text cannot smuggle in [SEG] or chat marks.

        Raises:
            SampleError: the tokenizer makes one all the same.
        """
        key = (text, trusted)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KNOWN_TEXTS:
                self._known.clear()
            self._known[key] = known = torch.tensor(self._trusted_ids(text) if trusted else self._plain_ids(text), dtype=torch.long)
        return known

    def _trusted_ids(self, text: str) -> list[int]:
        return [number for part in text.split(BREAK) for number in self._ids(part)]

    def _plain_ids(self, text: str) -> list[int]:
        parts = defuse(text, self.guarded).split(BREAK)
        ids = [number for part in parts for number in self._ids(part, split_special_tokens=True)]
        found = self._guarded_ids.intersection(ids)
        if found:
            tokens = self.tokenizer.convert_ids_to_tokens(sorted(found))
            raise SampleError(
                f"the tokenizer reads {text[:60]!r} as {', '.join(tokens)}, which only the prompt's frame may hold. Reword it."
            )
        return ids

    def _ids(self, text: str, **choices: bool) -> list[int]:
        if not text:
            return []
        with TOKENIZING:
            return list(self.tokenizer(text, add_special_tokens=False, **choices).input_ids)


def known_id(tokenizer: Any, token: str) -> int:
    """Id of a token. Raises ValueError where the tokenizer has none."""
    number = tokenizer.convert_tokens_to_ids(token)
    if number is None or number == tokenizer.unk_token_id:
        raise ValueError(f"the tokenizer has no token {token}; prepare it with add_special_tokens of the model's system.")
    return int(number)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)) if parts else torch.zeros(0, dtype=torch.long)


def _shifted(blocks: Sequence[tuple[str, Tensor]], shift: int) -> list[tuple[str, Tensor]]:
    return [(lead, index + shift) for lead, index in blocks]


def _check_counts(
    spliced: _Spliced, blocks: Sequence[tuple[str, Tensor]], *, regions: Sequence[tuple[str, Tensor]], sample_id: str, times: int
) -> None:
    """Raise SampleError where images are not shown so many times, or regions not once."""
    num_images = len(spliced.image_starts)
    if num_images != times * bool(blocks) or spliced.num_regions != len(regions):
        raise SampleError(
            f"{sample_id}: the user text holds {num_images} {IMAGE_PLACEHOLDER} and {spliced.num_regions} {REGION_PLACEHOLDER}, "
            f"but there are {len(blocks)} image blocks (one {IMAGE_PLACEHOLDER} stands for all) and {len(regions)} regions; "
            "text and images would be matched wrongly. Correct the text or the images."
        )
