"""Texts against reference texts: BLEU, ROUGE-L and CIDEr-D as the COCO caption evaluation computes them, without Java.

Written here since no kept library gives them per caption, which intervals need: a drawn set of captions is scored by the sum of its
counts (BLEU) or the mean of its values (ROUGE-L, CIDEr-D).
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

Tokens = Sequence[str]
Ngram = tuple[str, ...]

MAX_ORDER = 4
"""Longest n-gram of BLEU and CIDEr. Source: Papineni et al. 2002; Vedantam et al. 2015."""

ROUGE_BETA = 1.2
"""Weight of recall against precision. Source: COCO caption evaluation."""

CIDER_SIGMA = 6.0
"""Width of the length penalty of CIDEr-D. Source: Vedantam et al. 2015."""

CIDER_SCALE = 10.0

_BLEU_TINY, _BLEU_SMALL = 1e-15, 1e-9
"""Keep quotients of empty counts finite. Source: COCO caption evaluation."""

TOKENIZER = "ptb-regex"
"""What a report calls the rule of `tokenise`."""

_PLAIN = str.maketrans({"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u2013": "--", "\u2014": "--", "\u2026": "..."})
"""Typographic quotes, dashes and dots as plain ones."""

_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_DELETED = frozenset(("'", "''", "`", "``", '"', ".", "?", "!", ",", ":", "-", "--", "...", ";"))
_SUFFIX = r"'(?:s|re|ve|ll|d|m)\b"
_TOKEN = re.compile(
    rf"""
    https?://\S+ | </?[a-z][^<>]*>                  # addresses and tags are one token
    | (?:[a-z]\.){{2,}} | \b(?:mr|mrs|ms|dr|prof|st|jr|sr|etc|vs|mt)\.(?!\w)
    | can(?=not\b) | (?:gon|wan|got)(?=(?:na|ta)\b) | [a-z]+(?=n't\b) | n't\b | {_SUFFIX}
    | 'n'(?!\w) | '\d\ds?\b
    | (?<!\S)[-+]\d+(?:[.,]\d+)* | (?<!\w)\.\d+ | \d+(?:[.,]\d+)+(?=[a-z])
    | \w+(?: [-/._]\w+ | (?<=\d)[,:](?=\d)\w+ | (?!{_SUFFIX})'\w+ )*
    | [?!]+ | \.+ | -+ | \S
    """,
    re.VERBOSE,
)


def tokenise(text: str) -> list[str]:
    """The words captions are compared by: lower case, contractions and possessives parted ("isn't" -> is n't, "road's" -> road 's),
    punctuation gone.

    Follows the Penn Treebank tokenizer 3.4.1 (Java) with the COCO evaluation's list of deleted punctuation; brackets stay as "-lrb-" and
    the like, as they do there.
    """
    found = _TOKEN.findall(text.translate(_PLAIN).lower())
    return [_BRACKETS.get(token, token) for token in found if token not in _DELETED and set(token) not in ({"."}, {"-"})]


def bleu_statistics(candidate: Tokens, references: Sequence[Tokens]) -> np.ndarray:
    """(2 * MAX_ORDER + 2,) counts of one caption, to be summed over a set.

    Matched n-grams of each order, each at most as often as in the reference that has it most; n-grams of each order; words; words of the
    reference closest in length, the shorter of two. Source: Papineni et al. 2002.
    """
    matched, total = [], []
    for order in range(1, MAX_ORDER + 1):
        given = _ngrams(candidate, order)
        most: Counter[Ngram] = Counter()
        for reference in references:
            most |= _ngrams(reference, order)
        matched.append(sum((given & most).values()))
        total.append(max(0, len(candidate) - order + 1))
    closest = min((abs(len(reference) - len(candidate)), len(reference)) for reference in references)[1]
    return np.array([*matched, *total, len(candidate), closest], dtype=np.float64)


def bleu(statistics: np.ndarray, order: int) -> np.ndarray:
    """(...) BLEU of one order [0..1] from (..., 2 * MAX_ORDER + 2) summed counts: geometric mean of the precisions up to `order`, times
    the penalty for texts shorter than their references. Source: Papineni et al. 2002, with the COCO evaluation's constants."""
    matched, total = statistics[..., :order], statistics[..., MAX_ORDER : MAX_ORDER + order]
    precision = ((matched + _BLEU_TINY) / (total + _BLEU_SMALL)).prod(axis=-1) ** (1.0 / order)
    ratio = (statistics[..., -2] + _BLEU_TINY) / (statistics[..., -1] + _BLEU_SMALL)
    return np.asarray(precision * np.exp(np.minimum(0.0, 1.0 - 1.0 / ratio)))


def rouge_l(candidate: Tokens, references: Sequence[Tokens]) -> float:
    """F-measure [0..1] of the longest common subsequence; precision and recall are each the best over the references.

    Source: Lin 2004, as the COCO caption evaluation applies it; the package rouge-score stems and has another F.
    """
    if not candidate:
        return 0.0
    common = [_longest_common(candidate, reference) for reference in references]
    precision = max(common) / len(candidate)
    recall = max(shared / len(reference) if reference else 0.0 for shared, reference in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)


def cider_d(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> np.ndarray:
    """(N,) CIDEr-D [0..10] of N captions; the score of a set is the mean.

    n-grams are weighed by how few of the N items have them in their references: always give the whole evaluated set, never one item or one
    shard. Source: Vedantam et al. 2015, as the COCO caption evaluation applies it (its length penalty counts two-word n-grams).
    """
    frequency: Counter[Ngram] = Counter()
    for texts in references:
        frequency.update({ngram for text in texts for order in range(1, MAX_ORDER + 1) for ngram in _ngrams(text, order)})
    log_items = float(np.log(max(len(references), 1)))
    weight = {ngram: log_items - float(np.log(count)) for ngram, count in frequency.items()}
    scores = np.zeros(len(candidates))
    for index, (candidate, texts) in enumerate(zip(candidates, references, strict=True)):
        given = _Weighed(candidate, weight, unseen=log_items)
        scores[index] = float(np.mean([given.similarity(_Weighed(text, weight, unseen=log_items)) for text in texts]))
    return scores


class _Weighed:
    """The n-grams of a text with their tf-idf weights, by order."""

    def __init__(self, tokens: Tokens, weight: dict[Ngram, float], *, unseen: float) -> None:
        counts = [_ngrams(tokens, order) for order in range(1, MAX_ORDER + 1)]
        self.vectors = [{ngram: count * weight.get(ngram, unseen) for ngram, count in part.items()} for part in counts]
        self.norms = [sum(value * value for value in vector.values()) ** 0.5 for vector in self.vectors]
        self.length = sum(counts[1].values())

    def similarity(self, reference: "_Weighed") -> float:
        total = 0.0
        for mine, theirs, norm in zip(self.vectors, reference.vectors, np.multiply(self.norms, reference.norms), strict=True):
            if norm:
                total += sum(min(value, theirs[ngram]) * theirs[ngram] for ngram, value in mine.items() if ngram in theirs) / norm
        difference = self.length - reference.length
        return CIDER_SCALE * total / MAX_ORDER * float(np.exp(-(difference**2) / (2 * CIDER_SIGMA**2)))


def _ngrams(tokens: Tokens, order: int) -> Counter[Ngram]:
    return Counter(tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1))


def _longest_common(first: Tokens, second: Tokens) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        left_above = 0
        for index, other in enumerate(second, start=1):
            above = row[index]
            row[index] = left_above + 1 if word == other else max(above, row[index - 1])
            left_above = above
    return row[-1]
