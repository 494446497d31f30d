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


@dataclass(frozen=True, kw_only=True)
class PromptTokens:
    """The special tokens a system's prompts are put together from.

    Attributes:
        image: stands for one vision token.
        image_start, image_end: around a block of vision tokens.
        region_start, region_end: around the vision tokens of a region.
        special: all special tokens of the system, which no user may write.
    """

    image: str
    image_start: str
    image_end: str
    region_start: str
    region_end: str
    special: tuple[str, ...]


@dataclass
class _Spliced:
    ids: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    vision: list[Tensor] = field(default_factory=list)
    image_start: int = 0
    num_images: int = 0
    num_regions: int = 0
    question_starts: list[int] = field(default_factory=list)

    def begin_question(self) -> None:
        self.question_starts.append(sum(map(len, self.ids)))

    def add(self, ids: Tensor, *, supervised: bool) -> None:
        self.ids.append(ids)
        self.labels.append(ids if supervised else torch.full_like(ids, IGNORE))


class SplicedText(NamedTuple):
    """Tokens of a conversation.

    Attributes:
        input_ids: (L,).
        labels: (L,) ids of supervised tokens, `IGNORE` elsewhere.
        vision_index: (I,) vision token of each placeholder.
        image_start: how many of them (of regions) stand before the image's own.
        question_starts: where each independent question begins; empty: they are one conversation.
    """

    input_ids: Tensor
    labels: Tensor
    vision_index: Tensor
    image_start: int
    question_starts: list[int]


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
        self.image_token_id = int(tokenizer.convert_tokens_to_ids(tokens.image))
        special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self.guarded = frozenset({*tokens.special, *marks, *special} - {IMAGE_PLACEHOLDER, REGION_PLACEHOLDER})
        vocabulary = tokenizer.get_vocab()
        self._guarded_ids = {vocabulary[token] for token in (*tokens.special, *marks) if token in vocabulary}
        self._known: dict[tuple[str, bool], Tensor] = {}

    def splice(
        self, pieces: Sequence[Piece], blocks: Sequence[tuple[str, Tensor]], *, regions: Sequence[Tensor], sample_id: str
    ) -> SplicedText:
        """Tokens of a conversation.

        Args:
            pieces: from `chat_templates.render`.
            blocks: (text before the block, indices of its vision tokens) that together replace the one `<image>`.
            regions: vision token numbers of each region, by its index.
            sample_id: for messages.

        Raises:
            SampleError: placeholders and images or regions are not equally many.
        """
        spliced = _Spliced()
        for piece in pieces:
            if piece.begins_question:
                spliced.begin_question()
            self._add(spliced, piece, blocks=blocks, regions=regions)
        _check_counts(spliced, blocks, regions=regions, sample_id=sample_id)
        ids, labels, vision = (_joined(parts) for parts in (spliced.ids, spliced.labels, spliced.vision))
        if int((ids == self.image_token_id).sum()) != len(vision):
            raise SampleError(
                f"{sample_id}: the text itself holds {self.tokens.image}, which stands for vision tokens alone; they could not be told "
                f"apart. Write {IMAGE_PLACEHOLDER} where the images belong."
            )
        return SplicedText(ids, labels, vision, spliced.image_start, spliced.question_starts)

    def _add(self, spliced: _Spliced, piece: Piece, *, blocks: Sequence[tuple[str, Tensor]], regions: Sequence[Tensor]) -> None:
        if isinstance(piece.slot, Image):
            spliced.num_images += 1
            spliced.image_start = sum(len(index) for index in spliced.vision)
            for lead, index in blocks:
                self._add_run(spliced, lead + self.tokens.image_start, index=index, end=self.tokens.image_end)
        elif isinstance(piece.slot, Region):
            spliced.num_regions += 1
            if piece.slot.index < len(regions):
                self._add_run(spliced, self.tokens.region_start, index=regions[piece.slot.index], end=self.tokens.region_end)
        else:
            spliced.add(self.text_ids(piece.text, trusted=piece.trusted), supervised=piece.supervised)

    def _add_run(self, spliced: _Spliced, start: str, *, index: Tensor, end: str) -> None:
        spliced.add(self.text_ids(start, trusted=True), supervised=False)
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


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)) if parts else torch.zeros(0, dtype=torch.long)


def _check_counts(spliced: _Spliced, blocks: Sequence[tuple[str, Tensor]], *, regions: Sequence[Tensor], sample_id: str) -> None:
    if spliced.num_images != int(bool(blocks)) or spliced.num_regions != len(regions):
        raise SampleError(
            f"{sample_id}: the user text holds {spliced.num_images} {IMAGE_PLACEHOLDER} and {spliced.num_regions} {REGION_PLACEHOLDER}, "
            f"but there are {len(blocks)} image blocks (one {IMAGE_PLACEHOLDER} stands for all) and {len(regions)} regions; "
            "text and images would be matched wrongly. Correct the text or the images."
        )
