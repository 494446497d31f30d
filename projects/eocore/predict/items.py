"""What is asked about many images: the items of folders, lists and tables, each with its files by input."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from eocore.data.formats.entries import Entry
from eocore.data.formats.tables import TABLE_SUFFIXES, column_names, read_table
from eocore.data.image_sources import check_relative, stem_of
from eocore.data.io.image_listing import list_images
from eocore.data.io.remote_files import is_remote, without_query
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.log import get_logger
from eocore.predict.image_files import ImageFile
from eocore.predict.inputs import INPUTS, OPTICAL
from eocore.predict.stac_items import ASSETS, image_of, stac_entries
from eocore.text import did_you_mean, some_of

LIST_SUFFIX = ".txt"
IMAGE, TEXT, ID = "image", "text", "id"
"""Columns of a table; `image` is the input "optical", and each input has a column of its name."""
BEFORE = "before"
"""Column of the earlier image of a pair, which is the input "optical"; those of others are `before_sar` and so on."""


@dataclass(frozen=True)
class Item:
    """One question about images of one place.

    Attributes:
        item_id: relative path, which names the files of its masks.
        files: input -> image.
        text: its own question; "" = that of all.
        source: "file:line" of a table, else the path of the image.
        before: input -> image of an earlier date, where the item is a pair.
    """

    item_id: str
    files: Mapping[str, ImageFile]
    text: str = ""
    source: str = ""
    before: Mapping[str, ImageFile] = field(default_factory=dict)


def find_items(sources: Sequence[str], *, options: Mapping[str, ImageFile], pairs: bool = False) -> list[Item]:
    """The items of all sources, in their order; images of several inputs are joined by their paths without endings.

    Args:
        sources: folders, image files, lists (.txt, a path a line), STAC items and tables, each with its input in front ("sar=FOLDER";
            without one, the images are "optical").
        options: input -> what is said of its files (`paths` does not count).
        pairs: columns `before` (`before_INPUT`) of a table name images of an earlier date; else they are not read.

    Raises:
        ConfigError: an input is unknown, a source is none of these, or tables are mixed with others.
        DataError: a source is missing or holds nothing, or two items have one id.
        AnnotationError: a row names no image.
    """
    named = [_split_input(source) for source in sources]
    entries = {path: found for _, path in named if (found := stac_entries(path)) is not None}
    if entries:
        return _checked(_of_stac(named, entries, options=options), sources)
    tables = [path for _, path in named if path.suffix.lower() in TABLE_SUFFIXES and path.is_file()]
    if tables and len(named) > 1:
        raise ConfigError(f"--inputs {tables[0]}: a table names the images of all inputs itself. Give it alone.")
    return _checked(_of_table(tables[0], options, pairs=pairs) if tables else _of_files(named, options), sources)


def _checked(items: list[Item], sources: Sequence[str]) -> list[Item]:
    """The items. Raises DataError where there are none, or two have one id."""
    if not items:
        raise DataError(f"--inputs {' '.join(sources)}: no image in it, so nothing was done. Name lists or tables that hold some.")
    taken: dict[str, Item] = {}
    for item in items:
        other = taken.setdefault(item.item_id, item)
        if other is not item:
            raise DataError(
                f"{item.source}: the id '{item.item_id}' is taken by {other.source}; answers and masks are named by it. Write an id of its "
                "own into the table, or give the folder above both."
            )
    return items


def _of_stac(named: Sequence[tuple[str, Path]], entries: Mapping[Path, Sequence[Entry]], *, options: Mapping[str, ImageFile]) -> list[Item]:
    other = next((path for _, path in named if path not in entries), None)
    if other is not None:
        raise ConfigError(f"--inputs {other}: no STAC item, while others are. Give items alone, or a table that names the files of all.")
    return [_stac_item(entry, name, folder=path.parent, options=options) for name, path in named for entry in entries[path]]


def _stac_item(entry: Entry, name: str, *, folder: Path, options: Mapping[str, ImageFile]) -> Item:
    item_id = entry.identifier(ID).strip()
    check_relative(item_id, entry.source)
    image = image_of(entry, folder=folder, said=options.get(name, ImageFile(())), name=name)
    return Item(item_id, {name: image}, source=entry.source)


def _split_input(source: str) -> tuple[str, Path]:
    name, equals, path = source.partition("=")
    if is_remote(source) or is_remote(path):
        raise ConfigError(f"--inputs {source}: an address; lists, tables and STAC items may name some. Write it into one of them.")
    if equals and not Path(source).exists():
        if name not in INPUTS:
            raise ConfigError(f"--inputs {source}: expected INPUT=PATH, with INPUT one of {', '.join(INPUTS)}.{did_you_mean(name, INPUTS)}")
        return name, Path(path)
    return OPTICAL, Path(source)


def _of_files(named: Iterable[tuple[str, Path]], options: Mapping[str, ImageFile]) -> list[Item]:
    joined: dict[str, dict[str, ImageFile]] = {}
    for name, path in named:
        for item_id, file in _paths(path):
            files = joined.setdefault(item_id, {})
            if name in files:
                raise DataError(f"{file}: the id '{item_id}' is taken by {files[name].paths[0]}. Give the folder above both.")
            files[name] = replace(options.get(name, ImageFile(())), paths=(file,))
    items = [Item(item_id, files, source=next(iter(files.values())).paths[0]) for item_id, files in joined.items()]
    inputs = {name for item in items for name in item.files}
    partial = [item.item_id for item in items if set(item.files) < inputs]
    if partial:
        get_logger().warning(
            "%d of %d items lack one of %s (%s): they are asked about without it",
            len(partial),
            len(items),
            ", ".join(sorted(inputs)),
            some_of(partial, 3),
        )
    return items


def _paths(path: Path) -> list[tuple[str, str]]:
    """(id, file) of a folder, a list or a single image."""
    if path.is_dir():
        found = list_images(path)
        if not found:
            products = list_images(path.parent)
            if path.name in products:  # the folder of a product as delivered
                return [(path.name, str(path))]
            raise DataError(f"{path}: no image files or product folders in it. Name another folder.")
        return [(stem_of(name), str(path / name)) for name in found]
    if path.suffix.lower() == LIST_SUFFIX and path.is_file():
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        return [(_plain_id(line), _beside(line, path.parent)) for line in lines if line and not line.startswith("#")]
    return [(_plain_id(path.name), str(path))]


def _beside(name: str, folder: Path) -> str:
    """A path that counts from a folder; an address is as it is."""
    return name if is_remote(name) else str(folder / name)


def _plain_id(name: str) -> str:
    """An id that lies below the output folder: without root and steps upwards; of an address, without scheme and query."""
    plain = without_query(name).partition("://")[2] if is_remote(name) else name
    parts = [part for part in PurePosixPath(stem_of(plain)).parts if part not in ("..", ".", "/")]
    return "/".join(parts)


def _of_table(path: Path, options: Mapping[str, ImageFile], *, pairs: bool) -> list[Item]:
    rows = read_table(path)
    if rows and ASSETS in rows[0].values:  # STAC items as GeoParquet
        return [_stac_item(row, OPTICAL, folder=path.parent, options=options) for row in rows]
    items = items_of_rows(rows, path=path, options=options)
    earlier = _earlier_columns(column_names(rows), path) if pairs else {}
    if earlier:
        files = (_files(_named(row, earlier), path.parent, options=options) for row in rows)
        items = [replace(item, before=before) for item, before in zip(items, files, strict=True)]
    ignored = [column for column in column_names(rows) if column not in (IMAGE, *INPUTS, TEXT, ID, *earlier)]
    if ignored:
        get_logger().info("%s: columns that are not read: %s", path, ", ".join(ignored))
    return items


def items_of_rows(rows: Sequence[Entry], *, path: Path, options: Mapping[str, ImageFile]) -> list[Item]:
    """An item for each row of a table.

    Args:
        rows: with columns `image` or those of inputs, and if wanted `text` and `id`.
        path: of the table; images are named from its folder.
        options: see `find_items`.

    Raises:
        ConfigError: no row; no column, or two columns, of an input.
        AnnotationError: a row names no image.
    """
    if not rows:
        raise ConfigError(f"{path}: a table without rows, so there is nothing to ask about. Write a row for each item.")
    columns = column_names(rows)
    inputs = {column: OPTICAL if column == IMAGE else column for column in columns if column in (IMAGE, *INPUTS)}
    if not inputs or len(set(inputs.values())) < len(inputs):
        raise ConfigError(
            f"{path}: columns {', '.join(columns)}; expected {IMAGE} or one or more of {', '.join(INPUTS)}, and if wanted {TEXT} (a "
            f"question of its own) and {ID}. Rename the columns."
        )
    return [_row(row, inputs, folder=path.parent, options=options) for row in rows]


def _earlier_columns(columns: Sequence[str], path: Path) -> dict[str, str]:
    """Column -> input of the earlier images of pairs. Raises ConfigError where two columns are of one input."""
    known = {BEFORE: OPTICAL, **{f"{BEFORE}_{name}": name for name in INPUTS}}
    found = {column: known[column] for column in columns if column in known}
    if len(set(found.values())) < len(found):
        raise ConfigError(f"{path}: columns {', '.join(found)} name two earlier images of one input. Leave one of them out.")
    return found


def _row(row: Entry, inputs: Mapping[str, str], *, folder: Path, options: Mapping[str, ImageFile]) -> Item:
    named = _named(row, inputs)
    item_id = row.identifier(ID).strip() if ID in row.values else _plain_id(next(iter(named.values())))
    check_relative(item_id, row.source)
    text = row.text(TEXT).strip() if TEXT in row.values else ""
    return Item(item_id, _files(named, folder, options=options), text, row.source)


def _named(row: Entry, columns: Mapping[str, str]) -> dict[str, str]:
    """Input -> file of the columns (column -> input) that a row fills. Raises AnnotationError where it fills none."""
    named = {name: row.file_name(column).strip() for column, name in columns.items() if column in row.values}
    if not named:
        raise AnnotationError(f"{row.source}: no image in {', '.join(columns)}. Name one, or leave the row out.")
    return named


def _files(named: Mapping[str, str], folder: Path, *, options: Mapping[str, ImageFile]) -> dict[str, ImageFile]:
    return {name: replace(options.get(name, ImageFile(())), paths=(_beside(file, folder),)) for name, file in named.items()}
