"""What a user may say of how answers are read; the names of the options, without what reads by them."""

from typing import Literal, get_args

Mode = Literal["strict", "lenient"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""How choices are read: stated letters and option texts alone, or also what a sentence names."""

ORDERS = ("xyxy", "yxyx", "xywh")
"""Orders of a box's numbers: two corners; two corners with y first (Gemini); a corner and the size (COCO)."""

PIXELS = 0.0
"""Stands for pixels where scales of boxes are numbers."""
