"""Sentinel-2 Level-1C and Level-2A products as delivered: SAFE folders of both namings, one JPEG 2000 file a band and resolution.

Source of names and elements: ESA Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD), sections on product naming and metadata.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eocore.data.io.image_files import open_layers
from eocore.data.io.layer_file import LayerFile
from eocore.data.io.products.acquisition import Acquisition, as_cloud_cover, as_time
from eocore.data.io.products.layers import (
    WHOLE,
    ProductChoice,
    ProductLayer,
    check_complete,
    check_sensor,
    file_inside_product,
    holds,
    wanted_bands,
    whole_factor,
)
from eocore.data.io.products.metadata import Metadata, kept, listed_in_manifest
from eocore.errors import DataError
from eocore.sensors.bands import SENTINEL2_L1C_BANDS, SENTINEL2_OFFSET_PB0400_DN, SENTINEL2_QUANTIFICATION, get_sensor
from eocore.sensors.ranges import Scaling
from eocore.sensors.scaling import scale_digital

NODATA_DN, SATURATED_DN = 0, 65_535
"""Special values of the products (SPECIAL_VALUE_TEXT NODATA and SATURATED). Source: as above."""
OFFSET_SINCE_BASELINE = 4.0
"""From this processing baseline on the metadata list an offset for each band. Source: as above, version 14.9."""

_FOLDER = re.compile(r"S2[A-D]_(?:OPER|USER)_PRD_MSIL(1C|2A)_|S2[A-D]_MSIL(1C|2A)_")
_LEVEL = re.compile(r"(?:^|_)(?:MSIL|L)(1C|2A)_")
_METADATA = re.compile(r"(?:MTD_MSIL|S2[A-D]_(?:OPER|USER)_MTD_SAFL)(?:1C|2A)(?:_\w+)?\.xml")
_IMAGE = re.compile(r"_(B\d\d|B8A)(?:_(10|20|60)m)?\.jp2$")
_TILE = re.compile(r"_T(\d{2}[A-Z]{3})(?:_|$)")
_BAND_IDS = tuple(band.name for band in SENTINEL2_L1C_BANDS)
"""band_id of the metadata -> band. Source: as above, Spectral_Information."""


def is_product(folder: Path) -> bool:
    """Whether a folder is such a product, or a tile of one (a folder below GRANULE), complete or not."""
    return bool(_FOLDER.match(_product_folder(folder).name) or find_metadata(folder)) or (folder / "GRANULE").is_dir()


def find_metadata(folder: Path) -> Path | None:
    """The file of a product's metadata in its folder."""
    return next((path for path in sorted(folder.glob("*.xml")) if _METADATA.fullmatch(path.name)), None)


def sensor_of_files(path: Path) -> str:
    """Name in the sensor registry of the files of a product.

    Args:
        path: of its metadata.

    Raises:
        DataError: the metadata are broken, or state offsets that no sensor has.
    """
    metadata = kept(path, Metadata)
    radiometry = _Radiometry.read(metadata)
    if radiometry.quantification != SENTINEL2_QUANTIFICATION or (radiometry.offsets and not radiometry.has_offset):
        raise DataError(
            f"{path}: quantification {radiometry.quantification:g} and offsets {sorted(set(radiometry.offsets.values()))}; files alone are "
            f"read with {SENTINEL2_QUANTIFICATION} and none or {SENTINEL2_OFFSET_PB0400_DN}. Give the folder of the product instead."
        )
    return f"sentinel2_l{_level(metadata).lower()}{'_pb0400' if radiometry.has_offset else ''}"


def _product_folder(folder: Path) -> Path:
    return folder.parent.parent if folder.parent.name == "GRANULE" else folder


