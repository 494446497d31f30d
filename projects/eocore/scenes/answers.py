"""Answers about the windows of a scene as a vector layer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
from affine import Affine

from eocore.data.io.file_digests import stamp
from eocore.errors import ConfigError
from eocore.evaluate.engine.digests import model_digests
from eocore.jobs.engine import JobReport, run_job
from eocore.jobs.job_folder import JobFolder
from eocore.jobs.processes import InThisProcess
from eocore.jobs.work import Executor
from eocore.scenes.asking import ANSWER, AskOptions, AskWindows
from eocore.scenes.identity import source_identity
from eocore.scenes.mapping import EMPTY, check_images
from eocore.scenes.maps import Unreadable, check_failed
from eocore.scenes.place import Place
from eocore.scenes.polygons import check_formats, require_geopandas, write_polygons
from eocore.scenes.reading import WINDOW, window_items
from eocore.scenes.windows import Tiling

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

LAYER, WINDOWS = "answers", "answer_windows"
SIDE = 256
"""Of windows where nothing is said [px]: a chip as most sets of captions have it."""
CHUNK = 32


@dataclass(frozen=True, kw_only=True)
class AnswersRequest:
    """What is asked, and how.

    Attributes:
        asking: the question, the model and the scene.
        out: folder of the results; the same request resumes in it.
        side: of windows, which stand side by side [px].
        formats: of the layer's files.
        unreadable: see `eocore.scenes.maps.MapRequest`.
        executor: where windows are worked on.
        overwrite: throw away what another request has left in the folder.
        predictor: of the model, where this process has made it before; None = it is made of the folder.

    Raises:
        ConfigError: the question is empty, or a format is unknown.
    """

    asking: AskOptions
    out: Path
    side: int = SIDE
    formats: Sequence[str] = ("gpkg",)
    unreadable: Unreadable = "stop"
    executor: Executor = field(default_factory=InThisProcess)
    overwrite: bool = False
    predictor: Any = None

    def __post_init__(self) -> None:
        if not self.asking.question.strip():
            raise ConfigError("the question is empty; expected what to ask about each window.")
        check_formats(self.formats)


def ask_scene(request: AnswersRequest) -> tuple[list[Path], JobReport]:
    """Asks about the windows that have no answer yet; writes a polygon for each window with its answer.

    Raises:
        ConfigError: the model does not answer in words, or geopandas is not installed.
        DataError, OutputError: as `eocore.scenes.maps.make_maps`.
    """
    require_geopandas()
    place = request.asking.source.place()
    tiling = Tiling(height=place.height, width=place.width, side=request.side, overlap=0)
    work = AskWindows(request.asking, request.predictor)
    check_images(work.predictor, request.asking.source)  # which also refuses a model that does not answer in words
    folder = JobFolder(request.out / WINDOWS, _choices(request, tiling), chunk_size=CHUNK)
    try:
        report = run_job(work, window_items(tiling), folder=folder, executor=request.executor, overwrite=request.overwrite)
        check_failed(report, unreadable=request.unreadable)
        frame = answer_layer(folder, place)
    finally:
        folder.close()
    return write_polygons(frame, request.out, formats=request.formats, layer=LAYER), report


def answer_layer(folder: JobFolder, place: Place) -> "GeoDataFrame":
    """A polygon for each window that was answered, with `answer`, `row`, `column` [px].

    Args:
        folder: of the job, open.
        place: of the scene.
    """
    import geopandas

    to_map = Affine(*place.georeference.transform)
    rows: list[dict[str, Any]] = []
    for item, outcome in folder.outcomes():
        if outcome.result is not None and not outcome.result[EMPTY]:
            row, col, height, width = item.payload[WINDOW]
            corners = [(col, row), (col + width, row), (col + width, row + height), (col, row + height)]
            outline = shapely.Polygon([to_map @ corner for corner in corners])
            rows.append({"answer": outcome.result[ANSWER], "row": row, "column": col, "geometry": outline})
    columns = ["answer", "row", "column", "geometry"]
    return geopandas.GeoDataFrame(rows, columns=columns, geometry="geometry", crs=place.georeference.crs)


def _choices(request: AnswersRequest, tiling: Tiling) -> dict[str, Any]:
    asking = request.asking
    return {
        "model": stamp(model_digests(asking.model)),
        "question": asking.question,
        "max_new_tokens": asking.max_new_tokens,
        "batch_size": asking.batch_size,
        "tiling": asdict(tiling),
        **source_identity(asking.source),
    }
