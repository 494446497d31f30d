"""Folders in the shape that agencies deliver: small images under the names and with the metadata of the product specifications.

Sources: ESA Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD); Sentinel-1 Product Specification (S1-RS-MDA-52-7441); USGS
Landsat 8-9 Collection 2 Data Format Control Books (LSDS-1822, LSDS-1328).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin

LOSSLESS = {"QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO"}
"""Creation options of GDAL's driver JP2OpenJPEG that keep every number."""
S2_CRS, S2_CORNER = "EPSG:32633", (300_000.0, 5_100_000.0)
S2_BAND_IDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
S2_GSD_M = dict(zip(S2_BAND_IDS, (60, 10, 10, 10, 20, 20, 20, 10, 20, 60, 60, 20, 20), strict=True))
S2_L2A_FILES = {
    10: ("AOT", "B02", "B03", "B04", "B08", "TCI", "WVP"),
    20: ("AOT", "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B11", "B12", "B8A", "SCL", "TCI", "WVP"),
    60: ("AOT", "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B09", "B11", "B12", "B8A", "SCL", "TCI", "WVP"),
}
"""Files of a Level-2A tile by pixel size since processing baseline 04.00; before it B01 is at 60 m alone."""
SIDE_M = 1_200
S2_TIME, S1_TIME = "2023-06-13T10:10:31.024Z", "2023-06-13T05:12:33.123456"
"""Of a made-up tile: 120, 60 and 20 pixels."""


@dataclass(frozen=True)
class MadeSentinel2:
    """What a made-up Sentinel-2 product holds.

    Attributes:
        level: 1C or 2A.
        baseline: processing baseline, whose first number decides whether offsets are stated.
        reflectance: band (B02, ...) -> constant reflectance; others are 0.1.
        tile: of the military grid.
        side_m: of the tile.
        cloud_cover: stated share of clouds [%].
    """

    level: str = "2A"
    baseline: str = "05.09"
    reflectance: Mapping[str, float] = field(default_factory=dict)
    tile: str = "33UUP"
    side_m: int = SIDE_M
    cloud_cover: float = 12.5

    @property
    def offset(self) -> int:
        """Stated offset of every band [DN]."""
        return -1000 if float(self.baseline) >= 4 else 0


def write_sentinel2(folder: Path, made: MadeSentinel2) -> Path:
    """A SAFE folder of the naming since December 2016, below `folder`; returns it."""
    number = made.baseline.replace(".", "")
    safe = folder / f"S2A_MSIL{made.level}_20230613T101031_N{number}_R022_T{made.tile}_20230613T151234.SAFE"
    granule = f"GRANULE/L{made.level}_T{made.tile}_A041648_20230613T101609"
    stem = f"T{made.tile}_20230613T101031"
    images: dict[str, tuple[str, int]] = {}
    if made.level == "2A":
        for gsd_m, names in S2_L2A_FILES.items():
            kept = [name for name in names if not (gsd_m == 20 and name == "B01" and made.offset == 0)]
            images |= {f"{granule}/IMG_DATA/R{gsd_m}m/{stem}_{name}_{gsd_m}m": (name, gsd_m) for name in kept}
    else:
        images = {f"{granule}/IMG_DATA/{stem}_{_two_digits(name)}": (_two_digits(name), S2_GSD_M[name]) for name in S2_BAND_IDS}
        images[f"{granule}/IMG_DATA/{stem}_TCI"] = ("TCI", 10)
    for path, (name, gsd_m) in images.items():
        _write_s2_image(safe / f"{path}.jp2", name, gsd_m=gsd_m, made=made)
    _write(safe / f"MTD_MSIL{made.level}.xml", s2_metadata(made, images))
    _write(safe / granule / "MTD_TL.xml", _s2_tile_metadata(made))
    for extra in ("INSPIRE.xml", "DATASTRIP/DS_2APS_20230613T151234_S20230613T101609/MTD_DS.xml", f"{granule}/QI_DATA/GENERAL_QUALITY.xml"):
        _write(safe / extra, "<x/>")
    _write_manifest(safe)
    return safe


