"""Maps of many scenes: one that cannot be mapped stops no other."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from eocore.data.records import ImageRef
from eocore.errors import DataError
from eocore.log import get_logger
from eocore.predict.image_files import image_refs
from eocore.predict.items import Item
from eocore.scenes.mapping import load_predictor
from eocore.scenes.maps import MapRequest, MapResult, make_maps
from eocore.scenes.source import SceneSource


@dataclass(frozen=True)
class ManyResult:
    """What became of the scenes.

    Attributes:
        mapped: id -> what was written.
        failed: id -> why there is no map, in one line.
    """

    mapped: Mapping[str, MapResult]
    failed: Mapping[str, str]


def map_many(items: Iterable[Item], request: MapRequest, *, source_of: Callable[[Mapping[str, ImageRef]], SceneSource]) -> ManyResult:
    """A map of each scene in a folder of its id; the same call resumes.

    Args:
        items: scenes.
        request: how they are mapped; its `out` holds the folders, its source does not count.
        source_of: role -> image of a scene -> what of it is mapped.

    Raises:
        ConfigError: the model cannot make maps.
        OutputError: `out` cannot be written to.
    """
    predictor = load_predictor(request.windows.model, device=request.windows.device)
    mapped: dict[str, MapResult] = {}
    failed: dict[str, str] = {}
    for item in items:
        try:
            windows = replace(request.windows, source=source_of(image_refs(item.files)))
            mapped[item.item_id] = make_maps(replace(request, windows=windows, out=request.out / item.item_id, predictor=predictor))
        except DataError as error:
            failed[item.item_id] = " ".join(str(error).split())
            get_logger().error("%s: no map: %s", item.item_id, failed[item.item_id])
    return ManyResult(mapped, failed)
