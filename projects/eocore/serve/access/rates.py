"""How often each client may ask."""

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_CLIENTS = 10_000
"""Remembered at once; the one that has asked longest ago is forgotten."""
MINUTE = 60.0


class RateLimit:
    """A bucket of tokens for each client, which fills evenly.

    Args:
        per_minute: requests of one client, which may all come at once.
        now: clock [s].
    """

    def __init__(self, per_minute: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._now = per_minute, now
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Counts a request; 0 where it may go on, else the time after which the next may [s]."""
        now = self._now()
        left, seen = self._clients.pop(client, (float(self._per_minute), now))
        left = min(left + (now - seen) * self._per_minute / MINUTE, float(self._per_minute))
        allowed = left >= 1.0
        self._clients[client] = (left - 1.0 if allowed else left, now)
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) * MINUTE / self._per_minute
