"""Small indexes and reports to serve, made of the embedded world: images with a place, a date, a caption, clouds."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from eocore.search.building import build_index
from eocore.search.embedding import EmbedOptions
from eocore.search.encoders import ImageEncoder
from eocore.search.sources import images_of
from eocore.synthetic.spectra import true_colour
from eocore.synthetic.world import make_scene

NUM_NORTH, NUM_SOUTH = 18, 12
"""Items of two places that lie apart."""
NORTH, SOUTH = (11.0, 48.0), (12.0, 42.0)
"""Longitude and latitude of their first corners [degrees]."""
BASE_MAP_COLOUR = (120, 200, 215)
STEP = 0.02
SIDE = 48


@pytest.fixture(scope="session")
def world_index(vectors_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an index of pictures, "world", by the model "vectors": north-00 to north-17 in summer, south-00 to south-11 in winter."""
    folder = tmp_path_factory.mktemp("indexed")
    rows = []
    for number in range(NUM_NORTH + NUM_SOUTH):
        is_north = number < NUM_NORTH
        name = f"north-{number:02d}" if is_north else f"south-{number - NUM_NORTH:02d}"
        west, south = NORTH if is_north else SOUTH
        place = west + STEP * (number % 6), south + STEP * (number // 6)
        write_picture(folder / f"{name}.tif", number, place=place)
        month = "2024-07" if is_north else "2024-01"
        rows.append(
            {"id": name, "image": f"{name}.tif", "caption": f"scene {number} of the {name[:5]}", "date": f"{month}-{1 + number % 28:02d}"}
        )
        rows[-1]["cloud_cover"] = number
    (folder / "items.json").write_text(json.dumps(rows))
    encoder = ImageEncoder(vectors_model, "cpu")
    build_index(folder / "world", images_of([str(folder / "items.json")], options={}), encoder=encoder, options=EmbedOptions())
    return folder / "world"


def write_picture(path: Path, number: int, *, place: tuple[float, float]) -> None:
    """A GeoTIFF of display colours, its south-western corner at a longitude and latitude."""
    picture = np.moveaxis(true_colour(make_scene("test", number, size=SIDE).optical), -1, 0)
    grid = from_origin(place[0], place[1] + STEP, STEP / SIDE, STEP / SIDE)
    with rasterio.open(
        path, "w", driver="GTiff", height=SIDE, width=SIDE, count=3, dtype="uint8", crs="EPSG:4326", transform=grid
    ) as target:
        target.write(picture)


@pytest.fixture(scope="session")
def base_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the one XYZ tile of the world, all of one colour."""
    folder = tmp_path_factory.mktemp("base_map")
    (folder / "0" / "0").mkdir(parents=True)
    Image.new("RGB", (256, 256), BASE_MAP_COLOUR).save(folder / "0" / "0" / "0.png")
    return folder


@pytest.fixture(scope="session")
def report_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of two reports with scores beside them, the second of which holds a script, and a link that leaves it."""
    root = tmp_path_factory.mktemp("reports")
    for name, accuracy in (("first", 0.5), ("second", 0.625)):
        write_report(root / name, accuracy=accuracy)
    (root / "second" / "report.html").write_text(
        "<h1>second</h1><p id=state>untouched</p><script>document.getElementById('state').textContent = 'a script ran'</script>"
    )
    outside = tmp_path_factory.mktemp("elsewhere")
    (outside / "report.html").write_text("<h1>secret</h1>")
    (root / "link").symlink_to(outside)
    return root


def write_report(folder: Path, *, accuracy: float) -> None:
    """A page, and the scores of one benchmark as `eocore.evaluate` writes them."""
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(f"<h1>{folder.name}</h1><p>accuracy {accuracy}</p>")
    overall = {"metrics": {"accuracy": {"value": accuracy, "low": None, "high": None}}}
    scores = {"title": "Toy", "task": "vqa", "settings": {"optical": {"vqa": {"headline": "accuracy", "overall": overall}}}}
    (folder / "scores.json").write_text(json.dumps(scores))
