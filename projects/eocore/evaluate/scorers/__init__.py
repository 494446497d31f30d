"""Importing this package registers every scorer in METRICS."""

from . import answers, boxes, classes, masks, texts

__all__ = ["answers", "boxes", "classes", "masks", "texts"]
