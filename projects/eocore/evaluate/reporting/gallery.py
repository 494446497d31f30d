"""Rows of pictures for the report: the same phrase on the same scene, drawn under each sensor setting."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from eocore.data.dataset import SampleKey, SampleSource
from eocore.data.io.masks import decode_scene_mask
from eocore.data.records import MaskRef
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.reporting.plots import OverlayRow, overlay_row
from eocore.sensors.display import display_image

OPTICAL_MODALITIES = ("rgb", "multispectral")


def overlay_rows(predictions: Iterable[Prediction], source: SampleSource, *, count: int) -> list[OverlayRow]:
    """Rows of `count` referring samples, spread evenly over the data set, at most one an image, cloudy ones first.

    Args:
        predictions: of all settings.
        source: the referring data with every modality (the fused setting).
        count: most rows.
    """
    by_sample: dict[str, dict[str, Prediction]] = {}
    for item in predictions:
        if item.task == "referring" and item.ground_truth_masks:
            by_sample.setdefault(item.sample_id, {})[item.sensor] = item
    keys = _choose(source, by_sample, count=count)
    return [_row(source, key, by_sample=by_sample) for key in keys]


def _choose(source: SampleSource, by_sample: Mapping[str, object], *, count: int) -> list[SampleKey]:
    records = source.records  # type: ignore[attr-defined]
    seen: set[str] = set()
    first_of_image = []
    for index, record in enumerate(records):
        image = record.images[0].paths[0]
        if record.sample_id in by_sample and image not in seen:
            seen.add(image)
            first_of_image.append(index)
    cloudy = [index for index in first_of_image if records[index].meta.get("cloudy")]
    clear = [index for index in first_of_image if not records[index].meta.get("cloudy")]
    wanted = _spread(cloudy, min(len(cloudy), -(-2 * count // 3)))
    return [SampleKey(0, index) for index in wanted + _spread(clear, count - len(wanted))]


def _spread(items: Sequence[int], count: int) -> list[int]:
    return [items[int(index)] for index in np.linspace(0, len(items) - 1, min(count, len(items))).round()] if items and count > 0 else []


def _row(source: SampleSource, key: SampleKey, *, by_sample: Mapping[str, Mapping[str, Prediction]]) -> OverlayRow:
    record, scenes, _ = source.load(key)
    images: dict[str, np.ndarray] = {}
    for scene in scenes:
        images.setdefault("optical" if scene.role in OPTICAL_MODALITIES else scene.role, display_image(scene))
    items = by_sample[record.sample_id]

    def union(rles: Sequence[Mapping[str, object]]) -> np.ndarray | None:
        masks = [decode_scene_mask(MaskRef("rle", dict(rle)), scenes[0], source=record.sample_id) for rle in rles]
        return np.any(masks, axis=0) if masks else None

    truth = union(next(iter(items.values())).ground_truth_masks)
    assert truth is not None
    sky = " (cloudy)" if record.meta.get("cloudy") else ""
    drawn = {setting: union(item.prediction_masks) for setting, item in items.items()}
    return overlay_row(title=f"{record.expressions[0].text}{sky}", images=images, truth=truth, predictions=drawn)
