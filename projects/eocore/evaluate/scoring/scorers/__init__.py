"""Importing this package registers every scorer in METRICS."""

from eocore.evaluate.scoring.scorers import answers, boxes, classes, masks, texts

__all__ = ["answers", "boxes", "classes", "masks", "texts"]
