"""What tools/fuzz.py makes up for each reader: well-formed and nearly well-formed values, and good files with bytes changed."""

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image
from rasterio.control import GroundControlPoint

from eocore.config import load_config
from eocore.data.formats import llava, refer, regions
from eocore.data.formats.entries import read_entries
from eocore.data.io.masks import decode_mask, encode_rle
from eocore.data.io.readers import read_class_map, read_scene
from eocore.data.io.safe_pickle import read_plain_pickle
from eocore.data.records import ImageRef, MaskRef
from eocore.registry import DATASETS
from eocore.synthetic.product_folders import (
    LOSSLESS,
    MadeLandsat,
    MadeSentinel1,
    MadeSentinel2,
    write_landsat,
    write_sentinel1,
    write_sentinel2,
)
from eocore.system import find_systems

SIZES = ((1, 1), (7, 9), (64, 48))
SENSORS = ("rgb_uint8", "grey_uint8", "sentinel1_grd", "sentinel2_l2a")
KEYS = (
    *("id", "image", "conversations", "from", "value", "question", "answer", "candidate", "task_type", "file_name", "height", "width"),
    *("description", "annotation", "segmentation", "size", "counts", "images", "annotations", "image_id", "caption", "sample_id"),
    *("expression", "mask", "box", "path", "type", "sent", "raw", "sentences", "split", "ann_id", "ref_id", "sent_id"),
)
WORDS = ("human", "gpt", "a", "a.png", "../a", "/etc/passwd", "<image>", "<region>", "[SEG]", "train", "", " ", "\ud800", "\x1b[2J", "yes")


@dataclass(frozen=True)
class Reader:
    """A reader of untrusted input: what it is given, and the call."""

    inputs: SearchStrategy[Any]
    read: Callable[[Any], None]


def readers(folder: Path) -> dict[str, Reader]:
    """All readers by name; `folder` is used for their files."""
    return {
        "images": Reader(st.tuples(st.sampled_from(_image_files()), _changes(), st.sampled_from(SENSORS)), _read_image(folder)),
        "products": Reader(
            st.tuples(st.integers(0, 4), st.floats(0, 1, exclude_max=True), st.none() | _text_changes()), _read_product(folder)
        ),
        "masks": Reader(st.tuples(_masks(), st.sampled_from(SIZES)), lambda value: _read_mask(*value)),
        "pickles": Reader(st.one_of(_changed(_pickles()), st.binary(max_size=40)), _read_file(folder / "refs.p", read_plain_pickle)),
        "configs": Reader(st.tuples(st.sampled_from(("x.json", "x.yaml")), _config_texts()), _read_config(folder)),
        "text": Reader(st.tuples(st.sampled_from(("x.json", "x.jsonl")), _annotation_bytes()), _read_text(folder)),
        "datasets": Reader(
            st.tuples(st.sampled_from(sorted(_PARSERS)), st.lists(_entries(), min_size=1, max_size=3)), _read_dataset(folder)
        ),
    }


