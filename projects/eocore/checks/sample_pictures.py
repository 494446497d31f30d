"""Records as people see them: each image for display, with its masks and boxes, and all words beside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from eocore.checks.written_boxes import box_shape, describe_scale, tell_scale, written_boxes
from eocore.data.dataset import RecordDataset, SampleKey, SampleSource, random_stream
from eocore.data.io.masks import decode_scene_mask
from eocore.data.io.readers import read_scene
from eocore.data.io.scene_sets import read_scenes
from eocore.data.records import MaskRef, Record
from eocore.errors import DataError
from eocore.evaluate.reporting.pages import SampleRow, Words
from eocore.evaluate.reporting.plots import Colour, Panel, draw_overlay
from eocore.evaluate.scoring.scorers.box_reader import DEFAULT_SCALE
from eocore.log import plain_line
from eocore.sensors.display import display_image
from eocore.sensors.scene import Scene

COLOURS: tuple[Colour, ...] = ((230, 159, 0), (86, 180, 233), (204, 121, 167), (0, 158, 115), (240, 228, 66), (213, 94, 0), (0, 114, 178))
"""Of masks and boxes in turn; told apart by colour-blind readers too. Source: Okabe and Ito, Color Universal Design (2008)."""
MIN_SIDE, MAX_SIDE = 320, 640
"""Between these the longer side of a drawn image lies [px]: outlines and boxes are drawn on pixels of the screen, not of the image."""
BOX_WIDTH = 3
"""Of the line of a box [px]."""
AS_READ, BEFORE, AFTER = "as read", "before augmentation", "after augmentation"
SHOWN_META = ("type", "candidates", "answer")
"""What evaluation knows of a record and people want to see."""


@dataclass(frozen=True)
class Stage:
    """A record at one point of its way into a sample, with its images: as read, or after a transform.

    Attributes:
        label: which point.
        record: the record there.
        scenes: its images, in their order.
        box_scale: what the far edge of an image is called where texts give boxes in numbers; see `written_boxes.tell_scale`.
    """

    label: str
    record: Record
    scenes: tuple[Scene, ...]
    box_scale: float = DEFAULT_SCALE


@dataclass(frozen=True)
class _Mark:
    """A mask or box, what is said of it, and the colour of both; of boxes the outline alone is drawn."""

    mask: MaskRef
    colour: Colour
    label: str
    text: str
    is_box: bool


def read_stages(dataset: RecordDataset, index: int, *, box_scale: float = DEFAULT_SCALE) -> list[Stage]:
    """The stages of a record that are shown, in order: so far the record as it stands in its file.

    Args:
        dataset: of the record.
        index: of the record.
        box_scale: see `Stage`.

    Raises:
        DataError: an image cannot be read.
    """
    record = dataset.records[index]
    scenes = tuple(read_scene(ref, root=dataset.image_root(ref)) for ref in record.images)
    return [Stage(AS_READ, record, scenes, box_scale)]


def read_augmented(source: SampleSource, index: int, *, seed: int) -> list[Stage]:
    """A sample of a training's first epoch before and after its augmentation; once where nothing was changed.

    Raises:
        DataError: an image cannot be read.
    """
    key = SampleKey(0, index)
    record, scenes, _ = source.load(key, seed=seed)
    before = record.augmentation.before
    if before is None:
        return [Stage(BEFORE, record, scenes)]
    _, dataset = source.draw(key, random_stream(seed, "sample", *key))
    return [
        Stage(BEFORE, before, read_scenes(before.images, root_of=dataset.image_root, source=before.source)),
        Stage(AFTER, record, scenes),
    ]


def augmented_rows(source: SampleSource, count: int, *, seed: int) -> list[SampleRow]:
    """Rows of `count` samples of a training, spread evenly over its first epoch, before and after its augmentation."""
    rows: list[SampleRow] = []
    for index in np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(int)).tolist():
        try:
            rows += [draw_stage(stage, several=True) for stage in read_augmented(source, index, seed=seed)]
        except DataError as error:
            rows.append(SampleRow(source.describe(SampleKey(0, index)), (), (Words("cannot be shown", plain_line(str(error))),)))
    return rows


def choose_records(dataset: RecordDataset, count: int) -> list[int]:
    """Indexes of `count` records, spread evenly over the dataset, of different images where there are enough."""
    first: dict[tuple[tuple[tuple[str, ...], str], ...], int] = {}
    for index, record in enumerate(dataset.records):
        first.setdefault(tuple((ref.paths, ref.item) for ref in record.images), index)
    pool = list(first.values()) if len(first) >= count else list(range(len(dataset)))
    return [pool[int(position)] for position in np.linspace(0, len(pool) - 1, min(count, len(pool))).round()]


def sample_rows(dataset: RecordDataset, count: int) -> list[SampleRow]:
    """Rows of `count` records, a row for each stage; of a record that cannot be shown, the row says why."""
    rows: list[SampleRow] = []
    box_scale = tell_scale(dataset)
    for index in choose_records(dataset, count):
        record = dataset.records[index]
        try:
            stages = read_stages(dataset, index, box_scale=box_scale)
            rows += [draw_stage(stage, several=len(stages) > 1) for stage in stages]
        except DataError as error:
            rows.append(SampleRow(_title(record), (), (Words("cannot be shown", plain_line(str(error))),)))
    return rows


def draw_stage(stage: Stage, *, several: bool = False) -> SampleRow:
    """The pictures of a record with its masks on each, and its words.

    Args:
        stage: what is drawn.
        several: other stages of the same record are shown too, so this one is named.

    Raises:
        DataError: a mask cannot be drawn.
    """
    marks = _marks(stage)
    panels = tuple(
        Panel(_panel_title(scene), draw_marks(display_image(scene), marks, scene=stage.scenes[0], source=stage.record.source))
        for scene in stage.scenes
    )
    title = f"{_title(stage.record)} ({stage.label})" if several else _title(stage.record)
    return SampleRow(title, panels, (*_left_out(stage), *_words(stage.record, marks)))


def draw_marks(image: np.ndarray, marks: Sequence[_Mark], *, scene: Scene, source: str) -> np.ndarray:
    """(h, w, 3) uint8: an enlarged image with its masks tinted and outlined, and its boxes as lines.

    Args:
        image: (H, W, 3) uint8.
        marks: on the pixels of `scene`.
        scene: the record's first.
        source: of the record, for messages.
    """
    height, width = _drawn_size(image.shape[0], image.shape[1])
    drawn = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST))
    for mark in marks:
        mask = decode_scene_mask(mark.mask, scene, source=source)
        large = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
        drawn = _outlined(drawn, large, colour=mark.colour) if mark.is_box else draw_overlay(drawn, large, colour=mark.colour)
    return drawn


def _drawn_size(height: int, width: int) -> tuple[int, int]:
    """Whole multiples of a small image, so that its pixels stay square."""
    longer = max(height, width)
    if longer > MAX_SIDE:
        return max(1, height * MAX_SIDE // longer), max(1, width * MAX_SIDE // longer)
    factor = max(1, -(-MIN_SIDE // longer))
    return height * factor, width * factor


def _outlined(image: np.ndarray, mask: np.ndarray, *, colour: Colour) -> np.ndarray:
    """The image with the border of a mask as a line of `BOX_WIDTH`."""
    inside = mask.copy()
    for _ in range(BOX_WIDTH):
        padded = np.pad(inside, 1)
        inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:] & inside
    drawn = image.copy()
    drawn[mask & ~inside] = colour
    return drawn


def _marks(stage: Stage) -> list[_Mark]:
    record = stage.record
    said = [(f"region{number}", _shape(region), region) for number, region in enumerate(record.regions, start=1)]
    said += [(f"[SEG] {number}", _shape(mask), mask) for number, mask in enumerate(record.masks, start=1)]
    phrases = [item for item in record.expressions if not record.masks]  # else the turns say the same
    said += [("phrase", _phrase(item.text, item.place), item.mask) for item in phrases if item.mask is not None]
    shown = [(label, text, mask, mask.kind == "box") for label, text, mask in said] + _written(stage)
    return [_Mark(mask, COLOURS[number % len(COLOURS)], label, text, is_box) for number, (label, text, mask, is_box) in enumerate(shown)]


def _written(stage: Stage) -> list[tuple[str, str, MaskRef, bool]]:
    """(label, text, shape, True) of each box that a turn gives in numbers, on the stored pixels of the first image; none of an image that
    was changed after reading, whose stored pixels its boxes no longer count."""
    if not stage.scenes or stage.scenes[0].grid_changes:
        return []
    scene, found = stage.scenes[0], []
    for role, boxes in written_boxes(stage.record):
        how = describe_scale(stage.box_scale, boxes)
        for number, box in enumerate(boxes, start=1):
            shape = box_shape(box, scene.turn.size(scene.size), scale=stage.box_scale)
            if shape is not None:
                found.append((f"box {number} of {role}", how if number == 1 else "as the first", shape, True))
    return found


def _shape(mask: MaskRef) -> str:
    return f"the {'box' if mask.kind == 'box' else 'mask'} in this colour"


def _phrase(text: str, place: str) -> str:
    return f"{text} ({place})" if place else text


def _words(record: Record, marks: Sequence[_Mark]) -> list[Words]:
    """All that is said in a record: its marks in their colours, turns, captions, labels, and what evaluation knows of it."""
    words = [Words(mark.label, mark.text, mark.colour) for mark in marks]
    words += [Words("phrase without a target", _phrase(item.text, item.place)) for item in record.expressions if item.mask is None]
    words += [Words(turn.role, turn.text) for turn in record.turns]
    words += [Words("caption", caption) for caption in record.captions]
    words += [Words("label", label) for label in record.labels]
    words += [Words(name, _as_text(record.meta[name])) for name in SHOWN_META if record.meta.get(name)]
    return [Words(item.label, "\n".join(map(plain_line, item.text.strip().splitlines())), item.colour) for item in words]


def _left_out(stage: Stage) -> list[Words]:
    """What augmentation left as it was, and why; bands of each image that hold no data."""
    kept = [Words("left as it is", plain_line(reason)) for reason in stage.record.augmentation.kept]
    empty = [(scene.role, _empty_bands(scene)) for scene in stage.scenes]
    return kept + [Words(f"{role} without data", ", ".join(bands)) for role, bands in empty if bands]


def _empty_bands(scene: Scene) -> list[str]:
    return [band for band, layer in zip(scene.bands, scene.pixels, strict=True) if np.isnan(layer).all()]


def _as_text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _panel_title(scene: Scene) -> str:
    gsd = f", {scene.gsd_m:.3g} m" if np.isfinite(scene.gsd_m) else ""
    when = f" {scene.time}" if scene.time else ""
    return f"{scene.role}{when}: {scene.sensor}, {scene.size[0]} x {scene.size[1]} px{gsd}"


def _title(record: Record) -> str:
    return plain_line(f"{record.sample_id} ({record.source})")
