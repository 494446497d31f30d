import pytest

from eocore.errors import BusyError
from eocore.serve.messages import Task, TextsRequest
from eocore.serve.requests import ChatTurn, GenerateRequest, ImagesRequest
from eocore.serve.scheduler import BatchingOptions, ContinuousScheduler, batch_key


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(clock: Clock, **options: float) -> ContinuousScheduler:
    return ContinuousScheduler(BatchingOptions(**{"max_batch": 4, "max_waiting": 10, "wait_s": 1.0, **options}), now=clock)  # type: ignore[arg-type]


def end(scheduler: ContinuousScheduler, *numbers: int) -> None:
    for number in numbers:
        scheduler.drop(number)


def test_what_is_read_and_alike_is_answered_together_in_order() -> None:
    scheduler = made(Clock())
    for number, key in enumerate("aabaaa"):
        scheduler.add(number, key)
    assert scheduler.assign({7: 10}) == [(number, 7) for number in range(6)]
    for number in range(6):
        scheduler.ready(number, joins=False)
    assert scheduler.batch(7) == [0, 1, 3, 4]
    assert scheduler.batch(7) == [] and scheduler.patience_s(7) is None  # until they are answered
    end(scheduler, 0, 1, 3, 4)
    assert scheduler.batch(7) == [2]  # older than the last of the others
    end(scheduler, 2)
    assert scheduler.batch(7) == [5] and scheduler.batch(7) == []


def test_what_can_join_is_answered_as_soon_as_there_is_room() -> None:
    scheduler = made(Clock())
    for number in range(7):
        scheduler.add(number, number)  # whatever their options
    scheduler.assign({7: 10})
    scheduler.ready(1, joins=True)
    assert scheduler.batch(7) == [1] and scheduler.patience_s(7) is None
    for number in (0, 2, 3, 5):
        scheduler.ready(number, joins=True)
    assert scheduler.batch(7) == [0, 2, 3] and scheduler.batch(7) == []
    end(scheduler, 2)
    assert scheduler.batch(7) == [5]
    scheduler.ready(4, joins=False)
    assert scheduler.batch(7) == [4]  # between two steps of the others
    scheduler.ready(6, joins=True)
    assert scheduler.batch(7) == []
    end(scheduler, 0)
    assert scheduler.batch(7) == [6]


def test_a_request_waits_a_moment_for_those_that_are_still_read() -> None:
    clock = Clock()
    scheduler = made(clock)
    scheduler.add(1, "a")
    scheduler.add(2, "a")
    scheduler.assign({7: 10})
    scheduler.ready(1, joins=False)
    assert scheduler.batch(7) == [] and scheduler.patience_s(7) == 1.0
    clock.now = 0.5
    assert scheduler.batch(7) == [] and scheduler.patience_s(7) == 0.5
    clock.now = 1.0
    assert scheduler.batch(7) == [1] and scheduler.patience_s(7) is None
    scheduler.ready(2, joins=False)
    end(scheduler, 1)
    assert scheduler.batch(7) == [2]


def test_a_full_batch_does_not_wait() -> None:
    scheduler = made(Clock(), max_batch=2)
    for number in range(3):
        scheduler.add(number, "a")
    scheduler.assign({7: 10})
    scheduler.ready(0, joins=False)
    scheduler.ready(1, joins=False)
    assert scheduler.batch(7) == [0, 1]


def test_requests_go_where_there_is_most_room() -> None:
    scheduler = made(Clock())
    for number in range(5):
        scheduler.add(number, "a")
    assert scheduler.assign({7: 1, 8: 3}) == [(0, 8), (1, 8), (2, 7), (3, 8)]
    assert scheduler.assign({7: 0, 8: 0}) == []
    assert scheduler.assign({7: 1}) == [(4, 7)]


def test_too_many_are_refused_and_those_under_way_do_not_count() -> None:
    scheduler = made(Clock(), max_waiting=2)
    scheduler.add(1, "a")
    scheduler.add(2, "a")
    with pytest.raises(BusyError, match="2 requests wait already"):
        scheduler.add(3, "a")
    scheduler.assign({7: 2})
    scheduler.ready(1, joins=False)
    scheduler.ready(2, joins=False)
    scheduler.batch(7)
    scheduler.add(3, "a")
    scheduler.drop(99)


def test_a_lost_worker_takes_its_requests_with_it() -> None:
    scheduler = made(Clock())
    for number in range(4):
        scheduler.add(number, "a")
    scheduler.assign({7: 1, 8: 2})
    assert scheduler.lose(8) == [0, 2]
    assert scheduler.num_known == 2 and scheduler.assign({9: 5}) == [(3, 9)]


def test_keys_keep_apart_what_cannot_be_answered_together() -> None:
    def asked(number: int = 1, **fields: object) -> object:
        return batch_key(Task(number, "generate", GenerateRequest(model="m", turns=(ChatTurn("user", "x"),), **fields)))  # type: ignore[arg-type]

    assert asked() == asked(2) == asked(max_new_tokens=3) == asked(stop=("a",))
    assert asked() != asked(generation={"do_sample": True})
    assert asked(1, seed=5) != asked(2, seed=5)
    classes = [ImagesRequest(model="m", images={}, classes=names) for names in (("a",), ("b",))]
    assert len({batch_key(Task(1, "class_scores", request)) for request in classes}) == 2
    assert batch_key(Task(1, "embed_texts", TextsRequest("m", ("a",)))) == batch_key(Task(2, "embed_texts", TextsRequest("m", ("b",))))
