"""So2Sat's HDF5 file -> test.jsonl with s2/, s1/ and rgb/, one GeoTIFF a patch and sensor; and the writers of such files."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from affine import Affine
from PIL import Image
from rasterio.io import MemoryFile

from eocore.errors import ConfigError, DataError
from eocore.evaluate.benchmarks.multispectral import LCZ_17, SO2SAT_BANDS
from eocore.files import require_writable, write_file
from eocore.sensors.scene import Scene
from eocore.synthetic.test_sets.images import save_lines

TRUE_COLOUR_MOST = 0.3
"""Reflectance shown as full brightness in rgb/ [1]. Source: Sentinel-2 L2A algorithm document, true-colour image."""

SEN1_INTENSITY = {"VV": 5, "VH": 4}
"""Channels of `sen1`, intensity after the refined Lee filter. Source: So2Sat LCZ42 documentation (mediaTUM 1454690)."""


def write_layers(path: Path, layers: np.ndarray, *, scene: Scene) -> None:
    """Writes (C, H, W) as GeoTIFF with the names and the place of the scene's bands."""
    georeference = {}
    if scene.georeference is not None:
        georeference = {"crs": scene.georeference.crs or None, "transform": Affine(*scene.georeference.transform)}
    count, height, width = layers.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": layers.dtype.name, "compress": "deflate"}
    with MemoryFile() as memory:  # GDAL itself says nothing of a full disk when it closes a file
        with memory.open(**profile, **georeference) as file:
            file.write(layers)
            file.descriptions = scene.bands
        write_file(path, memory.read())


def write_rgb(path: Path, scene: Scene) -> None:
    """Writes the scene in true colour, as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = scene.pixels[[scene.bands.index(band) for band in ("B04", "B03", "B02")]]
    picture = np.rint(255 * (np.nan_to_num(chosen) / TRUE_COLOUR_MOST).clip(0, 1)).astype(np.uint8)
    Image.fromarray(np.moveaxis(picture, 0, -1)).save(path)


def prepare_so2sat(source: Path, out: Path, *, limit: int | None = None, on_patch: Callable[[], None] = lambda: None) -> dict[str, int]:
    """Writes test.jsonl and the patches of an HDF5 file of So2Sat LCZ42; returns their number.

    Args:
        source: testing.h5 or validation.h5, with `sen1` (N, 32, 32, 8), `sen2` (N, 32, 32, 10) and `label` (N, 17).
        out: folder to write to.
        limit: only the first so many; None = all.
        on_patch: called after each patch.

    Raises:
        ConfigError: h5py is not installed.
        DataError: the file is missing, or has not these arrays.
        OutputError: `out` cannot be written to; this is found first.
    """
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            "So2Sat's files need h5py, which is not installed. Install the extra: pip install 'eocore-earthmind[eval]'."
        ) from error
    if not source.is_file():
        raise DataError(f"{source}: no such file. Fetch testing.h5 of So2Sat LCZ42.")
    require_writable(out, "the data set")
    lines = []
    try:
        with h5py.File(source) as file:
            _check_shapes(source, {name: file[name].shape if name in file else () for name in ("sen1", "sen2", "label")})
            for number in range(min(len(file["label"]), limit or len(file["label"]))):
                name = f"{source.stem}_{number:06d}"
                _write_zone(out, name, optical=np.moveaxis(file["sen2"][number], -1, 0), radar=np.moveaxis(file["sen1"][number], -1, 0))
                lines.append({"image": name, "labels": [LCZ_17[int(file["label"][number].argmax())]]})
                on_patch()
    except OSError as error:
        raise DataError(f"{source}: cannot be read as HDF5 ({error}). Fetch it again.") from error
    save_lines(out / "test.jsonl", lines)
    return {"patches": len(lines)}


def _check_shapes(source: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    last = {"sen1": 8, "sen2": len(SO2SAT_BANDS), "label": len(LCZ_17)}
    counts = {shape[0] for shape in shapes.values() if shape}
    if len(counts) != 1 or any(not shape or shape[-1] != last[name] for name, shape in shapes.items()):
        raise DataError(f"{source}: arrays {dict(shapes)}; expected sen1 (N, H, W, 8), sen2 (N, H, W, 10), label (N, 17). Fetch it again.")


def _write_zone(out: Path, name: str, *, optical: np.ndarray, radar: np.ndarray) -> None:
    scene = Scene(optical.astype(np.float32), tuple(SO2SAT_BANDS), "sentinel2_l1c_reflectance", "reflectance")
    write_layers(out / "s2" / f"{name}.tif", scene.pixels, scene=scene)
    write_rgb(out / "rgb" / f"{name}.png", scene)
    power = radar[list(SEN1_INTENSITY.values())].astype(np.float32)
    write_layers(out / "s1" / f"{name}.tif", power, scene=Scene(power, tuple(SEN1_INTENSITY), "sentinel1_grd_linear", "sigma0_db"))
