"""Tasks handed out, lost and put together again."""

import pytest
from works import numbered

from eocore.errors import UnforeseenError
from eocore.jobs.ledger import MOST_DEATHS, Ledger
from eocore.jobs.work import Chunk, Outcome


def test_lost_items_are_tried_alone_and_their_chunk_comes_whole_and_in_order() -> None:
    ledger = Ledger([Chunk(7, tuple(numbered(2)))], attempts=2)
    assert list(ledger.lost(ledger.next_task(), "gone")) == []
    first, second = ledger.next_task(), ledger.next_task()
    assert [task.chunk.items[0].key for task in (first, second)] == ["item 0", "item 1"] and not ledger
    assert list(ledger.done(second, [Outcome("item 1", {})])) == []
    assert list(ledger.lost(first, "gone")) == []
    assert list(ledger.lost(ledger.next_task(), "gone")) == [(7, [Outcome("item 0", error="gone, 2 times"), Outcome("item 1", {})])]


def test_workers_that_end_whatever_they_get_stop_the_job() -> None:
    ledger = Ledger([], attempts=2)
    for _ in range(MOST_DEATHS - 1):
        assert list(ledger.lost(None, "gone")) == []
    with pytest.raises(
        UnforeseenError, match=rf"{MOST_DEATHS} worker processes ended one after the other without a result, the last since gone"
    ):
        list(ledger.lost(None, "gone"))
