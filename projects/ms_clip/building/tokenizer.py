"""Tokenizers as CLIP has them: a pretrained one, or one made of captions."""

import gzip
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from eocore.data.formats.language import corpus_texts
from eocore.errors import CheckpointError, ConfigError
from eocore.models.folders import load_tokenizer
from eocore.models.vocabulary import save_whole
from eocore.registry import TOKENIZERS

START, END = "<|startoftext|>", "<|endoftext|>"
"""CLIP's own names. Source: openai/CLIP, simple_tokenizer.py."""
BPE_FILE = "bpe_simple_vocab_16e6.txt.gz"
NUM_MERGES = 49_152 - 256 - 2
"""Merges of that file that count. Source: openai/CLIP, simple_tokenizer.py."""


@TOKENIZERS.register_module()
def ClipTokenizer(*, path: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a local model folder.

    Raises:
        CheckpointError: the folder is not there, or damaged.
        ConfigError: its tokenizer does not end texts, so that there is no token that a text's vector could be taken from.
    """
    tokenizer = load_tokenizer(Path(path))
    if not ends_texts(tokenizer):
        raise ConfigError(
            f"{path}: its tokenizer puts no end token behind a text, which CLIP's text tower reads. Name the folder of a CLIP."
        )
    return tokenizer


def ends_texts(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the end token stands behind every text."""
    return bool(tokenizer.eos_token_id is not None and tokenizer("a")["input_ids"][-1] == tokenizer.eos_token_id)


@TOKENIZERS.register_module()
def TrainedClipTokenizer(*, path: str, corpus: Sequence[str], texts: Sequence[str] = (), vocab_size: int = 1024) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer of lower-case words, with CLIP's start and end tokens, made of annotation files once and kept at `path`.

    Args:
        path: folder it is saved in.
        corpus: JSON, JSONL or CSV annotation files.
        texts: what else is said, such as templates of prompts.
        vocab_size: of all its tokens.

    Raises:
        DataError: `path` does not exist yet, and a corpus file is missing or holds no language.
    """
    if not Path(path).is_dir():
        save_whole(_train([*texts, *corpus_texts(corpus)], vocab_size), Path(path))
    return ClipTokenizer(path=path)


def _train(texts: Sequence[str], vocab_size: int) -> PreTrainedTokenizerBase:
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase(), normalizers.Strip(), normalizers.Prepend(" ")])
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts, BpeTrainer(vocab_size=vocab_size, special_tokens=[START, END], initial_alphabet=alphabet, show_progress=False)
    )
    core.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=[(START, 0), (END, 1)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=START, eos_token=END, pad_token=END)


def read_clip_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, or of CLIP's own file of merges.

    Args:
        path: folder of a model, or bpe_simple_vocab_16e6.txt.gz, which OpenCLIP's package and OpenAI's repository hold.

    Raises:
        CheckpointError: there is none.
    """
    if not path.is_file():
        return load_tokenizer(path)
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is no gzipped file of merges ({error}). Name {BPE_FILE}, or the folder of a tokenizer.") from error
    merges = [(left, right) for left, right in (line.split() for line in lines[1 : NUM_MERGES + 1])]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *(left + right for left, right in merges), START, END]
    return CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=merges)
