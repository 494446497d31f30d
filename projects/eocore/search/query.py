"""Questions to an index: by words, images, items that are in it, and of those items that fit filters."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eocore.errors import ConfigError, DataError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.files import write_file
from eocore.log import get_logger
from eocore.predict.image_files import ImageFile
from eocore.search.documents import row_fields
from eocore.search.encoders import Encoder, ImageEncoder
from eocore.search.filters import Filters
from eocore.search.index_folder import IMAGES, Index
from eocore.text import did_you_mean

LIKE_WEIGHT, UNLIKE_WEIGHT = 0.75, 0.15
"""Of items that are and are not what is looked for, beside 1 for the query itself. Source: Rocchio's feedback with the weights of Manning,
Raghavan and Schuetze 2008, section 9.1.1."""
OUTPUTS = (".jsonl", ".csv", ".geojson")


@dataclass(frozen=True)
class Query:
    """What is looked for; all that is given counts together.

    Attributes:
        text: words.
        image: an image by input.
        like, unlike: keys of items of the index: more like these, less like those. They are no results themselves.
        k: results.
        filters: which items count.
    """

    text: str = ""
    image: Mapping[str, ImageFile] = field(default_factory=dict)
    like: Sequence[str] = ()
    unlike: Sequence[str] = ()
    k: int = 10
    filters: Filters = field(default_factory=Filters)

    @property
    def needs_model(self) -> bool:
        """Whether something must be embedded."""
        return bool(self.text or self.image)


@dataclass(frozen=True)
class Hit:
    """One result.

    Attributes:
        rank: 1 = nearest.
        score: cosine with the query.
        row: of the index's items.
    """

    rank: int
    score: float
    row: int


def find(index: Index, query: Query, *, encoder: Encoder | None) -> list[Hit]:
    """The nearest items that fit, nearest first.

    Args:
        index: to search.
        query: what is looked for.
        encoder: of the index's space; None where the query needs no model.

    Raises:
        ConfigError: nothing is looked for, more results than items are asked for, or an image in an index of captions.
        DataError: a key is unknown, a text has no word, no item fits, or what was given cancels itself out.
    """
    _check_count(index, query)
    return find_nearest(index, query, vectors=_embedded(index, query, encoder=encoder))


def find_nearest(index: Index, query: Query, *, vectors: Sequence[np.ndarray]) -> list[Hit]:
    """As `find`, where the words and images of the query are vectors already.

    Args:
        index: to search.
        query: `text` and `image` do not count.
        vectors: (D,) each of length 1.

    Raises:
        ConfigError, DataError: as `find`.
    """
    _check_count(index, query)
    num_items = index.facts.num_items
    rows = {name: _rows(index, keys) for name, keys in (("like", query.like), ("unlike", query.unlike))}
    vector = _vector(index, vectors, rows=rows)
    allowed = query.filters.fitting(index.items)
    named = [*rows["like"], *rows["unlike"]]
    if named:
        allowed = np.ones(num_items, dtype=bool) if allowed is None else allowed
        allowed[named] = False
    num_fitting = num_items if allowed is None else int(allowed.sum())
    if not num_fitting:
        raise DataError(f"none of {num_items} items fits the filters. Loosen one.")
    if num_fitting < query.k:
        get_logger().info("%d of %d items fit: there are as many results", num_fitting, num_items)
    found, scores = index.searcher.search(vector, k=min(query.k, num_fitting), allowed=allowed)
    return [Hit(rank, float(score), int(row)) for rank, (row, score) in enumerate(zip(found, scores, strict=True), start=1)]


def _check_count(index: Index, query: Query) -> None:
    num_items = index.facts.num_items
    if not 1 <= query.k <= num_items:
        raise ConfigError(f"--k {query.k}: the index holds {num_items} items. Give a number from 1 to {num_items}.")


def _rows(index: Index, keys: Sequence[str]) -> list[int]:
    if not keys:
        return []
    known = {key: row for row, key in enumerate(index.items["key"])}
    for key in keys:
        if key not in known:
            raise DataError(f"no item '{key}' in the index.{did_you_mean(key, known)} Results name the keys.")
    return [known[key] for key in keys]


def _vector(index: Index, parts: Sequence[np.ndarray], *, rows: Mapping[str, Sequence[int]]) -> np.ndarray:
    """(D,) of length 1: what is looked for, moved towards what it is like and away from what it is not."""
    if not parts and not rows["like"]:
        raise ConfigError("nothing to look for: give --text, --image or --like.")
    vector = unit_vectors(np.sum(parts, axis=0)[None])[0] if parts else np.zeros(index.facts.width, dtype=np.float32)
    for name, weight in (("like", LIKE_WEIGHT), ("unlike", -UNLIKE_WEIGHT)):
        if rows[name]:
            vector = vector + weight * np.asarray(index.searcher.vectors[np.sort(rows[name])]).mean(axis=0)
    try:
        found: np.ndarray = unit_vectors(vector[None])[0]
    except DataError as error:
        raise DataError("what is looked for and what is not cancel each other out. Leave out --unlike, or name others.") from error
    return found


def _embedded(index: Index, query: Query, *, encoder: Encoder | None) -> list[np.ndarray]:
    if not query.needs_model:
        return []
    if encoder is None:
        raise ConfigError("a query by words or an image needs the model of the index. Give --model.")
    parts = [encoder.texts([query.text])[0]] if query.text else []
    if query.image:
        if index.facts.space.kind != IMAGES or not isinstance(encoder, ImageEncoder):
            raise ConfigError("--image: this is an index of captions, which an image cannot be compared with. Give --text.")
        parts.append(encoder.images([query.image])[0])
    return parts


def describe_hits(index: Index, hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """What is known of each result, as JSON values."""
    return [{"rank": hit.rank, "score": round(hit.score, 6), **row_fields(index.items.iloc[hit.row])} for hit in hits]


def write_hits(path: Path, index: Index, *, hits: Sequence[Hit]) -> None:
    """Writes results as JSON lines, CSV (footprints as WKT) or GeoJSON (with footprints), by the ending of the name.

    Raises:
        ConfigError: another ending.
        OutputError: the file cannot be written.
    """
    check_output(path)
    if path.suffix == ".jsonl":
        write_file(path, "".join(json.dumps(line) + "\n" for line in describe_hits(index, hits)))
        return
    table = index.items.iloc[[hit.row for hit in hits]].drop(columns="stamp").reset_index(drop=True)
    table.insert(0, "rank", [hit.rank for hit in hits])
    table.insert(1, "score", [round(hit.score, 6) for hit in hits])
    write_file(path, table.to_csv(index=False) if path.suffix == ".csv" else table.to_json(to_wgs84=True) + "\n")


def check_output(path: Path) -> None:
    """Raise ConfigError if results cannot be written in the form that a name ends in."""
    if path.suffix not in OUTPUTS:
        raise ConfigError(f"--out {path}: expected a name that ends in {', '.join(OUTPUTS)}, which says how results are written.")
