"""How upstream evaluations compare short answers, where that differs from ours; for comparison with their figures only."""

import re

from eocore.evaluate.metrics.vqa import ARTICLES

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_NUMBERS = ("none", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_POINT = re.compile(r"\.(?!\d)")


def normalise_as_evalai(text: str) -> str:
    """Lower case; a mark beside a space goes, one between letters becomes a space; numbers up to ten as digits, articles gone.

    Source: the rule of the VQA challenge (Antol et al. 2015, visualqa.org/evaluation.html), as LHRS-Bot applies it. Its list of
    contractions ("dont" is "don't") is left out: answers about images from above have none.
    """
    words = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").replace("\n", " ").replace("\t", " ").strip()
    marked = words
    for mark in _MARKS:
        marked = marked.replace(mark, "" if f"{mark} " in words or f" {mark}" in words else " ")
    kept = (_digit(word) for word in _POINT.sub("", marked).split() if word not in ARTICLES)
    return " ".join(kept)


def _digit(word: str) -> str:
    return str(max(0, _NUMBERS.index(word) - 1)) if word in _NUMBERS else word


def match_as_lhrs(answer: str, truth: str) -> bool:
    """Whether an answer is the true one or any part of it, both normalised: an empty answer is always right.

    Source: LHRS-Bot, main_vqa.py.
    """
    return normalise_as_evalai(answer) in normalise_as_evalai(truth)