def write_old_sentinel2(folder: Path, *, tiles: tuple[str, ...] = ("33UUP",), reflectance: float = 0.1) -> Path:
    """A Level-1C product of the naming before December 2016, which may hold several tiles; returns its folder."""
    safe = folder / "S2A_OPER_PRD_MSIL1C_PDMC_20160101T120000_R022_V20160101T101031_20160101T101031.SAFE"
    listed = []
    for tile in tiles:
        stem = f"S2A_OPER_MSI_L1C_TL_SGS__20160101T120000_A002734_T{tile}"
        made = MadeSentinel2("1C", "02.01", {_two_digits(band): reflectance for band in S2_BAND_IDS}, tile)
        for band in S2_BAND_IDS:
            name = _two_digits(band)
            _write_s2_image(safe / f"GRANULE/{stem}_N02.01/IMG_DATA/{stem}_{name}.jp2", name, gsd_m=S2_GSD_M[band], made=made)
        names = "".join(f"<IMAGE_ID>{stem}_{_two_digits(band)}</IMAGE_ID>" for band in S2_BAND_IDS)
        listed.append(f'<Granules granuleIdentifier="{stem}_N02.01" imageFormat="JPEG2000">{names}</Granules>')
        _write(safe / f"GRANULE/{stem}_N02.01/{stem.replace('MSI', 'MTD')}.xml", _s2_tile_metadata(made))
    text = s2_metadata(MadeSentinel2("1C", "02.01"), {}).replace(
        "<Granule_List></Granule_List>", f"<Granule_List>{''.join(listed)}</Granule_List>"
    )
    _write(safe / "S2A_OPER_MTD_SAFL1C_PDMC_20160101T120000_R022_V20160101T101031_20160101T101031.xml", text)
    _write_manifest(safe)
    return safe


def s2_metadata(made: MadeSentinel2, images: Mapping[str, object]) -> str:
    """MTD_MSIL1C.xml or MTD_MSIL2A.xml, in its parts that concern images."""
    files = "".join(f"<IMAGE_FILE>{path}</IMAGE_FILE>" for path in images)
    granules = f"<Granule>{files}</Granule>" if images else ""
    kind = "BOA_ADD_OFFSET" if made.level == "2A" else "RADIO_ADD_OFFSET"
    listed = "".join(f'<{kind} band_id="{number}">{made.offset}</{kind}>' for number in range(13)) if made.offset else ""
    group = "BOA_ADD_OFFSET_VALUES_LIST" if made.level == "2A" else "Radiometric_Offset_List"
    offsets = f"<{group}>{listed}</{group}>" if listed else ""
    quantification = '<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>'
    if made.level == "2A":
        values = "".join(f'<{name}_QUANTIFICATION_VALUE unit="none">{value}</{name}_QUANTIFICATION_VALUE>' for name, value in _L2A_VALUES)
        quantification = f"<QUANTIFICATION_VALUES_LIST>{values}</QUANTIFICATION_VALUES_LIST>"
    root = f"Level-{made.level}_User_Product"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><n1:{root} xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{made.level}.xsd">'
        f"<n1:General_Info><Product_Info><PRODUCT_START_TIME>{S2_TIME}</PRODUCT_START_TIME><PROCESSING_LEVEL>Level-{made.level}</PROCESSING_LEVEL><PRODUCT_TYPE>S2MSI{made.level}</PRODUCT_TYPE>"
        f"<PROCESSING_BASELINE>{made.baseline}</PROCESSING_BASELINE><Product_Organisation><Granule_List>{granules}</Granule_List>"
        f"</Product_Organisation></Product_Info><Product_Image_Characteristics>{quantification}{offsets}"
        "<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>"
        f"</Product_Image_Characteristics></n1:General_Info><n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>{made.cloud_cover}"
        f"</Cloud_Coverage_Assessment></n1:Quality_Indicators_Info></n1:{root}>"
    )


_L2A_VALUES = (("BOA", 10000), ("AOT", 1000.0), ("WVP", 1000.0))


def _two_digits(band: str) -> str:
    """B1 -> B01, as file names have it."""
    return f"B{int(band[1:]):02d}" if band[1:].isdecimal() else band


def _s2_tile_metadata(made: MadeSentinel2) -> str:
    left, top = S2_CORNER
    sizes = "".join(
        f'<Size resolution="{m}"><NROWS>{made.side_m // m}</NROWS><NCOLS>{made.side_m // m}</NCOLS></Size>' for m in (10, 20, 60)
    )
    corners = "".join(f'<Geoposition resolution="{m}"><ULX>{left:g}</ULX><ULY>{top:g}</ULY></Geoposition>' for m in (10, 20, 60))
    geocoding = f"<HORIZONTAL_CS_CODE>{S2_CRS}</HORIZONTAL_CS_CODE>{sizes}{corners}"
    return f"<Tile><Geometric_Info><Tile_Geocoding>{geocoding}</Tile_Geocoding></Geometric_Info></Tile>"


