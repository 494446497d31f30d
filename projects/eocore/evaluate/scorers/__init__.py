"""Importing this package registers every scorer in METRICS."""

from . import answers, classes, places, texts

__all__ = ["answers", "classes", "places", "texts"]