class Sentinel2Product:
    """A product, of which one tile is read.

    Args:
        folder: of the product, or of one of its tiles below GRANULE.

    Raises:
        DataError: metadata are missing or broken, or the product holds several tiles and the folder names none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = _product_folder(folder)
        named = next((name for path in (self.folder, *self.folder.glob("GRANULE/*")) if (name := _LEVEL.search(path.name))), None)
        level = named[1] if named else "2A"
        self._metadata = kept(find_metadata(self.folder) or self.folder / f"MTD_MSIL{level}.xml", Metadata)
        self.level = _level(self._metadata)
        self.sensor = f"sentinel2_l{self.level.lower()}"
        self._granule = self._find_granule(folder)

    def acquisition(self) -> Acquisition:
        """When it was taken, and its clouds. Raises DataError where the metadata are broken."""
        data, path = self._metadata, self._metadata.path
        stated = bool(data.text("Cloud_Coverage_Assessment"))
        clouds = as_cloud_cover(data.number("Cloud_Coverage_Assessment"), path=path) if stated else None
        return Acquisition(as_time(data.text("DATATAKE_SENSING_START", "PRODUCT_START_TIME"), path=path), clouds)

    def open(self, choice: ProductChoice) -> list[LayerFile]:
        """The bands asked for, each as reflectance [1], all on pixels of `gsd_m` where it is given, else as delivered in the finest.

        Raises:
            DataError: a file is missing or broken, metadata are broken, or the bands do not come in such pixels.
            BandError: the sensor or a band is not the product's.
        """
        radiometry = _Radiometry.read(self._metadata)
        accepted = (self.sensor, f"{self.sensor}_reflectance", *([f"{self.sensor}_pb0400"] if radiometry.has_offset else []))
        what = f"Sentinel-2 Level-{self.level} of processing baseline {radiometry.baseline}"
        check_sensor(choice, accepted, source=self.folder, what=what)
        bands = wanted_bands(choice, get_sensor(self.sensor).band_names, source=self.folder)
        images = self._images()
        self._check_files(images, bands, choice=choice)
        finest = min(_choose_resolution(images[band], choice.gsd_m) for band in bands)
        if choice.gsd_m is not None and choice.gsd_m < finest:
            raise DataError(
                f"{self.folder}: gsd_m={choice.gsd_m:g}, but the finest of {', '.join(bands)} has pixels of {finest} m. Choose a multiple "
                "of it, or leave gsd_m out."
            )
        opened: list[LayerFile] = []
        try:
            for band in bands:
                opened.append(self._open_band(band, images[band], gsd_m=choice.gsd_m, radiometry=radiometry))
        except Exception:
            for file in opened:
                file.close()
            raise
        return opened

    def _open_band(self, band: str, files: Mapping[int, Path], *, gsd_m: float | None, radiometry: "_Radiometry") -> LayerFile:
        delivered = _choose_resolution(files, gsd_m)
        file = open_layers(file_inside_product(self.folder, files[delivered]))
        try:
            _check_pixel_size(file, delivered)
            factor = 1 if gsd_m is None or gsd_m < delivered else whole_factor(gsd_m, delivered, source=file.path)
            scaling = radiometry.scaling(band)
            return ProductLayer(file, band, convert=lambda digital: radiometry.reflectance(digital, band), scaling=scaling, factor=factor)
        except DataError:
            file.close()
            raise

    def _find_granule(self, folder: Path) -> Path:
        if folder != self.folder:
            return folder
        tiles = sorted(path for path in (folder / "GRANULE").glob("*") if path.is_dir())
        if len(tiles) != 1:
            names = ", ".join(tile.name for tile in tiles[:4]) or "none"
            raise DataError(
                f"{folder}: {len(tiles)} tiles below GRANULE ({names}); one is read. "
                + ("Name the folder of one of them instead." if tiles else "Copy or fetch the product again.")
            )
        return tiles[0]

    def _images(self) -> dict[str, dict[int, Path]]:
        """Band -> pixel size [m] -> file."""
        images: dict[str, dict[int, Path]] = {}
        own = {band.name: int(band.gsd_m) for band in SENTINEL2_L1C_BANDS}
        for path in sorted((self._granule / "IMG_DATA").rglob("*.jp2")):
            if found := _IMAGE.search(path.name):
                images.setdefault(found[1], {})[int(found[2] or own.get(found[1], 0))] = path
        return images

    def _check_files(self, images: Mapping[str, Mapping[int, Path]], bands: tuple[str, ...], *, choice: ProductChoice) -> None:
        """Raise DataError if a file that would be read, or, where no bands are named, one that the metadata list, is not there."""
        missing = {f"{self._granule.relative_to(self.folder)}/IMG_DATA/..._{band}.jp2" for band in bands if band not in images}
        listed = {path for path in self._listed() if not holds(self.folder, path)}
        if choice.bands:
            missing |= {path for path in listed if _band_of(path) in bands and _would_be_read(path, images, gsd_m=choice.gsd_m)}
        else:
            missing = listed | {path for path in missing if not any(_band_of(path) == _band_of(other) for other in listed)}
        check_complete(self.folder, missing)

    def _listed(self) -> set[str]:
        """Paths below the folder of the tile's images and metadata, as the metadata and the manifest list them."""
        tile = str(self._granule.relative_to(self.folder))
        paths = {f"{element.text.strip()}.jp2" for element in self._metadata.all("IMAGE_FILE") if element.text}
        in_manifest = listed_in_manifest(self.folder)
        paths |= {path for path in in_manifest if "/IMG_DATA/" in path and path.endswith(".jp2")}
        paths = {path for path in paths if path.startswith(f"{tile}/")}
        paths |= {path for path in in_manifest if path.endswith(".xml") and (path.startswith(f"{tile}/MTD") or path.startswith("MTD"))}
        return paths | self._listed_by_old_naming(tile)

    def _listed_by_old_naming(self, tile: str) -> set[str]:
        """Before December 2016 the metadata give names alone, of all tiles."""
        own, there = _TILE.search(tile), {path.stem: path for path in (self._granule / "IMG_DATA").rglob("*.jp2")}
        names = {element.text.strip() for kind in ("IMAGE_ID", "IMAGE_ID_2A") for element in self._metadata.all(kind) if element.text}
        ours = {name for name in names if own and (found := _TILE.search(name)) and found[1] == own[1]}
        return {str(there[name].relative_to(self.folder)) if name in there else f"{tile}/IMG_DATA/{name}.jp2" for name in ours}


