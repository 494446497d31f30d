"""Scenes -> vectors of their windows, as a GeoParquet table that an index of images is built of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eocore.data.io.file_digests import stamp
from eocore.data.io.footprints import outline
from eocore.data.io.vector_table import MadeBy, VectorRow, vector_table
from eocore.errors import DataError, EOError
from eocore.evaluate.engine.digests import folder_digest, model_name
from eocore.jobs.engine import JobReport, run_job
from eocore.jobs.job_folder import JobFolder
from eocore.jobs.processes import InThisProcess
from eocore.jobs.work import Executor, Item
from eocore.log import get_logger
from eocore.predict.asking import check_roles
from eocore.predict.image_files import image_refs, with_sensor
from eocore.predict.items import Item as Images
from eocore.scenes.cutting import scene_source
from eocore.scenes.embedding import FOOTPRINT, SCENE, TIME, VECTOR, EmbedOptions, EmbedWindows
from eocore.scenes.identity import source_identity
from eocore.scenes.mapping import EMPTY
from eocore.scenes.maps import Unreadable, check_failed
from eocore.scenes.polygons import require_geopandas
from eocore.scenes.reading import WINDOW, window_items
from eocore.scenes.source import SceneSource
from eocore.scenes.windows import Tiling
from eocore.text import some_of

VECTORS, WINDOWS = "vectors.parquet", "vector_windows"
SIDE = 256
"""Of windows where nothing is said [px]: a chip as most sets of captions have it."""
CHUNK = 64
ROW_GROUP = 4096
"""Rows that are written at a time."""
STAMP = "stamp"
"""Key of an item: tells another state of its scene's files."""


@dataclass(frozen=True, kw_only=True)
class VectorsRequest:
    """What is embedded, and how.

    Attributes:
        embedding: the model and the scenes.
        out: folder of the results; the same request resumes in it.
        side, overlap: of windows [px].
        unreadable: what becomes of windows that cannot be read or that the model refuses: "stop", or "mark" them as without a vector.
        executor: where windows are worked on.
        overwrite: throw away what another request has left in the folder.
    """

    embedding: EmbedOptions
    out: Path
    side: int = SIDE
    overlap: int = 0
    unreadable: Unreadable = "stop"
    executor: Executor = field(default_factory=InThisProcess)
    overwrite: bool = False


@dataclass(frozen=True)
class VectorsResult:
    """What was written.

    Attributes:
        file: the table.
        num_vectors, num_empty: windows with a vector, and with too little data for one.
        failed: key -> why, of the others.
    """

    file: Path
    num_vectors: int
    num_empty: int
    failed: dict[str, str]


def find_scenes(
    images: Sequence[Images], *, unreadable: Unreadable = "stop", clouds: str | None = None
) -> tuple[dict[str, SceneSource], dict[str, str]]:
    """The scenes of items by their ids, and why others cannot be read.

    Args:
        images: from `eocore.predict.items.find_items`.
        unreadable: whether a scene that cannot be opened stops everything.
        clouds: see `eocore.scenes.clouds.find_clouds`; clouds count as pixels without data. None = as what they look like.

    Raises:
        EOError: a scene cannot be opened or does not say where it lies, and this is to stop everything; or none can be opened.
    """
    found: dict[str, SceneSource] = {}
    failed: dict[str, str] = {}
    for item in images:
        try:
            refs = image_refs({name: with_sensor(name, file) for name, file in item.files.items()})
            layers = {role: file.class_layers for role, file in zip(refs, item.files.values(), strict=True)}
            source = scene_source(refs, clouds=clouds, layers=layers)
            source.place()
            found[item.item_id] = source
        except EOError as error:
            if unreadable == "stop" or len(images) == 1:
                raise
            failed[item.item_id] = " ".join(str(error).split())
    if failed:
        told = some_of([f"{name}: {error}" for name, error in failed.items()], 3)
        if not found:
            raise DataError(f"none of {len(failed)} scenes can be read: {told}. Correct the inputs.")
        get_logger().warning("%d of %d scenes cannot be read and are left out (%s)", len(failed), len(images), told)
    return found, failed


def embed_scenes(request: VectorsRequest) -> VectorsResult:
    """Embeds the windows that have no vector yet, and writes the table.

    Raises:
        ConfigError: the model does not embed images, or an option does not fit the scenes.
        DataError: windows could not be embedded and the request says "stop"; none holds enough data; or the folder holds another job.
        OutputError: the folder cannot be written to.
    """
    require_geopandas()
    options = request.embedding
    work = EmbedWindows(options)
    for source in options.scenes.values():
        check_roles(work.predictor, source.refs)
    made_by = MadeBy(model_name(options.model), folder_digest(options.model), str(options.model.resolve()))
    folder = JobFolder(request.out / WINDOWS, _choices(request, made_by), chunk_size=CHUNK)
    try:
        report = run_job(work, _items(request), folder=folder, executor=request.executor, overwrite=request.overwrite)
        check_failed(report, unreadable=request.unreadable)
        return _write(request, folder, made_by=made_by, report=report)
    finally:
        folder.close()


def _items(request: VectorsRequest) -> list[Item]:
    items = []
    for name, source in request.embedding.scenes.items():
        place = source.place()
        tiling = Tiling(height=place.height, width=place.width, side=request.side, overlap=request.overlap)
        state = stamp(source_identity(source))
        items += [Item(f"{name}/{item.key}", {SCENE: name, STAMP: state, **item.payload}) for item in window_items(tiling)]
    return items


def _write(request: VectorsRequest, folder: JobFolder, *, made_by: MadeBy, report: JobReport) -> VectorsResult:
    path = request.out / VECTORS
    num_empty = 0
    with vector_table(path, made_by) as table:
        rows: list[VectorRow] = []
        for item, outcome in folder.outcomes():
            if outcome.result is None:
                continue
            if outcome.result[EMPTY]:
                num_empty += 1
                continue
            rows.append(_row(item, outcome.result, scenes=request.embedding.scenes))
            if len(rows) == ROW_GROUP:
                table.write(rows)
                rows = []
        table.write(rows)
        if not table.num_rows:
            raise DataError(
                f"{request.out}: none of {report.num_items} windows has data in {100 * request.embedding.min_data:g} % of its pixels. "
                "Ask for less with --min-data, or name other scenes."
            )
    return VectorsResult(path, table.num_rows, num_empty, report.failed)


def _row(item: Item, result: Mapping[str, Any], *, scenes: Mapping[str, SceneSource]) -> VectorRow:
    refs = scenes[item.payload[SCENE]].refs.values()
    return VectorRow(
        item.key,
        result[VECTOR],
        image="; ".join(_absolute(refs)),
        window=",".join(map(str, item.payload[WINDOW])),
        time=result[TIME],
        sensor="+".join(dict.fromkeys(ref.sensor for ref in refs)),
        stamp=item.payload[STAMP],
        footprint=outline(result[FOOTPRINT]),
    )


def _absolute(refs: Any) -> Iterator[str]:
    return (str(Path(path).absolute()) for ref in refs for path in ref.paths)


def _choices(request: VectorsRequest, made_by: MadeBy) -> dict[str, Any]:
    """What vectors depend on; the scenes' files are told by the items."""
    options = request.embedding
    return {
        "model": made_by.digest,
        "batch_size": options.batch_size,
        "min_data": options.min_data,
        "side": request.side,
        "overlap": request.overlap,
        "scenes": stamp({name: [asdict(ref) for ref in source.refs.values()] for name, source in options.scenes.items()}),
    }
