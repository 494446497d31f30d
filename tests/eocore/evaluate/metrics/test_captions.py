"""Golden figures: EarthDial's released answers through the Java COCO caption evaluation; and that evaluation itself, where it is there."""

import json

import numpy as np
import pytest

from eocore.evaluate.metrics import captions, java_captions, published_captions
from eocore.evaluate.metrics.captions import bleu, bleu_statistics, cider_d, rouge_l, tokenise

GOLDEN = {
    "rs_image_caption_UCM_captions": (0.5763, 0.4217, 0.3270, 0.2641, 0.4730, 1.2963),
    "rs_region_captioning_GeoChat": (0.7093, 0.6422, 0.6105, 0.5840, 0.7235, 5.3809),
}
SENTENCES = [
    "The airport's runway isn't long, it's 3.5km (approx.) wide.",
    "A broad-leaved forest and/or a well-kept lawn...",
    "1,000 cars; 20% are red & blue",
    "cannot see \"quoted\" 'single' `back`",
    "U.S. army base at 5:30 p.m. near St. Louis",
    "houses' roofs -- dash - hyphen",
    "they're we'll I'd gonna wanna",
    "x_y #1 @2 $5 10m 3x4 3*4 a+b = c",
    "white-and-blue  buildings.There are\ttabs",
    "[region1] {x} <p>tree</p>",
    "what?! yes!! no? 2-3 cars, 1/2 .5 -5 10:30",
    "it's the '90s \u201csmart\u201d \u2013 en \u2026",
    "...",
    "",
]