def _changes() -> SearchStrategy[Any]:
    """(offset as a fraction of the file, bytes put over what is there), and the fraction of the file that is kept."""
    offset = st.floats(0, 1, exclude_max=True)
    patch = st.one_of(
        st.binary(min_size=1, max_size=8), st.sampled_from((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff"))
    )
    head = st.tuples(offset.map(lambda fraction: fraction**4), patch)  # most of what can go wrong is in the header
    return st.tuples(st.lists(st.one_of(head, st.tuples(offset, patch)), max_size=5), st.one_of(st.just(1.0), offset))


def _apply(raw: bytes, changes: Any) -> bytes:
    patches, kept = changes
    changed = bytearray(raw)
    for fraction, patch in patches:
        start = int(fraction * len(raw))
        changed[start : start + len(patch)] = patch[: len(raw) - start]
    return bytes(changed[: max(1, int(kept * len(raw)))] if kept < 1 else changed)


def _changed(seeds: tuple[bytes, ...]) -> SearchStrategy[bytes]:
    return st.tuples(st.sampled_from(seeds), _changes()).map(lambda drawn: _apply(*drawn))


def _image_files() -> tuple[tuple[str, bytes], ...]:
    """(ending, content) of a small good file of every format and kind."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (6, 8, 3), np.uint8)
    files = []
    for name, picture in (
        ("png", Image.fromarray(colours)),
        ("png", Image.fromarray(colours).quantize(8)),
        ("jpg", Image.fromarray(colours)),
    ):
        stream = io.BytesIO()
        picture.save(stream, format="JPEG" if name == "jpg" else "PNG")
        files.append((name, stream.getvalue()))
    files += _few_bit_pictures(rng) + _turned_rasters(rng)
    for options in (
        {},
        {"compress": "deflate"},
        {"compress": "lzw", "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"crs": "EPSG:32632"},
    ):
        for count, kind in ((2, "float32"), (12, "uint16"), (3, "uint8")):
            offset = {"transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)} if "crs" in options else {}
            with rasterio.MemoryFile() as memory:
                with memory.open(driver="GTiff", height=8, width=8, count=count, dtype=kind, nodata=0, **options, **offset) as file:
                    file.write(rng.integers(1, 250, (count, 8, 8)).astype(kind))
                    if "crs" in options:
                        file.scales, file.offsets = (1e-4,) * count, (-0.1,) * count
                files.append(("tif", memory.read()))
    for name, save in (("npy", lambda out: np.save(out, np.full((2, 4, 4), -12, np.float32))), ("npz", _save_npz)):
        stream = io.BytesIO()
        save(stream)
        files.append((name, stream.getvalue()))
    return tuple(files)


def _turned_rasters(rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """GeoTIFFs whose rows run north, on their side, rotated a little and much, in degrees, and at tie points alone."""
    plain = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
    turned = [plain @ rasterio.Affine.scale(1, -1), plain @ rasterio.Affine.scale(-1, 1), rasterio.Affine(0, 10, 5e5, 10, 0, 5e6)]
    places: list[dict[str, Any]] = [{"crs": "EPSG:32632", "transform": each} for each in turned]
    places += [{"crs": "EPSG:32632", "transform": plain @ rasterio.Affine.rotation(angle)} for angle in (8, 30, 100)]
    places.append({"crs": "EPSG:4326", "transform": rasterio.Affine(1e-4, 0, 20, 0, 1e-4, 70)})
    nodes = [(row, col) for row in (0, 4, 8) for col in (0, 8)]
    bent = [GroundControlPoint(row, col, 20 + col * 1e-4, 47 + row * 1e-4 + row * row * 1e-5) for row, col in nodes]
    places.append({"crs": "EPSG:4326", "gcps": bent})
    files = []
    for place in places:
        with rasterio.MemoryFile() as memory:
            with memory.open(driver="GTiff", height=8, width=8, count=1, dtype="uint8", **place) as file:
                file.write(rng.integers(1, 250, (1, 8, 8), np.uint8))
            files.append(("tif", memory.read()))
    return files


def _few_bit_pictures(rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """PNG and TIFF of 1, 2 and 4 bits, inverted, and with a palette; JPEG 2000 of 15 bits."""
    files = []
    for bits in (1, 2, 4):
        stream = io.BytesIO()
        picture = Image.fromarray(rng.integers(0, 2**bits, (6, 8), np.uint8))
        picture.putpalette(list(range(3 * 2**bits)))
        picture.save(stream, format="PNG", bits=bits)
        files.append(("png", stream.getvalue()))
        for options in ({}, {"photometric": "MINISWHITE"}, {"photometric": "PALETTE"}):
            with rasterio.MemoryFile() as memory:
                with memory.open(driver="GTiff", height=8, width=8, count=1, dtype="uint8", nbits=bits, **options) as file:
                    if "PALETTE" in options.values():
                        file.write_colormap(1, {value: (value, 255 - value, 0, 255) for value in range(2**bits)})
                    file.write(rng.integers(0, 2**bits, (1, 8, 8), np.uint8))
                files.append(("tif", memory.read()))
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="JP2OpenJPEG", height=8, width=8, count=1, dtype="uint16", NBITS="15", **LOSSLESS) as file:
            file.write(rng.integers(1, 2**15, (1, 8, 8), np.uint16))
        files.append(("jp2", memory.read()))
    return files


def _text_changes() -> SearchStrategy[Any]:
    """As `_changes`, or a piece of a text file replaced by another."""
    pieces = st.sampled_from(
        (b"-1000", b"10000", b"0", b"<line>", b"pixel", b".jp2", b"B02", b"05.09", b"GRD", b"-", b"1", b"SUN_ELEVATION")
    )
    others = st.sampled_from((b"", b"-1", b"0", b"nan", b"1e999", b"x", b"9" * 400, b"\xff\xfe", b"../a", b"<a>", b"&a;", b"\0", b"0 0 0"))
    return st.one_of(_changes(), st.tuples(st.just("replace"), pieces, others, st.integers(1, 9)))


def _read_product(folder: Path) -> Callable[[Any], None]:
    """Reads a product of which one file is changed, or missing where the change is None."""
    root = folder / "products"
    sentinel2 = [MadeSentinel2(side_m=60), MadeSentinel2("1C", "02.09", side_m=60)]
    products = [
        (write_sentinel2(root, sentinel2[0]), "sentinel2_l2a", ("B02", "B05")),
        (write_sentinel2(root, sentinel2[1]), "sentinel2_l1c", ()),
        (write_sentinel1(root, MadeSentinel1(size=(20, 24))), "sentinel1_grd", ()),
        (write_landsat(root, MadeLandsat(1, 8, side=4)), "landsat8_l1", ("B2", "B8")),
        (write_landsat(root, MadeLandsat(2, 9, side=4, as_text=True)), "landsat9_l2", ("B4",)),
    ]
    contents = {path: path.read_bytes() for product, _, _ in products for path in sorted(product.rglob("*")) if path.is_file()}
    files = {product: _texts_twice([path for path in contents if path.is_relative_to(product)]) for product, _, _ in products}

    def read(value: Any) -> None:
        which, fraction, changes = value
        product, sensor, bands = products[which]
        path = files[product][int(fraction * len(files[product]))]
        if changes is None:
            path.unlink()
        elif changes[0] == "replace":
            path.write_bytes(contents[path].replace(*changes[1:]))
        else:
            path.write_bytes(_apply(contents[path], changes))
        try:
            noise_removal = sensor == "sentinel1_grd" and fraction < 0.5
            read_scene(ImageRef("image", sensor, (str(product),), bands=bands, noise_removal=noise_removal), root=folder, max_bytes=10**8)
        finally:
            path.write_bytes(contents[path])

    return read


def _texts_twice(paths: list[Path]) -> list[Path]:
    """The files of metadata come up more often than the others."""
    return [path for path in paths if path.suffix in (".xml", ".safe", ".txt", ".json")] * 2 + paths


def _save_npz(stream: Any) -> None:
    np.savez(stream, pixels=np.full((2, 4, 4), -12, np.float32), bands=np.array(["VV", "VH"]))


def _read_image(folder: Path) -> Callable[[Any], None]:
    def read(value: Any) -> None:
        (ending, raw), changes, sensor = value
        path = folder / f"a.{ending}"
        path.write_bytes(_apply(raw, changes))
        if sensor == "grey_uint8":
            read_class_map("a." + ending, root=folder, max_bytes=10**8)
        else:
            read_scene(ImageRef("image", sensor, (str(path),)), root=folder, max_bytes=10**8)

    return read


def _numbers() -> SearchStrategy[Any]:
    edge: SearchStrategy[Any] = st.sampled_from(
        (0, -1, 1e9, -1e9, 1e308, float("nan"), float("inf"), 2**31, 2**63, 10**400, None, True, "5", [])
    )
    return st.one_of(st.integers(-20, 80), st.floats(-300, 300), edge)


def _masks() -> SearchStrategy[Any]:
    point = st.tuples(st.floats(-3, 12), st.one_of(st.integers(-3, 10), st.floats(-30, 80)))
    ring = st.lists(point, min_size=3, max_size=8).map(lambda points: [number for pair in points for number in pair])
    polygon = st.lists(st.one_of(ring, st.lists(_numbers(), max_size=12)), max_size=3)
    packed = st.one_of(st.text(alphabet=[chr(code) for code in range(48, 112)], max_size=24), st.binary(max_size=12), st.text(max_size=6))
    counts = st.one_of(packed, st.lists(_numbers(), max_size=8), st.lists(st.integers(0, 70), max_size=12), _numbers())
    size = st.one_of(st.sampled_from(SIZES).map(list), st.lists(_numbers(), max_size=3), _numbers())
    bits = st.binary(min_size=8, max_size=8).map(lambda raw: encode_rle(np.unpackbits(np.frombuffer(raw, np.uint8))[:63].reshape(7, 9)))
    rle = st.one_of(bits, st.fixed_dictionaries({"size": size, "counts": counts}), st.fixed_dictionaries({"size": size}), _numbers())
    file = st.fixed_dictionaries({"path": st.sampled_from(WORDS), "value": _numbers()})
    box = st.one_of(st.lists(_numbers(), max_size=5), st.lists(st.floats(-30, 90), min_size=4, max_size=4))
    kinds = (("polygon", polygon), ("polygon", _numbers()), ("rle", rle), ("box", box), ("file", st.one_of(file, _numbers())))
    return st.one_of(*(st.builds(MaskRef, st.just(kind), data) for kind, data in kinds))


def _read_mask(ref: MaskRef, size: tuple[int, int]) -> None:
    mask = decode_mask(ref, size, source="x.jsonl:1", root=Path("/nonexistent"))
    if mask.shape != size or mask.dtype != bool:
        raise TypeError(f"a mask of {mask.shape} {mask.dtype} for an image of {size}")


def _pickles() -> tuple[bytes, ...]:
    refs = [
        {
            "ref_id": 1,
            "ann_id": [2, -1],
            "split": "train",
            "image_id": 3,
            "sentences": [{"sent_id": 7, "raw": "The lake", "x": (1.5, None)}],
        }
    ]
    return (*(pickle.dumps(refs, protocol=protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)), b"cos\nsystem\n(S'true'\ntR.")


def _read_file(path: Path, read: Callable[[Path], Any]) -> Callable[[bytes], None]:
    def write_and_read(raw: bytes) -> None:
        path.write_bytes(raw)
        read(path)

    return write_and_read


def _values() -> SearchStrategy[Any]:
    plain = st.one_of(_numbers().filter(lambda value: value != 10**400), st.sampled_from(WORDS), st.text(max_size=5))
    return st.recursive(
        plain, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)), max_leaves=8
    )


def _config_texts() -> SearchStrategy[bytes]:
    key = st.sampled_from(("_base_", "_delete_", "type", "task", "custom_imports", "a.b", "seed", "systems", "filename", "pretty_text"))
    made = st.dictionaries(key, st.one_of(_values(), st.sampled_from(("x.json", "../x.yaml", "os.system", "{{$HOME}}", "http://x/y.yaml"))))
    yaml = (
        "a: &a [1]\nb: [*a, *a]\n",
        "x: !!python/object/apply:os.system ['true']\n",
        "a: {b: 1, c: [2, 3]}\nd: 2020-01-01\n",
        "<<: {a: 1}\n",
    )
    seeds = tuple(text.encode() for text in yaml)
    return st.one_of(made.map(lambda value: json.dumps(value).encode()), _changed(seeds), st.binary(max_size=30))


def _read_config(folder: Path) -> Callable[[Any], None]:
    def read(value: Any) -> None:
        name, raw = value
        (folder / name).write_bytes(raw)
        load_config(folder / name)

    return read


def _annotation_bytes() -> SearchStrategy[bytes]:
    good = json.dumps([{"id": "a", "image": "a.png", "conversations": [{"from": "human", "value": "x"}]}] * 2).encode()
    lines = b'{"sample_id": 1, "mask": null, "height": 3}\n{"sample_id": 2, "mask": {"size": [1, 2], "counts": "02"}}\n'
    return st.one_of(_changed((good, lines)), st.binary(max_size=40), _values().map(lambda value: json.dumps(value).encode()))


def _read_text(folder: Path) -> Callable[[Any], None]:
    def read(value: Any) -> None:
        name, raw = value
        (folder / name).write_bytes(raw)
        for entry in read_entries(folder / name):
            entry.extras("id")

    return read


RING = [0, 0, 4, 0, 4, 4]
ANNOTATION = {"id": 2, "image_id": 1, "segmentation": [RING]}
GOOD: dict[str, dict[str, Any]] = {
    "llava": {"id": "a", "image": "a.png", "conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "Water."}]},
    "bench": {"file_name": "a.json", "question": "What?", "candidate": ["a", "b"], "answer": "a", "task_type": "count"},
    "osprey": {
        "file_name": "a.png",
        "height": 4,
        "width": 4,
        "description": ["Water."],
        "annotation": [{"segmentation": [RING]}],
    },
    "coco": {
        "images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 4, "caption": "Water."}],
        "annotations": [{"id": 2, "image_id": 1, "segmentation": {"size": [4, 4], "counts": "0a0"}}],
    },
    "jsonl": {"sample_id": 1, "image": "a.png", "height": 4, "width": 4, "expression": "the water", "mask": [[0, 0, 4, 0, 4, 4]]},
    "refer": {
        "ref_id": 1,
        "image_id": 1,
        "ann_id": [2],
        "split": "train",
        "sentences": [{"raw": "The lake", "sent_id": 3}],
    },
}
"""An entry of each published format."""


def _entries() -> SearchStrategy[Any]:
    """(format, entries): good ones with fields left out, of another kind, or one too many."""
    text = st.one_of(st.sampled_from(WORDS), _values())
    number = st.one_of(st.integers(0, 4), _values())
    turn = st.fixed_dictionaries({}, optional={"from": text, "value": text})
    segmentation = st.one_of(st.just([[0, 0, 4, 0, 4, 4]]), st.just({"size": [4, 4], "counts": "0a0"}), _values())
    part = st.fixed_dictionaries({}, optional={"segmentation": segmentation, "id": number, "image_id": number, "caption": text})
    sentence = st.fixed_dictionaries({}, optional={"raw": text, "sent": text, "sent_id": number})
    fields: dict[str, SearchStrategy[Any]] = dict.fromkeys(KEYS, text)
    fields |= dict.fromkeys(("height", "width", "image_id", "ann_id", "sample_id", "ref_id"), number)
    fields |= dict.fromkeys(("annotation", "annotations", "images"), st.lists(part, max_size=3))
    fields |= {"conversations": st.lists(turn, max_size=4), "sentences": st.lists(sentence, max_size=2), "mask": segmentation}
    fields |= {"description": st.lists(text, max_size=3), "candidate": st.lists(text, max_size=3)}
    change = st.one_of(*(st.tuples(st.just(key), values) for key, values in fields.items()))
    return st.tuples(st.lists(change, max_size=2), st.lists(st.sampled_from(KEYS), max_size=1))


def _changed_entry(good: dict[str, Any], change: tuple[list[tuple[str, Any]], list[str]]) -> dict[str, Any]:
    changed, dropped = change
    return {key: value for key, value in (good | dict(changed)).items() if key not in dropped}


def _registered(name: str) -> Callable[..., Any]:
    """A data set class that an installed system registers."""
    for system in find_systems():
        system.task()
    found: Callable[..., Any] = DATASETS.module_dict[name]
    return found


_PARSERS: dict[str, Callable[..., Any]] = {
    "llava": llava.LlavaDataset,
    "bench": _registered("EarthMindBenchDataset"),
    "osprey": regions.OspreyRegionDataset,
    "coco": regions.CocoRegionDataset,
    "jsonl": refer.ReferringJsonlDataset,
    "refer": refer.ReferDataset,
}


def _read_dataset(folder: Path) -> Callable[[Any], None]:
    images = {"rgb": {"root": str(folder), "pattern": "{stem}.png", "sensor": "rgb_uint8"}}

    def read(value: Any) -> None:
        name, changes = value
        entries = [_changed_entry(GOOD[name], change) for change in changes]
        path = folder / ("refs.p" if name == "refer" else f"{name}.json")
        instances = {"images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 4}], "annotations": [ANNOTATION]}
        (folder / "instances.json").write_text(json.dumps(instances))
        if name == "refer":
            path.write_bytes(pickle.dumps(entries))
        else:
            path.write_text(json.dumps(entries[0] if name == "coco" else entries))
        _PARSERS[name](annotations=str(path), images=images)

    return read
