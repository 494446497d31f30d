"""The best and the worst masks and boxes of a benchmark, drawn on their images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.masks import decode_mask
from eocore.data.records import MaskRef
from eocore.sensors.display import display_image

from .gallery import OPTICAL_MODALITIES
from .metrics.boxes import Box
from .plots import OverlayRow, overlay_row
from .predictions import Prediction
from .reading.boxes import parse_boxes
from .score import judge_samples

DRAWN_TASKS = ("referring", "grounding")
NUM_EACH = 3


def extreme_rows(
    samples: Sequence[Prediction], source: RecordDataset, *, metrics: Mapping[str, Any] | None, count: int = NUM_EACH
) -> tuple[list[OverlayRow], list[OverlayRow]]:
    """(best, worst): `count` samples each, by their mean quality over the settings, at most one an image.

    Args:
        samples: of all settings, of a task in DRAWN_TASKS.
        source: the data set with every modality.
        metrics: entry of METRICS; None = the task's own.
        count: rows of each kind; fewer where there are fewer samples.
    """
    by_sample: dict[str, dict[str, Prediction]] = {}
    for item in samples:
        by_sample.setdefault(item.sample_id, {})[item.sensor] = item
    order = _ranked(samples, metrics)
    worst = _one_an_image(order, by_sample, count)
    best = _one_an_image(order[::-1], by_sample, count)
    index = {record.sample_id: place for place, record in enumerate(source.records)}
    return (
        [_row(source, index[name], by_sample[name]) for name in best],
        [_row(source, index[name], by_sample[name]) for name in worst if name not in best],
    )


def _ranked(samples: Sequence[Prediction], metrics: Mapping[str, Any] | None) -> list[str]:
    """Sample ids from the worst to the best; samples without any image of their own quality are left out."""
    task = samples[0].task
    judged, _ = judge_samples(samples, metrics={task: metrics} if metrics else None)
    quality: dict[str, list[float]] = {}
    for group, _ in judged.values():
        for item, value in zip(group.samples, group.quality, strict=True):
            if np.isfinite(value):
                quality.setdefault(item.sample_id, []).append(float(value))
    return sorted(quality, key=lambda name: (float(np.mean(quality[name])), name))


def _one_an_image(order: Sequence[str], by_sample: Mapping[str, Mapping[str, Prediction]], count: int) -> list[str]:
    seen: set[str] = set()
    chosen: list[str] = []
    for name in order:
        item = next(iter(by_sample[name].values()))
        image = item.image_ids[0]
        if image not in seen and item.prediction is not None and len(chosen) < count:
            seen.add(image)
            chosen.append(name)
    return chosen


def _row(source: RecordDataset, index: int, items: Mapping[str, Prediction]) -> OverlayRow:
    _, scenes, _ = source.load(SampleKey(0, index))
    images: dict[str, np.ndarray] = {}
    for modality, scene in scenes.items():
        images.setdefault("optical" if modality in OPTICAL_MODALITIES else modality, display_image(scene))
    size = next(iter(scenes.values())).size
    first = next(iter(items.values()))
    truth = _drawn(first, size, annotated=True)
    predictions = {setting: _drawn(item, size, annotated=False) for setting, item in items.items()}
    empty = np.zeros(size, dtype=bool)
    phrase = first.prompt.replace("<image>", "").strip()
    return overlay_row(title=phrase, images=images, truth=empty if truth is None else truth, predictions=predictions)


def _drawn(item: Prediction, size: tuple[int, int], *, annotated: bool) -> np.ndarray | None:
    """(H, W) bool of all masks or boxes of a line, None where it has none."""
    if item.task == "referring":
        rles = item.ground_truth_masks if annotated else item.prediction_masks
        masks = [decode_mask(MaskRef("rle", dict(rle)), size, source=item.sample_id) for rle in rles]
    else:
        text = item.ground_truth if annotated else item.prediction or ""
        masks = [mask for box in parse_boxes(text) if (mask := _filled(box, size)) is not None]
    return np.any(masks, axis=0) if masks else None


def _filled(box: Box, size: tuple[int, int]) -> np.ndarray | None:
    """The pixels of a box on a scale of 0 to 100; None where it covers none of the image."""
    height, width = size
    if box.area <= 0:
        return None
    ring = (box.corners() * np.array([width, height]) / 100).clip(0, [width, height])
    if np.ptp(ring[:, 0]) <= 0 or np.ptp(ring[:, 1]) <= 0:
        return None
    return decode_mask(MaskRef("polygon", [ring.flatten().tolist()]), size, source="box")
