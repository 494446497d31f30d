"""A scene -> its maps: windows scored by a job, blended, decided, written as rasters and polygons."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from rasterio.crs import CRS

from eocore.data.io.file_digests import stamp
from eocore.data.io.remote_files import without_query
from eocore.errors import ConfigError, DataError
from eocore.evaluate.engine.digests import model_digests
from eocore.evaluate.protocols import PixelScale
from eocore.files import write_file
from eocore.jobs.engine import JobReport, run_job
from eocore.jobs.job_folder import JobFolder
from eocore.jobs.processes import InThisProcess
from eocore.jobs.work import Executor
from eocore.log import get_logger
from eocore.scenes.blending import blended_blocks
from eocore.scenes.cog import CACHE_BYTES, CogWriter, Raster
from eocore.scenes.decisions import MOST_PROMPTS, NODATA, NONE_OF_THEM, Decision
from eocore.scenes.identity import source_identity
from eocore.scenes.mapping import MapOptions, MapWindows, check_images, load_predictor
from eocore.scenes.pixel_scores import as_pixel_scores
from eocore.scenes.place import Place
from eocore.scenes.polygons import PolygonOptions, check_formats, class_polygons, require_geopandas, write_polygons
from eocore.scenes.reading import window_items
from eocore.scenes.report import NO_DATA, NONE, write_report
from eocore.scenes.stac import stac_item
from eocore.scenes.stored_scores import CHUNK, StoredScores
from eocore.scenes.windows import Tiling
from eocore.text import some_of

CLASSES, VALUES, SUMMARY, ITEM, WINDOWS = "classes.tif", "values.tif", "map.json", "item.json", "windows"
THRESHOLD = 0.5
"""Probability from which on a pixel is of a prompt: as `mask > 0` of logits."""
Unreadable = Literal["stop", "mark"]


@dataclass(frozen=True, kw_only=True)
class MapRequest:
    """What is mapped, and how.

    Attributes:
        windows: how windows are scored.
        out: folder of the results; the same request resumes in it.
        side, overlap: of windows [px]; None = what the model sees best, and a quarter of it.
        threshold: see `Decision`; None = THRESHOLD of logits, and none of relative scores.
        polygons: which are made.
        formats: of the polygons' files; empty = no polygons.
        unreadable: what becomes of windows that cannot be read or that the model refuses: "stop", or "mark" them as without data.
        executor: where windows are worked on.
        overwrite: throw away what another request has left in the folder.
        predictor: of the model, where this process has made it before; None = it is made of the folder.

    Raises:
        ConfigError: no prompt, one twice or of a name that is taken, or more than a map can hold; or an unknown format.
    """

    windows: MapOptions
    out: Path
    side: int | None = None
    overlap: int | None = None
    threshold: float | None = None
    polygons: PolygonOptions = field(default_factory=PolygonOptions)
    formats: Sequence[str] = ("gpkg",)
    unreadable: Unreadable = "stop"
    executor: Executor = field(default_factory=InThisProcess)
    overwrite: bool = False
    predictor: Any = None

    def __post_init__(self) -> None:
        prompts = self.windows.prompts
        if {NONE, NO_DATA} & set(prompts):
            raise ConfigError(f"'{NONE}' and '{NO_DATA}' are what a map calls pixels of no prompt; ask for something in other words.")
        if not prompts or len(set(prompts)) < len(prompts) or not all(text.strip() for text in prompts) or len(prompts) > MOST_PROMPTS:
            raise ConfigError(
                f"{len(prompts)} prompts ({some_of(list(prompts))}): expected 1 to {MOST_PROMPTS}, each once and none empty; a layer is "
                "named by each. Correct --prompt."
            )
        check_formats(self.formats)


@dataclass(frozen=True)
class MapResult:
    """What was written.

    Attributes:
        files: maps, polygons and the summary.
        summary: what map.json holds.
    """

    files: tuple[Path, ...]
    summary: dict[str, Any]


@dataclass(frozen=True)
class _Plan:
    """A request with what its scene and model say."""

    request: MapRequest
    tiling: Tiling
    place: Place
    scale: PixelScale

    @property
    def decision(self) -> Decision:
        chosen = self.request.threshold
        return Decision(self.scale, THRESHOLD if chosen is None and self.scale == "logits" else chosen)


def make_maps(request: MapRequest) -> MapResult:
    """Scores the windows that have no scores yet, and writes all maps.

    Raises:
        ConfigError: the model cannot make maps, or an option does not fit it or the scene.
        DataError: the scene cannot be read or does not say where it lies; windows could not be scored and the request says "stop"; or the
            folder holds the windows of another request.
        OutputError: the folder cannot be written to.
    """
    began = time.monotonic()
    if request.formats:
        require_geopandas()
    if any(ord(character) < ord(" ") for character in str(request.out)):
        raise DataError(
            f"{str(request.out)!r}: a folder whose name holds a line break or the like, where no GeoPackage can be made. "
            "Rename the image, or name another folder with --out."
        )
    plan = _plan(request)
    folder = JobFolder(request.out / WINDOWS, _choices(plan), chunk_size=CHUNK)
    try:
        work = MapWindows(request.windows, request.predictor)
        items = window_items(plan.tiling)
        report = run_job(work, items, folder=folder, executor=request.executor, overwrite=request.overwrite)
        check_failed(report, unreadable=request.unreadable)
        files, counts = _write_rasters(plan, StoredScores(folder, plan.tiling, num_layers=len(request.windows.prompts)))
    finally:
        folder.close()
    summary = _summary(plan, counts, report=report)
    if request.formats:
        polygons, left_out = class_polygons(*files, names=request.windows.prompts, options=request.polygons)
        files += write_polygons(polygons, request.out, formats=request.formats)
        by_class = {name: int((polygons.label == name).sum()) for name in request.windows.prompts}
        summary["polygons"] = {"written": len(polygons), "too_small": left_out, "by_class": by_class}
    files += write_report(request.out, files[0], summary=summary, pixel_m2=_pixel_m2(plan.place))
    files += [_write_json(request.out / SUMMARY, summary)]
    files += [_write_json(request.out / ITEM, _item(plan, files))]
    get_logger().info("%s: %d windows in %.0f s", request.out, report.num_items, time.monotonic() - began)
    return MapResult(tuple(files), summary)


def _plan(request: MapRequest) -> _Plan:
    place = request.windows.source.place()
    predictor = request.predictor or load_predictor(request.windows.model, device=request.windows.device)
    check_images(predictor, request.windows.source)
    model = as_pixel_scores(predictor)
    side = request.side or model.window_side
    overlap = side // 4 if request.overlap is None else request.overlap
    return _Plan(request, Tiling(height=place.height, width=place.width, side=side, overlap=overlap), place, model.pixel_scale)


def _choices(plan: _Plan) -> dict[str, Any]:
    """What the scores of windows depend on."""
    options = plan.request.windows
    return {
        "model": stamp(model_digests(options.model)),
        "prompts": list(options.prompts),
        "batch_size": options.batch_size,
        "tiling": asdict(plan.tiling),
        **source_identity(options.source),
    }


def check_failed(report: JobReport, *, unreadable: Unreadable) -> None:
    """Raise DataError if windows failed and the choice is "stop", or all of them did."""
    if report.failed and (unreadable == "stop" or not report.num_done):
        told = some_of([f"{key}: {error}" for key, error in report.failed.items()], 3)
        raise DataError(
            f"{len(report.failed)} of {report.num_items} windows (row_column) have no result, so nothing was written: {told}. Fix the "
            "file and run the same command again, which computes these alone; or mark them as without data (--unreadable mark)."
        )


def _write_rasters(plan: _Plan, scores: StoredScores) -> tuple[list[Path], Counter[int]]:
    """Writes the maps of classes and values; the pixels of each class number."""
    prompts, out = plan.request.windows.prompts, plan.request.out
    named = {str(number): name for number, name in enumerate(prompts, start=1)} | {str(NONE_OF_THEM): "none of them"}
    height, width, georeference = plan.place
    tags = {"classes": json.dumps(named, ensure_ascii=False)}
    classes = Raster(
        height=height, width=width, georeference=georeference, dtype="uint8", nodata=NODATA, layers=["class"], tags=tags, categories=True
    )
    kind = "probability" if plan.scale == "logits" else "score"
    nan = float("nan")
    values = Raster(
        height=height, width=width, georeference=georeference, dtype="float32", nodata=nan, layers=prompts, tags={"values": kind}
    )
    counts: Counter[int] = Counter()
    limited = rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES)
    with limited, CogWriter(out / CLASSES, classes) as class_file, CogWriter(out / VALUES, values) as value_file:
        for block, blended in blended_blocks(plan.tiling, scores, num_layers=len(prompts)):
            found = plan.decision.values(blended)
            numbers = plan.decision.classes(found)
            value_file.write(block, found)
            class_file.write(block, numbers[None])
            counts.update(dict(enumerate(np.bincount(numbers.ravel(), minlength=NODATA + 1).tolist())))
    return [out / CLASSES, out / VALUES], counts


def _summary(plan: _Plan, counts: Counter[int], *, report: JobReport) -> dict[str, Any]:
    options = plan.request.windows
    names = {NONE_OF_THEM: NONE, NODATA: NO_DATA} | dict(enumerate(options.prompts, start=1))
    return {
        "model": str(options.model),
        "prompts": list(options.prompts),
        "images": {role: [without_query(path) for path in ref.paths] for role, ref in options.source.refs.items()},
        "values": plan.scale,
        "threshold": plan.decision.threshold,
        "tiling": asdict(plan.tiling),
        "windows": {"all": report.num_items, "failed": dict(report.failed)},
        "pixels": {name: counts[number] for number, name in names.items()},
    }


def _item(plan: _Plan, files: Sequence[Path]) -> dict[str, Any]:
    options = plan.request.windows
    times = [ref.time for ref in options.source.refs.values()]
    return stac_item(
        plan.request.out.resolve().name, plan.place, files=files, times=times, properties={"map:prompts": list(options.prompts)}
    )


def _pixel_m2(place: Place) -> float:
    """Area of a pixel where the CRS is of a plane, else NaN: it changes with the latitude."""
    crs = CRS.from_wkt(place.georeference.crs)
    a, b, _, d, e, _ = place.georeference.transform
    return abs(a * e - b * d) * float(crs.linear_units_factor[1]) ** 2 if crs.is_projected else float("nan")


def _write_json(path: Path, content: Any) -> Path:
    write_file(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path
