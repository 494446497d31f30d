"""Maps of many scenes, or answers about them: one that cannot be read stops no other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from eocore.data.records import ImageRef
from eocore.errors import DataError
from eocore.jobs.engine import JobReport
from eocore.log import get_logger
from eocore.predict.image_files import ClassLayers, image_refs
from eocore.predict.items import Item
from eocore.scenes.answers import AnswersRequest, ask_scene
from eocore.scenes.cutting import as_pair
from eocore.scenes.mapping import load_predictor
from eocore.scenes.maps import MapRequest, MapResult, make_maps
from eocore.scenes.source import SceneSource
from eocore.text import some_of

Made = TypeVar("Made")


class SourceOf(Protocol):
    """What of a scene is mapped, see `eocore.scenes.cutting.scene_source`."""

    def __call__(self, refs: Mapping[str, ImageRef], *, layers: Mapping[str, ClassLayers]) -> SceneSource:
        """Of role -> image, and role -> layers of clouds that are known to belong to it."""
        ...


@dataclass(frozen=True)
class ManyResult(Generic[Made]):
    """What became of the scenes.

    Attributes:
        made: id -> what was written.
        failed: id -> why nothing was, in one line.
    """

    made: Mapping[str, Made]
    failed: Mapping[str, str]


def map_many(items: Iterable[Item], request: MapRequest, *, source_of: SourceOf) -> ManyResult[MapResult]:
    """A map of each scene in a folder of its id; the same call resumes.

    Args:
        items: scenes, or pairs of them.
        request: how they are mapped; its `out` holds the folders, its source does not count.
        source_of: what of a scene is mapped.

    Raises:
        ConfigError: the model cannot make maps.
        OutputError: `out` cannot be written to.
    """
    predictor = load_predictor(request.windows.model, device=request.windows.device)

    def make(item: Item, source: SceneSource) -> MapResult:
        windows = replace(request.windows, source=source)
        return make_maps(replace(request, windows=windows, out=request.out / item.item_id, predictor=predictor))

    return _each(items, make, source_of=source_of)


def ask_many(items: Iterable[Item], request: AnswersRequest, *, source_of: SourceOf) -> ManyResult[tuple[list[Path], JobReport]]:
    """Answers about the windows of each scene in a folder of its id; the same call resumes.

    Args:
        items: scenes, or pairs of them; one with a text of its own is asked that.
        request: what else is asked, and how; its `out` holds the folders, its source does not count.
        source_of: what of a scene is asked about.

    Raises:
        ConfigError: the model does not answer in words.
        OutputError: `out` cannot be written to.
    """
    predictor = load_predictor(request.asking.model, device=request.asking.device)

    def make(item: Item, source: SceneSource) -> tuple[list[Path], JobReport]:
        asking = replace(request.asking, source=source, question=item.text or request.asking.question)
        return ask_scene(replace(request, asking=asking, out=request.out / item.item_id, predictor=predictor))

    return _each(items, make, source_of=source_of)


def with_earlier(items: Sequence[Item], earlier: Sequence[Item]) -> list[Item]:
    """Scenes as pairs with those of an earlier date that have their ids; one scene of each date is a pair whatever their ids.

    Args:
        items: of the later date.
        earlier: of the earlier date.

    Raises:
        DataError: ids of scenes are of one date alone.
    """
    if len(items) == len(earlier) == 1:
        return [replace(items[0], before=earlier[0].files)]
    by_id = {item.item_id: item for item in earlier}
    alone = {
        "later": [item.item_id for item in items if item.item_id not in by_id],
        "earlier": sorted(by_id.keys() - {item.item_id for item in items}),
    }
    if any(alone.values()):
        told = " and ".join(f"{len(ids)} of the {date} date ({some_of(ids, 3)})" for date, ids in alone.items() if ids)
        raise DataError(
            f"--inputs and --before: scenes of both dates are joined by their ids, and {told} have no partner, so nothing was "
            "mapped. Name the files of a pair alike, or give --inputs alone a table with columns image (the later one), before and id."
        )
    return [replace(item, before=by_id[item.item_id].files) for item in items]


def _each(items: Iterable[Item], make: Callable[[Item, SceneSource], Made], *, source_of: SourceOf) -> ManyResult[Made]:
    made: dict[str, Made] = {}
    failed: dict[str, str] = {}
    for item in items:
        try:
            refs, layers = _scene(item)
            made[item.item_id] = make(item, source_of(refs, layers=layers))
        except DataError as error:
            failed[item.item_id] = " ".join(str(error).split())
            get_logger().error("%s: nothing was written: %s", item.item_id, failed[item.item_id])
    return ManyResult(made, failed)


def _scene(item: Item) -> tuple[dict[str, ImageRef], dict[str, ClassLayers]]:
    """Role -> image, and role -> its known layers. Raises DataError where the dates of a pair have images of different roles."""
    later = image_refs(item.files)
    layers = [file.class_layers for file in item.files.values()]
    if not item.before:
        return later, dict(zip(later, layers, strict=True))
    earlier = image_refs(item.before)
    if set(earlier) != set(later):
        raise DataError(
            f"{item.source}: images of the earlier date are {', '.join(earlier)}, of the later {', '.join(later)}; a pair has the same "
            "roles at both. Name both images of each, or leave this pair out."
        )
    pair = as_pair(earlier, later)
    return pair, dict(zip(pair, [*(file.class_layers for file in item.before.values()), *layers], strict=True))
