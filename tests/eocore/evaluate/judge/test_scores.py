import json

import pytest

from eocore.evaluate.judge.judge import Judge
from eocore.evaluate.judge.options import JudgeOptions
from eocore.evaluate.judge.scores import add_judge_scores
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.score import score_predictions


def answer(number: int, said: str | None, kind: str) -> Prediction:
    return Prediction(str(number), "open", (str(number),), "fused", "What next?", said, "A flood is likely.", {"type": kind})


def judged(server, samples):
    scores = score_predictions(samples)
    judge = Judge(JudgeOptions(url=server.url, model="m", workers=1), sleep=lambda seconds: None)
    count = add_judge_scores(scores, samples, judge=judge)
    return count, scores["settings"]["fused"]["open"]


def test_means_over_samples_and_over_tasks(judge_server):
    samples = [answer(0, "A flood.", "disaster"), answer(1, "Rain.", "disaster"), answer(2, "A road.", "urban")]
    with judge_server('{"accuracy": 5, "relevance": 5}', '{"accuracy": 3, "relevance": 5}', "2") as server:
        count, item = judged(server, samples)
    judge = item["judge"]
    assert (count, judge["n"], judge["n_failed"], judge["model"]) == (3, 3, 0, "m")
    assert judge["date"].startswith("20") and len(judge["prompt_sha256"]) == 64
    assert judge["scores"]["overall"]["metrics"]["judge_score"]["value"] == (5 + 4 + 2) / 3
    assert judge["scores"]["overall"]["metrics"]["judge_relevance"]["value"] == 4.0
    assert judge["scores"]["macro"]["value"] == ((5 + 4) / 2 + 2) / 2
    assert "rouge_l" in item["overall"]["metrics"]
    json.dumps(item, allow_nan=False)


def test_failures_are_left_out_and_counted_and_no_answer_is_the_lowest(judge_server):
    samples = [answer(0, "A flood.", "a"), answer(1, None, "a"), answer(2, " ", "a"), answer(3, "Rain.", "a")]
    with judge_server("5", "garbage") as server:
        _, item = judged(server, samples)
    judge = item["judge"]
    assert (judge["n_failed"], judge["n_unanswered"], judge["scores"]["overall"]["n_unparsed"]) == (1, 2, 1)
    assert judge["scores"]["overall"]["metrics"]["judge_score"]["value"] == (5 + 1 + 1) / 3


def test_a_judge_that_never_answers_leaves_no_figure(judge_server):
    with judge_server(500) as server:
        _, item = judged(server, [answer(0, "A flood.", "a"), answer(1, "Rain.", "b")])
    assert item["judge"]["n_failed"] == 2
    assert "scores" not in item["judge"]
    assert item["overall"]["n"] == 2


def test_short_answers_are_asked_about_only_where_the_rules_decide_nothing(judge_server):
    said = [("a lake", "pond"), ("It is a pond.", "pond"), ("3", "4"), ("no", "yes"), (None, "pond"), ("a car", "pond")]
    samples = [Prediction(str(index), "vqa", (str(index),), "fused", "?", text, truth) for index, (text, truth) in enumerate(said)]
    scores = score_predictions(samples)
    with judge_server("1", "0") as server:
        judge = Judge(JudgeOptions(url=server.url, model="m", workers=1, prompt="match"))
        assert add_judge_scores(scores, samples, judge=judge) == 6
        assert len(server.asked) == 2
    block = scores["settings"]["fused"]["vqa"]["judge"]
    assert (block["n_asked"], block["n_unanswered"], block["scale"]) == (2, 1, "0 to 1")
    assert block["scores"]["overall"]["metrics"]["judge_score"]["value"] == pytest.approx(2 / 6)


def test_tasks_with_one_right_answer_are_not_judged(judge_server):
    sample = Prediction("a", "vqa", ("a",), "fused", "?", "yes", "yes")
    with judge_server("5") as server:
        judge = Judge(JudgeOptions(url=server.url, model="m"))
        assert add_judge_scores(score_predictions([sample]), [sample], judge=judge) == 0
        assert server.asked == []
