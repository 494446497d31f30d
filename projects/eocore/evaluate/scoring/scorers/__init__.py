"""Importing this package registers every scorer in METRICS."""

from eocore.evaluate.scoring.scorers import answers, boxes, class_scores, classes, masks, retrieval, texts

__all__ = ["answers", "boxes", "class_scores", "classes", "masks", "retrieval", "texts"]
