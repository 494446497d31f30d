"""Tokenizers of Aerith: those of language models as they are, or one built from annotation texts."""

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from eocore.data.formats.language import corpus_texts
from eocore.models.folders import load_tokenizer
from eocore.models.tokenizer_training import train_chat_tokenizer
from eocore.models.vocabulary import save_whole
from eocore.registry import TOKENIZERS

BOX_REPEATS = 200
"""How often each coordinate stands in the texts: merges are made in the order of how often two pieces meet."""


@TOKENIZERS.register_module()
def ChatTokenizer(*, path: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a local model folder. One without a padding token (LLaMA-2) pads with its unknown token, else with its end token."""
    tokenizer = load_tokenizer(Path(path))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


@TOKENIZERS.register_module()
def TrainedChatTokenizer(
    *,
    path: str,
    corpus: Sequence[str],
    texts: Sequence[str] = (),
    vocab_size: int = 768,
    template: str = "chatml",
    box_decimals: int = 0,
) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer built from annotation files, once: later runs load it from `path`, so ids never shift.

    Args:
        path: folder it is saved in.
        corpus: JSON, JSONL or CSV annotation files.
        texts: what else is said, such as prefixes of tasks.
        vocab_size: tokens before the marks of the chat template.
        template: chat template whose marks are single tokens.
        box_decimals: coordinates of boxes from 0 to 1 are written with so many, and their digits become few tokens; 0 = no boxes.

    Raises:
        DataError: `path` does not exist yet, and a corpus file is missing or holds no language.
    """
    if not Path(path).is_dir():
        said = [*texts, *_boxes(box_decimals), *corpus_texts(corpus)]
        save_whole(train_chat_tokenizer(said, vocab_size, template=template), Path(path))
    return load_tokenizer(Path(path))


def _boxes(decimals: int) -> list[str]:
    """Texts with every coordinate often enough that its digits become one token."""
    steps = 10**decimals if decimals else 0
    numbers = [f"{step / steps:.{decimals}f}" for step in range(steps + 1)] if steps else []
    return [f"[{number}, {number}, {number}, {number}]" for number in numbers] * BOX_REPEATS
