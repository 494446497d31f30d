"""Chips with tables as a new user might bring them: cut out of the reference tiles, or made up."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.windows import Window

CLASSES = {1: "water", 2: "forest", 3: "wetland", 4: "cropland", 5: "built area", 6: "bare ground", 7: "snow", 9: "rangeland"}
"""Of the reference tiles, as `eocore.converters.class_schemes` has them."""
FOLDERS = {"rgb": "S2RGB", "s2": "S2L2A", "s1": "S1RTC"}
CHIP_PX, NUM_ROWS, NUM_COLS = 56, 4, 5
LEAST_SHARE = 0.02
"""Smallest part of a chip that is asked for as a phrase."""
UTM = "EPSG:32632"


def cut_tiles(tiles: Path, out: Path) -> None:
    """60 chips of the three tiles (rgb/, s2/, s1/, masks/) with tables; the chips of a row overlap, rows do not."""
    tables: dict[str, list[Sequence[str]]] = {name: [] for name in ("chat", "referring", "captions", "pairs")}
    for path in sorted((tiles / "LULC").glob("*.tif")):
        for row in range(NUM_ROWS):
            for col in range(NUM_COLS):
                step = (224 - CHIP_PX) // (NUM_COLS - 1)
                window = Window(col * step, row * CHIP_PX, CHIP_PX, CHIP_PX)
                name = f"{path.stem}_{row}_{col}"
                for folder, tile in FOLDERS.items():
                    _cut(tiles / tile / path.name, out / folder / f"{name}.tif", window)
                with rasterio.open(path) as file:
                    _describe(name, file.read(1, window=window), out, tables)
    write_tables(out, tables)


def _cut(source: Path, target: Path, window: Window) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(source) as file:
        profile = {**file.profile, "width": window.width, "height": window.height, "transform": file.window_transform(window)}
        profile.update(blockxsize=None, blockysize=None, tiled=False)
        with rasterio.open(target, "w", **{key: value for key, value in profile.items() if value is not None}) as cut:
            cut.write(file.read(window=window))
            cut.descriptions = file.descriptions


def _describe(name: str, classes: np.ndarray, out: Path, tables: dict[str, list[Sequence[str]]]) -> None:
    shares = {label: float((classes == number).mean()) for number, label in CLASSES.items()}
    shown = sorted((label for label in shares if shares[label] > LEAST_SHARE), key=lambda label: -shares[label])
    most = shown[0]
    question = "What covers most of the image?"
    tables["chat"].append((f"rgb/{name}.tif", question, most))
    tables["chat"].append((f"rgb/{name}.tif", "Is there water?", "yes" if "water" in shown else "no"))
    tables["pairs"].append((f"s2/{name}.tif", f"s1/{name}.tif", question, most))
    tables["captions"].append((f"rgb/{name}.tif", f"Mostly {most}." if len(shown) == 1 else f"Mostly {most}, with {shown[1]}."))
    for label in shown:
        number = next(key for key, value in CLASSES.items() if value == label)
        mask = out / "masks" / f"{name}_{number}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((classes == number).astype(np.uint8) * 255).save(mask)
        tables["referring"].append((f"rgb/{name}.tif", f"the {label}", f"masks/{mask.name}"))


HEADERS = {
    "chat": ("image", "question", "answer"),
    "referring": ("image", "phrase", "mask"),
    "captions": ("image", "caption"),
    "pairs": ("optical", "sar", "question", "answer"),
}


def write_tables(out: Path, tables: dict[str, list[Sequence[str]]]) -> None:
    """Writes each table as CSV."""
    for name, rows in tables.items():
        write_table(out / f"{name}.csv", HEADERS[name], rows)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes one table as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def make_chips(out: Path, *, count: int = 12, size: int = 16) -> None:
    """Made-up chips in the same folders and tables: a dark pond, left or right, on bright ground; each pair of chips overlaps."""
    rng = np.random.default_rng(0)
    tables: dict[str, list[Sequence[str]]] = {name: [] for name in HEADERS}
    for number in range(count):
        name = f"field_{number:02d}"
        pond = np.zeros((size, size), bool)
        left = number % 3 == 0
        pond[4:12, 2:7] = left
        pond[4:12, 9:14] = not left
        east = 600_000 + (number // 2) * 10_000 + (number % 2) * 10 * size / 2
        transform = Affine(10, 0, east, 0, -10, 5_600_000)
        noise = rng.normal(0, 1, (12, size, size))
        _write(out / "rgb" / f"{name}.tif", np.where(pond, 40, 180) + 5 * noise[:3], "uint8", transform)
        _write(out / "s2" / f"{name}.tif", np.where(pond, 300, 2500) + 30 * noise, "uint16", transform)
        _write(out / "s1" / f"{name}.tif", np.where(pond, -20, -8) + np.array([0, -6])[:, None, None] + noise[:2], "float32", transform)
        (out / "masks").mkdir(exist_ok=True)
        Image.fromarray(pond.astype(np.uint8)).save(out / "masks" / f"{name}.png")
        side = "left" if left else "right"
        tables["chat"].append((f"rgb/{name}.tif", "On which side is the pond?", side))
        tables["pairs"].append((f"s2/{name}.tif", f"s1/{name}.tif", "On which side is the pond?", side))
        tables["captions"].append((f"rgb/{name}.tif", f"A field with a pond on the {side}."))
        tables["referring"].append((f"rgb/{name}.tif", "the pond", f"masks/{name}.png"))
    write_tables(out, tables)


def _write(path: Path, values: np.ndarray, dtype: str, transform: Affine) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=dtype, crs=UTM, transform=transform
    ) as file:
        file.write(values.astype(dtype))
