"""Tokenizers with EarthMind's special tokens: a pretrained one, or one built from annotation texts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from earthmind.model.special_tokens import SPECIAL_TOKENS
from eocore.data.formats.language import corpus_texts
from eocore.data.transforms import ANSWERS, QUESTIONS
from eocore.models.folders import load_tokenizer
from eocore.models.tokenizer_training import train_chat_tokenizer
from eocore.models.vocabulary import save_whole
from eocore.registry import TOKENIZERS


def add_special_tokens(tokenizer: PreTrainedTokenizerBase) -> int:
    """Number of special tokens that were new; a second call adds none."""
    known = tokenizer.get_vocab()
    new = [token for token in SPECIAL_TOKENS if token not in known]
    return tokenizer.add_special_tokens({"additional_special_tokens": new}, replace_extra_special_tokens=False) if new else 0


@TOKENIZERS.register_module()
def PretrainedTokenizer(*, path: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a local model folder, with EarthMind's special tokens."""
    tokenizer = load_tokenizer(Path(path))
    add_special_tokens(tokenizer)
    return tokenizer


@TOKENIZERS.register_module()
def TrainedTokenizer(
    *, path: str, corpus: Sequence[str], texts: Sequence[str] = (), vocab_size: int = 1024, template: str = "phi3_chat"
) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer built from annotation files, once: later runs load it from `path`, so ids never shift.

    A word is the same token at the beginning of a text, of a line and within one: little data does not teach a small model that two tokens
    are one word, one of them in the options of a multiple choice and the other in the questions. The price: a single space in front of a
    text is lost, and after a special token a word comes back with one.

    Args:
        path: folder it is saved in.
        corpus: JSON or JSONL annotation files.
        texts: what else is said, such as the names of sensors before their images.
        vocab_size: tokens before the special ones.
        template: chat template whose marks are single tokens.

    Raises:
        DataError: `path` does not exist yet, and a corpus file is missing, is no JSON (lines), or holds no language.
    """
    if not Path(path).is_dir():
        save_whole(_train([*texts, *_phrasings(), *corpus_texts(corpus)], vocab_size, template=template), Path(path))
    return load_tokenizer(Path(path))


def _phrasings() -> Iterator[str]:
    """The questions and answers that referring expressions are put into."""
    yield from (template.replace("{phrase}", "it") for template in QUESTIONS)
    yield from (answer.replace("[SEG]", "it") for answer in ANSWERS)


def _train(texts: list[str], vocab_size: int, *, template: str) -> PreTrainedTokenizerBase:
    tokenizer = train_chat_tokenizer(texts, vocab_size, template=template)
    add_special_tokens(tokenizer)
    return tokenizer