@pytest.fixture(params=sorted(GOLDEN))
def golden(request, shared_dir):
    """(captions, references, figures) of a released file."""
    lines = (shared_dir / "golden_predictions" / f"{request.param}.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    names = [name for name in entries[0] if name.startswith("caption")] or ["annotation"]
    return [entry["answer"] for entry in entries], [[entry[name] for name in names] for entry in entries], GOLDEN[request.param]


def test_golden_figures_to_four_digits(golden):
    texts, references, expected = golden
    given, truths = [tokenise(text) for text in texts], [[tokenise(text) for text in group] for group in references]
    counts = sum(bleu_statistics(text, group) for text, group in zip(given, truths, strict=True))
    found = [float(bleu(counts, order)) for order in (1, 2, 3, 4)]
    found += [np.mean([rouge_l(text, group) for text, group in zip(given, truths, strict=True)]), cider_d(given, truths).mean()]
    assert [round(float(value), 4) for value in found] == list(expected)


def test_cider_of_a_part_needs_the_weights_of_the_whole(golden):
    texts, references, _ = golden
    given, truths = [tokenise(text) for text in texts], [[tokenise(text) for text in group] for group in references]
    part = slice(0, len(texts) // 2)
    assert abs(cider_d(given, truths)[part].mean() - cider_d(given[part], truths[part]).mean()) > 0.01


def test_possessive_and_contraction_are_tokens_of_their_own():
    assert tokenise("The airport's runway isn't long.") == ["the", "airport", "'s", "runway", "is", "n't", "long"]


def test_nothing_is_cut_out_of_words():
    assert tokenise("This island shows a visible isthmus.") == ["this", "island", "shows", "a", "visible", "isthmus"]


def test_exact_copy_and_empty_caption():
    truth = tokenise("many green trees are around a pond")
    others = [[tokenise("a baseball field beside a road")], [truth]]
    assert rouge_l(truth, [truth]) == pytest.approx(1.0)
    assert float(bleu(bleu_statistics(truth, [truth]), 4)) == pytest.approx(1.0)
    assert cider_d([others[0][0], truth], others)[1] == pytest.approx(10.0)
    assert rouge_l([], [truth]) == 0.0
    assert float(bleu(bleu_statistics([], [truth]), 1)) == pytest.approx(0.0, abs=1e-5)
    assert cider_d([[], truth], others)[0] == 0.0


def test_bleu_takes_the_closest_reference_length_and_punishes_shortness():
    truths = [tokenise("a b c d e f g h"), tokenise("a b c")]
    assert bleu_statistics(tokenise("a b"), truths)[-1] == 3
    assert float(bleu(bleu_statistics(tokenise("a b"), truths), 1)) == pytest.approx(np.exp(1 - 3 / 2), rel=1e-6)


def test_repeated_words_count_at_most_as_often_as_in_a_reference():
    assert bleu_statistics(["the"] * 7, [["the", "cat"], ["the", "the"]])[0] == 2


@pytest.fixture
def java():
    if not java_captions.java_is_there():
        pytest.skip("no java on this machine")
    pytest.importorskip("pycocoevalcap", reason="extra java is not installed")


@pytest.mark.usefixtures("java")
def test_tokens_are_those_of_the_java_tokenizer(golden):
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    texts = [*SENTENCES, *golden[0], *(text for group in golden[1] for text in group)]
    java_tokens = PTBTokenizer().tokenize({index: [{"caption": text}] for index, text in enumerate(texts)})
    different = [(text, java_tokens[index][0]) for index, text in enumerate(texts) if " ".join(tokenise(text)) != java_tokens[index][0]]
    assert different == []


@pytest.mark.slow
@pytest.mark.usefixtures("java")
def test_meteor_of_ucm(shared_dir):
    lines = (shared_dir / "golden_predictions" / "rs_image_caption_UCM_captions.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    texts = [" ".join(tokenise(entry["answer"])) for entry in entries]
    truths = [[" ".join(tokenise(entry[f"caption{number}"])) for number in range(5)] for entry in entries]
    counts = java_captions.meteor_statistics(texts, truths)
    assert counts.shape == (210, java_captions.METEOR_COUNTS)
    assert round(float(java_captions.meteor(counts.sum(axis=0))), 4) == 0.2545


@pytest.mark.slow
@pytest.mark.usefixtures("java")
def test_meteor_from_counts_is_what_the_program_says():
    from pycocoevalcap.meteor.meteor import Meteor

    said = ["there is a large port", "many boats are parked", "a cat", "", "a baseball field is near several green trees"]
    truths = [["there is a large port"], ["many ships are docked at the port", "some boats"], ["two roads"], ["a lake"], ["trees"]]
    whole, each = Meteor().compute_score(dict(enumerate(truths)), {index: [text] for index, text in enumerate(said)})
    counts = java_captions.meteor_statistics(said, truths)
    np.testing.assert_allclose(java_captions.meteor(counts), each, atol=1e-12)
    assert float(java_captions.meteor(counts.sum(axis=0))) == pytest.approx(whole)
    assert each[0] == 1.0 and each[2] == each[3] == 0.0


def test_java_metrics_say_what_they_need(monkeypatch):
    pytest.importorskip("pycocoevalcap", reason="extra java is not installed")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(java_captions.ConfigError, match=r"METEOR needs a Java runtime, but no `java` is on the PATH. Install one"):
        java_captions.meteor_statistics(["a"], [["a"]])


def test_spice_fetches_nothing_by_itself(monkeypatch, tmp_path):
    package = pytest.importorskip("pycocoevalcap", reason="extra java is not installed")
    monkeypatch.setattr(java_captions, "java_is_there", lambda: True)
    monkeypatch.setattr(package, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(
        java_captions.ConfigError, match=r"SPICE needs Stanford CoreNLP 3.6.0, but \S+ has no stanford-corenlp-3.6.0.jar and no"
    ):
        java_captions.spice(["a"], [["a"]])


def test_published_rouge_of_ucm(shared_dir):
    """Figures of rouge-score 0.1.2 on EarthDial's released answers."""
    pytest.importorskip("rouge_score", reason="rouge-score is not installed")
    lines = (shared_dir / "golden_predictions" / "rs_image_caption_UCM_captions.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    texts, truths = [entry["answer"] for entry in entries], [[entry[f"caption{number}"] for number in range(5)] for entry in entries]
    found = {name: round(float(values.mean()), 4) for name, values in published_captions.rouge_score(texts, truths).items()}
    assert (found["rouge1_stemmed_mean"], found["rougel_stemmed_mean"], found["rougel_stemmed_max"]) == (0.3999, 0.3415, 0.4768)


def test_tokenizer_has_a_name_for_reports():
    assert captions.TOKENIZER == "ptb-regex"
