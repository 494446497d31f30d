"""What of a source an index has already, and what has changed since."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from eocore.search.documents import GEOMETRY, Document
from eocore.search.sources import Source

STATED = ("caption", "time", "sensor")
"""Texts that a table may state of an item; what it does not state comes from the image, and is not compared."""


def only(source: Source, keys: Collection[str]) -> Source:
    """The source with some of its items.

    Args:
        source: with them.
        keys: of the items that stay.
    """
    wanted = set(keys)
    return replace(source, items=[item for item in source.items if item.key in wanted])


def changed_keys(source: Source, table: Any, *, rows: Mapping[str, int], stated: bool) -> set[str]:
    """Items of a source whose key an index has with another image or text.

    Args:
        source: of items.
        table: of the index's items.
        rows: key -> row of the table.
        stated: items count too of which the source states something else than the index.
    """
    there = [(item.key, rows[item.key]) for item in source.items if item.key in rows]
    if not there:
        return set()
    columns = {name: list(table[name]) for name in ("image", "stamp", "window", *STATED, "cloud_cover", GEOMETRY)}
    found = set()
    for key, row in there:
        document = source.documents[key]
        before = {name: values[row] for name, values in columns.items()}
        is_other = any(getattr(document, name) != before[name] for name in ("image", "stamp", "window"))
        if is_other or (stated and _states_else(document, before)):
            found.add(key)
    return found


def _states_else(document: Document, before: Mapping[str, Any]) -> bool:
    if any(getattr(document, name) not in {"", before[name]} for name in STATED):
        return True
    if document.cloud_cover is not None and document.cloud_cover != before["cloud_cover"]:
        return True
    shape = document.footprint
    return shape is not None and (before[GEOMETRY] is None or not shape.equals(before[GEOMETRY]))
