import json

import pytest

from eocore.errors import ConfigError
from eocore.evaluate.judge.judge import Judge, Question
from eocore.evaluate.judge.options import JudgeOptions, options_from_environment
from eocore.evaluate.judge.prompts import JudgeScore, parse_match, parse_score

QUESTION = Question("What is there?", "A harbour with ships.", "Ships in a port.")
GOOD = '{"accuracy": 4, "relevance": 5}'


def ask(server, *questions: Question, waited: list[float] | None = None, **options):
    judge = Judge(JudgeOptions(url=server.url, model="m", **options), sleep=(waited if waited is not None else []).append)
    return judge.judge(questions or [QUESTION])


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("4", (4, 4)),
        ("Score: 4", (4, 4)),
        ("4/5", (4, 4)),
        ("I give 3 out of 5.", (3, 3)),
        (GOOD, (4, 5)),
        ('Here it is:\n```json\n{"accuracy": "2", "relevance": 3.0}\n```', (2, 3)),
        ("Accuracy: 4, relevance: 5", (4, 5)),
        ('{"note": 1} {"accuracy": 1, "relevance": 2}', (1, 2)),
        ("10", None),
        ("Score: 10", None),
        ("45", None),
        ("4.5", None),
        ("between 2 and 3", None),
        ('{"accuracy": 10, "relevance": 5}', None),
        ('{"accuracy": 4}', None),
        ('{"accuracy": true, "relevance": 5}', None),
        ("I cannot judge this.", None),
        ("", None),
    ],
)
def test_scores_in_replies(reply, score):
    assert parse_score(reply) == (JudgeScore(*score) if score else None)


@pytest.mark.parametrize(
    ("reply", "value"), [("1", 1), ("0.", 0), ("Answer: 1", 1), ("10", None), ("0.5", None), ("1 or 0", None), ("yes", None), ("", None)]
)
def test_same_meaning_or_not(reply, value):
    assert parse_match(reply) == (None if value is None else JudgeScore(value, value))


def test_question_reference_and_answer_are_shown_and_the_key_is_sent(judge_server):
    with judge_server(GOOD) as server:
        assert ask(server, key="secret") == [JudgeScore(4, 5)]
    (asked,) = server.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["authorization"] == "Bearer secret"
    assert (asked["body"]["model"], asked["body"]["temperature"]) == ("m", 0)
    text = asked["body"]["messages"][0]["content"]
    assert all(part in text for part in (QUESTION.question, QUESTION.reference, QUESTION.prediction))


def test_caption_prompt_of_the_published_code_hides_the_question(judge_server):
    with judge_server("3") as server:
        assert ask(server, prompt="similarity") == [JudgeScore(3, 3)]
    assert QUESTION.question not in server.asked[0]["body"]["messages"][0]["content"]


@pytest.mark.parametrize("failure", ["garbage", 500, 429, b"no json", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}'])
def test_a_failure_is_tried_again_after_growing_pauses(judge_server, failure):
    waited: list[float] = []
    with judge_server(failure, failure, GOOD) as server:
        assert ask(server, waited=waited, pause_s=0.5) == [JudgeScore(4, 5)]
    assert waited == [0.5, 1.0]


def test_three_failures_are_a_failed_score_and_the_others_stand(judge_server):
    with judge_server(503, 503, 503, GOOD) as server:
        assert ask(server, QUESTION, Question("a", "b", "c"), workers=1) == [None, JudgeScore(4, 5)]
    assert len(server.asked) == 4


def test_a_slow_judge_is_given_up_on(judge_server):
    with judge_server(8.0, GOOD) as server:  # the second reply has a time limit too, which a busy machine must keep
        assert ask(server, timeout_s=3.0) == [JudgeScore(4, 5)]
    assert len(server.asked) == 2


def test_no_endpoint_at_all_fails_each_answer(judge_server):
    with judge_server(GOOD) as server:
        url = server.url
    assert Judge(JudgeOptions(url=url, model="m"), sleep=lambda seconds: None).judge([QUESTION]) == [None]


def test_a_refusal_ends_it_since_asking_again_cannot_help(judge_server):
    with judge_server(401) as server, pytest.raises(ConfigError, match=r"HTTP 401 .*asking again will not help. Check EOCORE_JUDGE_URL"):
        ask(server, *[Question(str(number), "b", "c") for number in range(50)], workers=2)
    assert len(server.asked) <= 2


def test_scores_are_kept_by_content_and_failures_are_not(judge_server, tmp_path):
    with judge_server(GOOD) as server:
        assert ask(server, cache=tmp_path) == ask(server, cache=tmp_path) == [JudgeScore(4, 5)]
        assert len(server.asked) == 1
        ask(server, Question(QUESTION.question, QUESTION.reference, "Other."), cache=tmp_path)
        ask(server, cache=tmp_path, prompt="similarity")
        assert len(server.asked) == 3
    with judge_server("garbage") as server:
        other = Question("a", "b", "c")
        assert ask(server, other, cache=tmp_path) == [None]
    with judge_server("2") as server:
        assert ask(server, other, cache=tmp_path) == [JudgeScore(2, 2)]


def test_a_broken_file_in_the_cache_is_asked_for_again(judge_server, tmp_path):
    with judge_server(GOOD) as server:
        ask(server, cache=tmp_path)
        (path,) = tmp_path.rglob("*.json")
        assert json.loads(path.read_text())["model"] == "m"
        path.write_text('{"accuracy": 9}')
        assert ask(server, cache=tmp_path) == [JudgeScore(4, 5)]
        assert len(server.asked) == 2


def test_many_answers_keep_their_order(judge_server):
    with judge_server(GOOD) as server:
        found = ask(server, *[Question(str(number), "b", "c") for number in range(30)], workers=8)
    assert found == [JudgeScore(4, 5)] * 30


def test_environment_names_the_endpoint():
    found = options_from_environment({"EOCORE_JUDGE_URL": "http://h/v1", "EOCORE_JUDGE_MODEL": "m", "EOCORE_JUDGE_KEY": "k"}, attempts=1)
    assert (found.url, found.model, found.key, found.attempts) == ("http://h/v1", "m", "k", 1)
    assert "'k'" not in repr(found)
    with pytest.raises(ConfigError, match=r"EOCORE_JUDGE_MODEL not set in the environment. Set EOCORE_JUDGE_URL"):
        options_from_environment({"EOCORE_JUDGE_URL": "http://h/v1"})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prompt": "x"}, "prompt must be one of quality, similarity, match"),
        ({"url": "h"}, "expected an OpenAI"),
        ({"attempts": 0}, "1 or more"),
    ],
)
def test_wrong_options(wrong, message):
    with pytest.raises(ConfigError, match=message):
        JudgeOptions(**{"url": "http://h", "model": "m", **wrong})
