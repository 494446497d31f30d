"""What of a source an index has, and what has changed since it was indexed."""

from collections.abc import Callable
from pathlib import Path

from eocore.search.comparing import changed_keys, only
from eocore.search.documents import as_table
from eocore.search.sources import Source, captions_of

Write = Callable[..., Path]


def source(write: Write, *rows: str, header: str = "image,caption,date,cloud_cover,bbox") -> Source:
    return captions_of(write(rows, header=header))


def changed(before: Source, after: Source, *, stated: bool) -> set[str]:
    rows = {key: row for row, key in enumerate(before.documents)}
    return changed_keys(after, as_table(before.documents.values()), rows=rows, stated=stated)


ROW = 'a.png,a farm,2024-05-01,10,"1,2,3,4"'


def test_other_words_are_a_change_and_new_items_are_none(write_captions: Write) -> None:
    before = source(write_captions, ROW)
    assert changed(before, source(write_captions, ROW, "b.png,a road,,,"), stated=True) == set()
    assert changed(before, source(write_captions, ROW.replace("farm", "river")), stated=False) == {"a.png#0"}


def test_what_a_table_states_else_counts_where_asked_for(write_captions: Write) -> None:
    before = source(write_captions, ROW)
    for there, now in (("05-01", "05-02"), (",10,", ",11,"), ("1,2,3,4", "1,2,3,5")):
        after = source(write_captions, ROW.replace(there, now))
        assert (changed(before, after, stated=False), changed(before, after, stated=True)) == (set(), {"a.png#0"})
    assert changed(before, source(write_captions, "a.png,a farm,,,"), stated=True) == set()  # states less, nothing else


def test_some_items_of_a_source(write_captions: Write) -> None:
    kept = only(source(write_captions, ROW, "b.png,a road,,,"), ["b.png#0"])
    assert [item.key for item in kept.items] == ["b.png#0"]