def _write_s2_image(path: Path, name: str, *, gsd_m: int, made: MadeSentinel2) -> None:
    side = made.side_m // gsd_m
    kind = np.dtype(np.uint8 if name in ("TCI", "SCL") else np.uint16)
    count = 3 if name == "TCI" else 1
    value = 5 if kind == np.uint8 else round(made.reflectance.get(name, 0.1) * 10_000) - made.offset
    write_raster(path, np.full((count, side, side), value, kind), gsd_m=gsd_m, driver="JP2OpenJPEG", **LOSSLESS)


def write_raster(path: Path, pixels: np.ndarray, *, gsd_m: float, driver: str = "GTiff", **options: str) -> None:
    """Writes (C, H, W) with its upper left corner at that of the made-up tile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype.name}
    georeference = {"crs": S2_CRS, "transform": from_origin(*S2_CORNER, gsd_m, gsd_m)}
    with rasterio.open(path, "w", driver=driver, **shape, **georeference, **options) as file:
        file.write(pixels)


def _write_manifest(safe: Path) -> None:
    """manifest.safe, which lists all files."""
    files = sorted(path.relative_to(safe) for path in safe.rglob("*") if path.is_file())
    listed = "".join(
        f'<dataObject ID="F{number}"><byteStream size="{(safe / path).stat().st_size}"><fileLocation locatorType="URL" href="./{path}"/>'
        "</byteStream></dataObject>"
        for number, path in enumerate(files)
    )
    _write(
        safe / "manifest.safe",
        '<?xml version="1.0" encoding="UTF-8"?><xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1">'
        f"<dataObjectSection>{listed}</dataObjectSection></xfdu:XFDU>",
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class MadeSentinel1:
    """What a made-up Sentinel-1 GRD product holds.

    Attributes:
        digital: polarisation -> digital number of all pixels.
        size: (height, width) [px].
        sigma: calibration value A at the first and the last pixel of a line, and its growth from the first to the last line.
        noise: in DN^2, at the first and the last pixel of a line.
        azimuth: factor of the noise along azimuth; None = vectors of before IPF 2.90.
        descending: direction of the flight, which turns the image over.
    """

    digital: Mapping[str, int] = field(default_factory=lambda: {"VV": 200, "VH": 100})
    size: tuple[int, int] = (100, 120)
    sigma: tuple[float, float, float] = (400.0, 500.0, 0.0)
    noise: tuple[float, float] = (900.0, 400.0)
    azimuth: float | None = 1.5
    descending: bool = True


def write_sentinel1(folder: Path, made: MadeSentinel1) -> Path:
    """A SAFE folder of a high-resolution GRD product of the IW mode, below `folder`; returns it."""
    code = {("VV", "VH"): "DV", ("HH", "HV"): "DH", ("VV",): "SV", ("HH",): "SH"}[tuple(made.digital)]
    safe = folder / f"S1A_IW_GRDH_1S{code}_20230613T165043_20230613T165108_048974_05E3B2_60B9.SAFE"
    for number, (name, value) in enumerate(made.digital.items(), start=1):
        stem = f"s1a-iw-grd-{name.lower()}-20230613t165043-20230613t165108-048974-05e3b2-{number:03d}"
        _write_s1_image(safe / f"measurement/{stem}.tiff", np.full(made.size, value, np.uint16), points=tie_points(made))
        _write(safe / f"annotation/{stem}.xml", _s1_annotation(made, name))
        _write(safe / f"annotation/calibration/calibration-{stem}.xml", _s1_calibration(made))
        _write(safe / f"annotation/calibration/noise-{stem}.xml", _s1_noise(made))
    for extra in ("preview/map-overlay.kml", "support/s1-level-1-product.xsd"):
        _write(safe / extra, "<x/>")
    _write_manifest(safe)
    return safe


def tie_points(made: MadeSentinel1) -> list[tuple[int, int, float, float]]:
    """(line, pixel, longitude, latitude) on a coarse grid; pixels of about 10 m, the track 12 degrees off north."""
    height, width = made.size
    found = []
    for line in np.linspace(0, height - 1, 5).round().astype(int):
        for pixel in np.linspace(0, width - 1, 6).round().astype(int):
            along, across = (-line, -pixel) if made.descending else (line, pixel)
            east = 10 * (across * np.cos(0.2) + along * np.sin(0.2) * (-1 if made.descending else 1))
            north = 10 * (along * np.cos(0.2) + across * np.sin(0.2) * (1 if made.descending else -1))
            found.append((int(line), int(pixel), 15.0 + east / 77_000, 46.0 + north / 111_200))
    return found


def _write_s1_image(path: Path, pixels: np.ndarray, *, points: list[tuple[int, int, float, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape
    gcps = [GroundControlPoint(line, pixel, longitude, latitude, 0.0) for line, pixel, longitude, latitude in points]
    shape = {"driver": "GTiff", "count": 1, "height": height, "width": width, "dtype": "uint16"}
    with rasterio.open(path, "w", **shape, gcps=gcps, crs="EPSG:4326") as file:
        file.write(pixels[None])


def _s1_annotation(made: MadeSentinel1, name: str) -> str:
    points = "".join(
        f"<geolocationGridPoint><line>{line}</line><pixel>{pixel}</pixel><latitude>{latitude:.9f}</latitude>"
        f"<longitude>{longitude:.9f}</longitude><height>{50.0}</height></geolocationGridPoint>"
        for line, pixel, longitude, latitude in tie_points(made)
    )
    return (
        f"<product><adsHeader><missionId>S1A</missionId><startTime>{S1_TIME}</startTime><productType>GRD</productType><polarisation>{name}</polarisation></adsHeader>"
        f"<imageAnnotation><imageInformation><numberOfSamples>{made.size[1]}</numberOfSamples><numberOfLines>{made.size[0]}</numberOfLines>"
        f"</imageInformation></imageAnnotation><geolocationGrid><geolocationGridPointList>{points}</geolocationGridPointList></geolocationGrid>"
        "</product>"
    )


def _s1_vector(vector: str, values: Mapping[str, tuple[float, float]], *, line: int, width: int) -> str:
    lists = "".join(f'<{key} count="2">{first:e} {last:e}</{key}>' for key, (first, last) in values.items())
    return f'<{vector}><line>{line}</line><pixel count="2">0 {width - 1}</pixel>{lists}</{vector}>'


def _s1_calibration(made: MadeSentinel1) -> str:
    (first, last, growth), (height, width) = made.sigma, made.size
    vectors = [
        _s1_vector("calibrationVector", {"sigmaNought": (first + more, last + more), "gamma": (1, 1)}, line=line, width=width)
        for line, more in ((0, 0.0), (height - 1, growth))
    ]
    return f'<calibration><calibrationVectorList count="2">{"".join(vectors)}</calibrationVectorList></calibration>'


def _s1_noise(made: MadeSentinel1) -> str:
    height, width = made.size
    if made.azimuth is None:
        vectors = [_s1_vector("noiseVector", {"noiseLut": made.noise}, line=line, width=width) for line in (0, height - 1)]
        return f'<noise><noiseVectorList count="2">{"".join(vectors)}</noiseVectorList></noise>'
    vectors = [_s1_vector("noiseRangeVector", {"noiseRangeLut": made.noise}, line=line, width=width) for line in (0, height - 1)]
    azimuth = (
        f"<noiseAzimuthVector><swath>IW1</swath><firstAzimuthLine>0</firstAzimuthLine><firstRangeSample>0</firstRangeSample><lastAzimuthLine>"
        f'{height - 1}</lastAzimuthLine><lastRangeSample>{width - 1}</lastRangeSample><line count="2">0 {height - 1}</line>'
        f'<noiseAzimuthLut count="2">{made.azimuth} {made.azimuth}</noiseAzimuthLut></noiseAzimuthVector>'
    )
    return (
        f'<noise><noiseRangeVectorList count="2">{"".join(vectors)}</noiseRangeVectorList>'
        f'<noiseAzimuthVectorList count="1">{azimuth}</noiseAzimuthVectorList></noise>'
    )


@dataclass(frozen=True)
class MadeLandsat:
    """What a made-up Landsat product holds.

    Attributes:
        level: 1 (L1TP) or 2 (L2SP).
        platform: 8 or 9.
        digital: digital number of all pixels of all bands.
        sun_elevation_deg: stated by the MTL file.
        as_text: MTL.txt alone instead of MTL.json, MTL.txt and MTL.xml.
        side: of the 30 m bands [px].
    """

    level: int = 2
    platform: int = 9
    digital: int = 20_000
    sun_elevation_deg: float = 30.0
    as_text: bool = False
    side: int = 40


LEVEL1_SCALE = {"REFLECTANCE_MULT_BAND": "2.0000E-05", "REFLECTANCE_ADD_BAND": "-0.100000"}
LEVEL2_SCALE = {"REFLECTANCE_MULT_BAND": "2.75e-05", "REFLECTANCE_ADD_BAND": "-0.2"}


def write_landsat(folder: Path, made: MadeLandsat) -> Path:
    """A folder of Collection 2, below `folder`; returns it."""
    name = f"LC0{made.platform}_L{made.level}{'TP' if made.level == 1 else 'SP'}_190028_20230613_20230620_02_T1"
    product = folder / name
    contents = {"LANDSAT_PRODUCT_ID": name, "PROCESSING_LEVEL": name.split("_")[1], "COLLECTION_NUMBER": "02", "COLLECTION_CATEGORY": "T1"}
    if made.level == 1:
        bands = {f"FILE_NAME_BAND_{number}": f"{name}_B{number}.TIF" for number in range(1, 12)}
        others = {f"FILE_NAME_{key}": f"{name}_{file}.TIF" for key, file in _LEVEL1_OTHERS}
    else:
        bands = {f"FILE_NAME_BAND_{number}": f"{name}_SR_B{number}.TIF" for number in range(1, 8)}
        bands["FILE_NAME_BAND_ST_B10"] = f"{name}_ST_B10.TIF"
        others = {f"FILE_NAME_{key}": f"{name}_{file}.TIF" for key, file in _LEVEL2_OTHERS}
    for key, file in (bands | others).items():
        side, gsd_m = (2 * made.side, 15.0) if key == "FILE_NAME_BAND_8" and made.level == 1 else (made.side, 30.0)
        write_raster(product / file, np.full((1, side, side), made.digital if key in bands else 1, np.uint16), gsd_m=gsd_m)
    _write_mtl(product, made, contents=contents | bands | others)
    return product


_LEVEL1_OTHERS = (
    ("QUALITY_L1_PIXEL", "QA_PIXEL"),
    ("QUALITY_L1_RADIOMETRIC_SATURATION", "QA_RADSAT"),
    ("ANGLE_SENSOR_AZIMUTH_BAND_4", "VAA"),
    ("ANGLE_SENSOR_ZENITH_BAND_4", "VZA"),
    ("ANGLE_SOLAR_AZIMUTH_BAND_4", "SAA"),
    ("ANGLE_SOLAR_ZENITH_BAND_4", "SZA"),
)
_LEVEL2_OTHERS = (
    ("QUALITY_L1_PIXEL", "QA_PIXEL"),
    ("QUALITY_L1_RADIOMETRIC_SATURATION", "QA_RADSAT"),
    ("QUALITY_L2_AEROSOL", "SR_QA_AEROSOL"),
    ("QUALITY_L2_SURFACE_TEMPERATURE", "ST_QA"),
)


def _write_mtl(product: Path, made: MadeLandsat, *, contents: Mapping[str, str]) -> None:
    bands = range(1, 10)
    groups = {
        "PRODUCT_CONTENTS": dict(contents),
        "IMAGE_ATTRIBUTES": {
            "SPACECRAFT_ID": f"LANDSAT_{made.platform}",
            "SENSOR_ID": "OLI_TIRS",
            "DATE_ACQUIRED": "2021-07-15",
            "SCENE_CENTER_TIME": "10:01:48.6189540Z",
            "CLOUD_COVER": "3.21",
            "SUN_ELEVATION": f"{made.sun_elevation_deg:.8f}",
        },
        "LEVEL1_RADIOMETRIC_RESCALING": {f"{key}_{band}": value for band in bands for key, value in LEVEL1_SCALE.items()},
    }
    if made.level == 2:
        groups["LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"] = {
            f"{k}_{band}": value for band in range(1, 8) for k, value in LEVEL2_SCALE.items()
        }
        groups["LEVEL2_SURFACE_TEMPERATURE_PARAMETERS"] = {
            "TEMPERATURE_MULT_BAND_ST_B10": "0.00341802",
            "TEMPERATURE_ADD_BAND_ST_B10": "149.0",
        }
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for group, values in groups.items():
        lines += [f"  GROUP = {group}", *(f'    {key} = "{value}"' for key, value in values.items()), f"  END_GROUP = {group}"]
    _write(product / f"{product.name}_MTL.txt", "\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""]))
    if not made.as_text:
        _write(product / f"{product.name}_MTL.json", json.dumps({"LANDSAT_METADATA_FILE": groups}, indent=2))
        _write(product / f"{product.name}_MTL.xml", "<LANDSAT_METADATA_FILE/>")
    _write(product / f"{product.name}_ANG.txt", "GROUP = FILE_HEADER\nEND_GROUP = FILE_HEADER\nEND\n")
