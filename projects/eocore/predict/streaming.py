"""An answer written out while it is generated."""

from collections.abc import Callable, Sequence
from typing import Any

from transformers import TextStreamer


class AnswerStreamer(TextStreamer):
    """Hands on the text of one answer word by word, up to what ends it.

    Args:
        tokenizer: of the model; special tokens such as [SEG] are kept.
        write: is called with each piece of text.
        ends: texts that end an answer and do not belong to it; they may come in several pieces.
    """

    def __init__(self, tokenizer: Any, write: Callable[[str], None], *, ends: Sequence[str] = ()) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=False)
        self._write, self._ends = write, tuple(filter(None, ends))
        self._held = ""
        self._begun = self._ended = False

    @property
    def has_ended(self) -> bool:
        """Whether what ends the answer has been written."""
        return self._ended

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Writes what is certain to belong to the answer; the end of `text` is held back where an ending may begin in it."""
        if self._ended:
            return
        self._held += text
        found = [self._held.index(end) for end in self._ends if end in self._held]
        if found:
            ready, self._held, self._ended = self._held[: min(found)], "", True
        else:
            kept = 0 if stream_end else self._uncertain()
            ready, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        if not self._begun:
            ready = ready.lstrip()
        if ready:
            self._begun = True
            self._write(ready)

    def _uncertain(self) -> int:
        """Length of the longest end of the held text that is the beginning of an ending; white space before it counts too."""
        lengths = [length for end in self._ends for length in range(1, len(end)) if self._held.endswith(end[:length])]
        length = max(lengths, default=0)
        text = self._held[: len(self._held) - length]
        return length + len(text) - len(text.rstrip())
