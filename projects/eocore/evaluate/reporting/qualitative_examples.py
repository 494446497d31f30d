"""Qualitative examples of a benchmark: its best and worst masks and boxes, drawn on their images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.io.masks import decode_mask, decode_scene_mask
from eocore.data.records import MaskRef
from eocore.evaluate.metrics.boxes import Box
from eocore.evaluate.predictions import Prediction, PredictionKey
from eocore.evaluate.reporting.gallery import OPTICAL_MODALITIES
from eocore.evaluate.reporting.plots import OverlayRow, overlay_row
from eocore.evaluate.scoring.parsing.reading_options import ORDERS, PIXELS
from eocore.evaluate.scoring.score import judge_samples
from eocore.evaluate.scoring.scorers.box_reader import BoxReader
from eocore.sensors.display import display_image
from eocore.sensors.scene import Scene

DRAWN_TASKS = ("referring", "grounding")
NUM_EACH = 3


def qualitative_examples(
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
    drawn = _boxes(samples, metrics) if samples[0].task == "grounding" else {}
    worst = _one_an_image(order, by_sample, count=count)
    best = _one_an_image(order[::-1], by_sample, count=count)
    index = {record.sample_id: position for position, record in enumerate(source.records)}
    return (
        [_row(source, index[name], items=by_sample[name], drawn=drawn) for name in best],
        [_row(source, index[name], items=by_sample[name], drawn=drawn) for name in worst if name not in best],
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


@dataclass(frozen=True)
class _Boxes:
    """Boxes of one line of predictions, on one scale."""

    annotated: list[Box]
    predicted: list[Box]
    scale: float


def _boxes(samples: Sequence[Prediction], metrics: Mapping[str, Any] | None) -> dict[PredictionKey, _Boxes]:
    """The boxes as the scorer reads them, by line; each setting is read by itself, as it is scored."""
    found: dict[PredictionKey, _Boxes] = {}
    chosen = metrics or {}
    for setting in {sample.sensor for sample in samples}:
        group = [sample for sample in samples if sample.sensor == setting]
        reader = BoxReader(
            "Grounding", chosen.get("prediction_scale"), truth_scale=chosen.get("truth_scale"), order=chosen.get("order", ORDERS[0])
        )
        read = reader.read(group, need_area=False)
        parts = zip(read.truths, read.given, read.scales, strict=True)
        found |= {sample.key: _Boxes(*part) for sample, part in zip(group, parts, strict=True)}
    return found


def _one_an_image(order: Sequence[str], by_sample: Mapping[str, Mapping[str, Prediction]], *, count: int) -> list[str]:
    seen: set[str] = set()
    chosen: list[str] = []
    for name in order:
        item = next(iter(by_sample[name].values()))
        image = item.image_ids[0]
        if image not in seen and item.prediction is not None and len(chosen) < count:
            seen.add(image)
            chosen.append(name)
    return chosen


def _row(source: RecordDataset, index: int, *, items: Mapping[str, Prediction], drawn: Mapping[PredictionKey, _Boxes]) -> OverlayRow:
    _, scenes, _ = source.load(SampleKey(0, index))
    images: dict[str, np.ndarray] = {}
    for scene in scenes:
        images.setdefault("optical" if scene.role in OPTICAL_MODALITIES else scene.role, display_image(scene))
    first = next(iter(items.values()))
    truth = _drawn(first, scenes[0], drawn=drawn, annotated=True)
    predictions = {setting: _drawn(item, scenes[0], drawn=drawn, annotated=False) for setting, item in items.items()}
    empty = np.zeros(scenes[0].size, dtype=bool)
    phrase = first.prompt.replace("<image>", "").strip()
    return overlay_row(title=phrase, images=images, truth=empty if truth is None else truth, predictions=predictions)


def _drawn(item: Prediction, scene: Scene, *, drawn: Mapping[PredictionKey, _Boxes], annotated: bool) -> np.ndarray | None:
    """(H, W) bool of all masks or boxes of a line, None where it has none."""
    if item.task == "referring":
        rles = item.ground_truth_masks if annotated else item.prediction_masks
        masks = [decode_scene_mask(MaskRef("rle", dict(rle)), scene, source=item.sample_id) for rle in rles]
    else:
        boxes = drawn[item.key]
        shown = boxes.annotated if annotated else boxes.predicted
        masks = [mask for box in shown if (mask := _filled(box, scene.size, scale=boxes.scale)) is not None]
    return np.any(masks, axis=0) if masks else None


def _filled(box: Box, size: tuple[int, int], *, scale: float) -> np.ndarray | None:
    """The pixels of a box; None where it covers none of the image."""
    height, width = size
    if box.area <= 0:
        return None
    factor = np.array([width, height]) / scale if scale != PIXELS else np.ones(2)
    ring = (box.corners() * factor).clip(0, [width, height])
    if np.ptp(ring[:, 0]) <= 0 or np.ptp(ring[:, 1]) <= 0:
        return None
    return decode_mask(MaskRef("polygon", [ring.flatten().tolist()]), size, source="box")
