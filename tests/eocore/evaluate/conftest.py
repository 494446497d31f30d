"""Invented samples and predictions: 40 scenes, half of them cloudy, on which fused input is best."""

from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as coco

from eocore.evaluate.predictions import Prediction

RIGHT = {"optical": {False: 0.9, True: 0.3}, "sar": {False: 0.5, True: 0.5}, "fused": {False: 0.9, True: 0.85}}
CANDIDATES = ["forest", "water", "crops", "houses"]


def rle(mask: np.ndarray) -> dict:
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode()}


def box(height: int, width: int, *, top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def ask_choice(sample_id: str, **changes) -> Prediction:
    meta = {"candidates": CANDIDATES, "type": "presence", "cloudy": False}
    return replace(Prediction(sample_id, "mcq", (f"{sample_id}.png",), "optical", "What is it?", None, "water", meta), **changes)


@pytest.fixture
def expected() -> list[Prediction]:
    """Three questions of two types and one phrase per scene, under three settings, not predicted yet."""
    samples = []
    for setting in RIGHT:
        for scene in range(40):
            images, cloudy = (f"{scene:03d}.png",), scene % 2 == 1
            meta = {"cloudy": cloudy, "type": "presence" if scene % 4 < 2 else "count"}
            choice = ask_choice(
                f"q{scene}", image_ids=images, sensor=setting, ground_truth=CANDIDATES[scene % 4], meta={**meta, "candidates": CANDIDATES}
            )
            truth = rle(box(48, 48, top=8 + scene % 9, left=10, side=16))
            samples += [
                choice,
                Prediction(f"v{scene}", "vqa", images, setting, "Is there water?", None, "yes" if scene % 3 else "no", meta),
                Prediction(f"c{scene}", "chat", images, setting, "Describe.", None, "A scene.", meta),
                Prediction(f"r{scene}", "referring", images, setting, "Segment it.", None, "", {"cloudy": cloudy}, (), (truth,)),
            ]
    return samples


@pytest.fixture
def predicted(expected: list[Prediction]) -> list[Prediction]:
    """The same, predicted: right with the probability of RIGHT."""
    rng = np.random.default_rng(0)
    done = []
    for sample in expected:
        right = rng.random() < RIGHT[sample.sensor][sample.meta["cloudy"]]
        if sample.task == "referring":
            shift = 1 if right else 12
            drawn = rle(box(48, 48, top=8 + int(sample.sample_id[1:]) % 9 + shift, left=10 + shift, side=16))
            done.append(replace(sample, prediction="Sure, [SEG].", prediction_masks=(drawn,)))
        elif sample.task == "mcq":
            wrong = CANDIDATES[(CANDIDATES.index(sample.ground_truth) + 1) % 4]
            done.append(replace(sample, prediction=sample.ground_truth if right else wrong))
        else:
            done.append(replace(sample, prediction=sample.ground_truth if right else "no" if sample.ground_truth == "yes" else "yes"))
    return done
