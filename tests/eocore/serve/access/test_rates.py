from eocore.serve.access import rates
from eocore.serve.access.rates import RateLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_client_waits_once_its_bucket_is_empty() -> None:
    clock = Clock()
    limit = RateLimit(6, now=clock)
    assert [limit.wait_s("a") for _ in range(7)] == [0.0] * 6 + [10.0]
    assert limit.wait_s("b") == 0.0
    clock.now = 9.9
    assert 0 < limit.wait_s("a") < 0.2
    clock.now = 10.0
    assert limit.wait_s("a") == 0.0 and limit.wait_s("a") > 0


def test_a_bucket_holds_no_more_than_a_minute() -> None:
    clock = Clock()
    limit = RateLimit(2, now=clock)
    limit.wait_s("a")
    clock.now = 3600.0
    assert [limit.wait_s("a") > 0 for _ in range(3)] == [False, False, True]


def test_clients_are_forgotten_beyond_a_number() -> None:
    limit = RateLimit(1, now=Clock())
    for number in range(rates.MAX_CLIENTS + 5):
        limit.wait_s(str(number))
    assert len(limit._clients) == rates.MAX_CLIENTS