def _band_of(path: str) -> str:
    found = _IMAGE.search(path)
    return found[1] if found else path


def _would_be_read(path: str, images: Mapping[str, Mapping[int, Path]], *, gsd_m: float | None) -> bool:
    """Whether a file that is not there would be read, if it were, rather than the band's other files."""
    found = _IMAGE.search(path)
    if found is None or found[2] is None:  # Level-1C has one file of a band
        return False
    size = int(found[2])
    return _choose_resolution({**images.get(found[1], {}), size: Path(path)}, gsd_m) == size


def _check_pixel_size(file: LayerFile, size_m: int) -> None:
    """Raise DataError if a file has other pixels than those of its band, or of its name."""
    edge_m = file.grid.transform.a if file.grid else float(size_m)
    if abs(edge_m - size_m) > WHOLE * size_m:
        raise DataError(f"{file.path}: pixels of {edge_m:g} m, expected {size_m} m; it is another file. Copy or fetch the product again.")


def _level(metadata: Metadata) -> str:
    """1C or 2A. Raises DataError where the metadata say neither."""
    said = metadata.text("PROCESSING_LEVEL")
    found = re.search(r"(1C|2A)", said.upper())
    if found is None:
        raise DataError(f"{metadata.path}: <PROCESSING_LEVEL> is {said[:40]!r}; expected Level-1C or Level-2A. Other levels are not read.")
    return found[1]


def _choose_resolution(files: Mapping[int, Path], gsd_m: float | None) -> int:
    """Pixel size [m] of the file to read: the coarsest whose pixels fit into the wanted ones; the finest where none does."""
    fitting = [size for size in files if gsd_m is not None and size <= gsd_m and gsd_m % size == 0]
    return max(fitting, default=min(files))


@dataclass(frozen=True)
class _Radiometry:
    """How digital numbers become reflectance: (number + offset of the band) / quantification.

    Attributes:
        quantification: digital number of reflectance 1.
        offsets: band -> offset [DN]; {} before processing baseline 04.00.
        baseline: as the metadata say it.
    """

    quantification: float
    offsets: Mapping[str, int]
    baseline: str

    @property
    def has_offset(self) -> bool:
        """Whether it is that of sensors ..._pb0400."""
        return set(self.offsets.values()) == {SENTINEL2_OFFSET_PB0400_DN}

    def scaling(self, band: str) -> Scaling:
        """(scale, offset) of a band, as tags of its file would say it."""
        return 1 / self.quantification, self.offsets.get(band, 0) / self.quantification

    @classmethod
    def read(cls, metadata: Metadata) -> "_Radiometry":
        """From the product's metadata.

        Raises:
            DataError: the quantification or the baseline is missing, or the offsets that this baseline must state.
        """
        names = ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE")
        quantification = metadata.number(*names)
        baseline = metadata.text("PROCESSING_BASELINE")
        number = metadata.as_number(baseline, "PROCESSING_BASELINE")
        offsets = {}
        for element in (*metadata.all("BOA_ADD_OFFSET"), *metadata.all("RADIO_ADD_OFFSET")):
            identity = metadata.as_number(element.get("band_id", ""), "..._ADD_OFFSET band_id")
            if identity not in range(len(_BAND_IDS)):
                raise DataError(f"{metadata.path}: an offset of band_id {identity:g}; expected 0 to 12. Copy or fetch the product again.")
            offsets[_BAND_IDS[int(identity)]] = round(metadata.as_number((element.text or "").strip(), "..._ADD_OFFSET"))
        if quantification <= 0 or (number >= OFFSET_SINCE_BASELINE and not offsets):
            raise DataError(
                f"{metadata.path}: quantification {quantification:g}, {len(offsets)} offsets, processing baseline {baseline}; expected a "
                "positive quantification, and from baseline 04.00 on an offset for each band, without which reflectance would be 0.1 too "
                "large. Copy or fetch the product again."
            )
        return cls(quantification, offsets, baseline)

    def reflectance(self, digital: np.ndarray, band: str) -> np.ndarray:
        """Float32 reflectance [1]; NaN where there is no data or the band is saturated.

        Raises:
            DataError: offsets are stated, but none for this band.
        """
        if self.offsets and band not in self.offsets:
            raise DataError(f"the metadata state offsets of {', '.join(self.offsets)}, but none of {band}. Fetch the product again.")
        values = scale_digital(digital, scale=1 / self.quantification, offset_dn=self.offsets.get(band, 0), nodata=NODATA_DN)
        values[digital == SATURATED_DN] = np.nan
        return values
