"""Tokenizers of causal language models: a pretrained one, or a small byte-level one made of annotation texts."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from eocore.data.formats.language import corpus_texts
from eocore.errors import ConfigError
from eocore.models.folders import load_tokenizer
from eocore.models.vocabulary import save_whole
from eocore.portable.chat_templates import get_template
from eocore.registry import TOKENIZERS

PAD, END = "<pad>", "<|endoftext|>"
"""The end token is that of GPT-2's vocabulary, which Phi and Moondream share."""


@TOKENIZERS.register_module()
def CausalTokenizer(*, path: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a local model folder.

    Raises:
        CheckpointError: the folder is not there, or damaged.
        ConfigError: it has no end token, so that answers would have no end.
    """
    tokenizer = load_tokenizer(Path(path))
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"{path}: its tokenizer has no end token, by which answers end. Name the folder of a causal language model.")
    return tokenizer


@TOKENIZERS.register_module()
def TrainedCausalTokenizer(
    *, path: str, corpus: Sequence[str], texts: Sequence[str] = (), vocab_size: int = 512, template: str = "question_answer"
) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer as GPT-2's, made of annotation files once and kept at `path`, so that ids never shift.

    Args:
        path: folder it is saved in.
        corpus: JSON, JSONL or CSV annotation files.
        texts: what else is said, such as the question.
        vocab_size: of its tokens but those of the template.
        template: chat template whose marks are single tokens.

    Raises:
        DataError: `path` does not exist yet, and a corpus file is missing or holds no language.
    """
    if not Path(path).is_dir():
        save_whole(_train([*texts, *corpus_texts(corpus)], vocab_size, template=template), Path(path))
    return CausalTokenizer(path=path)


def _train(texts: Sequence[str], vocab_size: int, *, template: str) -> PreTrainedTokenizerBase:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=vocab_size, special_tokens=[PAD, END], initial_alphabet=alphabet, show_progress=False)
    # words in texts stand behind a space, as they do behind the marks of the template
    core.train_from_iterator([f" {text}" for text in texts], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token=PAD, eos_token=END)
    marks = [mark for mark in get_template(template).control_tokens if mark != END]
    if marks:
        tokenizer.add_special_tokens({"additional_special_tokens": marks})
    return tokenizer
