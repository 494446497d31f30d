"""A byte-level BPE tokenizer made of few texts, for small models that are trained from scratch."""

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from eocore.portable.chat_templates import get_template

PAD, END = "<pad>", "<|endoftext|>"
WORD_PATTERN = r"-\d\d-|'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What becomes a token at most: the month of a date with its hyphens; else the words of GPT-2's tokenizer (ByteLevel's own pattern)."""


def train_chat_tokenizer(texts: Sequence[str], vocab_size: int, *, template: str) -> PreTrainedTokenizerBase:
    """A tokenizer with the marks of a chat template as single tokens.

    A word is the same token at the beginning of a text, of a line and within one: little data does not teach a small model that two tokens
    are one word. The price: a single space in front of a text is lost, and after a special token a word comes back with one. The month of
    a date (2021-03-04) is a token unlike its day: a small model does not learn to copy dates whose months and days share their tokens.

    Args:
        texts: what is said.
        vocab_size: tokens before the marks.
        template: name of the chat template.
    """
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.Sequence(
        [
            normalizers.Prepend(" "),
            normalizers.Replace(Regex(r"\A (?=\s)"), ""),  # only words take a space before them
            normalizers.Replace(Regex(r"\n(?=[^\n])"), "\n "),
        ]
    )
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    core.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts, BpeTrainer(vocab_size=vocab_size, special_tokens=[PAD, END], initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token=PAD, eos_token=END)
    tokenizer.add_special_tokens({"additional_special_tokens": list(get_template(template).control_tokens)})
    return tokenizer
