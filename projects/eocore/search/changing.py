"""Changes an index: items that are put into it, put in the place of their earlier versions, and taken out.

Each change writes the files of the next generation and names them last, so that a process which is killed leaves the index as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree

import numpy as np

from eocore.errors import ConfigError, DataError
from eocore.search.comparing import changed_keys, only
from eocore.search.documents import as_table, joined
from eocore.search.embedding import Embedded, EmbedOptions, embed
from eocore.search.encoders import Encoder
from eocore.search.extra import check_extra
from eocore.search.filters import Filters
from eocore.search.index_folder import IMAGES, Facts, Index, check_space, open_index, read_facts
from eocore.search.making import grown, held, job_folder, measure_and_write, refilled
from eocore.search.sources import IMAGE_JOINT, Source
from eocore.text import did_you_mean, some_of


@dataclass(frozen=True)
class Change:
    """What has become of an index.

    Attributes:
        facts: of the index now.
        num_new, num_replaced, num_removed: items.
        stale: key -> why, of items whose new version could not be embedded, so that the earlier one stays.
    """

    facts: Facts
    num_new: int = 0
    num_replaced: int = 0
    num_removed: int = 0
    stale: dict[str, str] = field(default_factory=dict)


def add_to_index(folder: Path, source: Source, *, encoder: Encoder, options: EmbedOptions, replacing: bool = False) -> Change:
    """Puts items into an index; those it has are not embedded again, unless they have changed and are to be replaced.

    Args:
        folder: of the index.
        source: what is added.
        encoder: that the index was built with.
        options: how; `overwrite` does not count. An index that has outgrown its kind, or finds less than TARGET, is made anew.
        replacing: items that have changed take the place of those of their keys.

    Raises:
        ConfigError: the encoder is another than that of the index.
        DataError: the index is broken, or an item has the key of another one and is not to replace it.
        OutputError: the folder cannot be written, or another process is writing it.
    """
    check_extra()
    read_facts(folder)
    with held(folder):
        index = open_index(folder, verify=True)
        check_space(index.facts.space, encoder.space)
        rows = {key: row for row, key in enumerate(index.items["key"])}
        changed = changed_keys(source, index.items, rows=rows, stated=replacing)
        if changed and not replacing:
            raise DataError(
                f"{len(changed)} of {len(source.items)} items have the key of another item of the index, or have changed since they were "
                f"indexed ({some_of(sorted(changed), 3)}). Nothing was added. Replace these with --replace, give them ids of their own in "
                "a table, or build the index anew."
            )
        wanted = only(source, [item.key for item in source.items if item.key not in rows or item.key in changed])
        if not wanted.items:
            return Change(index.facts)
        job = job_folder(folder, index.facts.generation + 1)
        found = embed(job, wanted, encoder=encoder, options=replace(options, overwrite=True))
        change = _put_in(index, found, rows=rows)
        rmtree(job, ignore_errors=True)
        return change


def _put_in(index: Index, found: Embedded, *, rows: dict[str, int]) -> Change:
    """Writes the index with items that are new, or take the place of those in the rows of their keys."""
    stale = {key: error for key, error in found.failed.items() if key in rows}
    failed = {key: error for key, error in found.failed.items() if key not in rows}
    if not found.documents:
        return Change(replace(index.facts, failed=failed), stale=stale)
    num_items = index.facts.num_items
    order = list(range(num_items))
    for position, document in enumerate(found.documents, start=num_items):
        if document.key in rows:
            order[rows[document.key]] = position
        else:
            order.append(position)
    table = joined([index.items, as_table(found.documents)]).iloc[order].reset_index(drop=True)
    vectors = np.concatenate([index.searcher.vectors, found.vectors])[order]
    known = set(table["key"])
    failed = {key: error for key, error in {**index.facts.failed, **failed}.items() if key not in known}
    num_new = len(order) - num_items
    num_replaced = len(found.documents) - num_new
    changed = (refilled if num_replaced else grown)(index, vectors, documents=table, failed=failed)
    return Change(measure_and_write(index.folder, changed, again=True), num_new, num_replaced, stale=stale)


@dataclass(frozen=True)
class Selection:
    """Which items of an index are meant; one of the three is given.

    Attributes:
        keys: of them; also of items that could not be embedded when they were to be indexed.
        filters: that they fit.
        missing_files: those of which a file is no longer there.

    Raises:
        ConfigError: none of the three is given, or several.
    """

    keys: Sequence[str] = ()
    filters: Filters = field(default_factory=Filters)
    missing_files: bool = False

    def __post_init__(self) -> None:
        if bool(self.keys) + (self.filters != Filters()) + self.missing_files != 1:
            raise ConfigError(
                "say which items are meant in one way: by keys (--key, --keys), by files that are gone (--missing-files), or by filters "
                "(--of-sensor, --since, ...)."
            )

    def keys_in(self, index: Index) -> list[str]:
        """Keys of the items, in the index's order.

        Raises:
            ConfigError: files are asked for, and the index is one of captions.
            DataError: a key is unknown, or no item of the index has the property that a filter asks for.
        """
        names = list(index.items["key"])
        if self.keys:
            wanted = set(self.keys)
            found = [key for key in [*names, *index.facts.failed] if key in wanted]
            if unknown := sorted(wanted - set(found)):
                raise DataError(
                    f"no item '{unknown[0]}' in the index{f' (nor {len(unknown) - 1} others)' if unknown[1:] else ''}."
                    f"{did_you_mean(unknown[0], names)} Nothing was removed."
                )
            return found
        if self.missing_files:
            return [key for key, image in zip(names, index.items["image"], strict=True) if _is_gone(index, image)]
        fits = self.filters.fitting(index.items)
        return [] if fits is None else [names[row] for row in np.flatnonzero(fits)]


def _is_gone(index: Index, image: str) -> bool:
    if index.facts.space.kind != IMAGES:
        raise ConfigError("--missing-files: this is an index of captions, whose images need not be there. Name items with --key.")
    return not all(Path(path).exists() for path in image.split(IMAGE_JOINT))


def remove_from_index(folder: Path, selection: Selection) -> Change:
    """Takes items out of an index; nothing is embedded. One that has become small enough changes its kind.

    Args:
        folder: of the index.
        selection: which.

    Raises:
        ConfigError, DataError: as `Selection.keys_in`; or the index is broken, or nothing would be left of it.
        OutputError: the folder cannot be written, or another process is writing it.
    """
    check_extra()
    read_facts(folder)
    with held(folder):
        index = open_index(folder, verify=True)
        gone = set(selection.keys_in(index))
        if not gone:
            return Change(index.facts)
        kept = np.array([key not in gone for key in index.items["key"]], bool)
        if not kept.any():
            raise DataError(f"{folder}: nothing would be left of {len(kept)} items. Remove the folder, if that is meant.")
        failed = {key: error for key, error in index.facts.failed.items() if key not in gone}
        table = index.items[kept].reset_index(drop=True)
        changed = refilled(index, np.asarray(index.searcher.vectors[kept]), documents=table, failed=failed)
        _keep_for_later(folder, index.facts.generation)
        facts = measure_and_write(folder, changed, again=True)
        return Change(facts, num_removed=int((~kept).sum()))


def _keep_for_later(folder: Path, generation: int) -> None:
    """Vectors that a stopped `add` has made stay where its next call looks for them."""
    stopped, later = job_folder(folder, generation + 1), job_folder(folder, generation + 2)
    if stopped.exists():
        if later.exists():
            rmtree(later)
        stopped.rename(later)
