"""Boxes, axis-aligned or oriented, and their overlap by shapely; torchmetrics' box metrics know no angles and need torchvision."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from shapely import MultiPoint
from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class Box:
    """A box with corners (x0, y0) and (x1, y1), turned by `degrees` about its middle; no unit of its own (pixels, per cent, share).

    Attributes:
        quad: x and y of four corners, where the box is given by these; x0 ... y1 are then the axis-aligned box around them.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    degrees: float = 0.0
    quad: tuple[float, ...] = ()

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Box":
        """From four numbers, five (with the angle), or eight (four corners)."""
        if len(numbers) == 8:
            xs, ys = numbers[::2], numbers[1::2]
            return cls(min(xs), min(ys), max(xs), max(ys), quad=tuple(numbers))
        x0, y0, x1, y1 = numbers[:4]
        return cls(x0, y0, x1, y1, numbers[4] if len(numbers) == 5 else 0.0)

    @property
    def is_level(self) -> bool:
        """Whether its sides are those of the image."""
        return not self.degrees and not self.quad

    @property
    def area(self) -> float:
        """0 where a far edge does not lie beyond the near one."""
        if self.quad:
            return float(self.polygon().area)
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def scaled(self, x_factor: float, y_factor: float) -> "Box":
        """The box in other units, a turned one with its corners."""
        if not self.is_level:
            return Box.of((self.corners() * (x_factor, y_factor)).ravel().tolist())
        return Box(self.x0 * x_factor, self.y0 * y_factor, self.x1 * x_factor, self.y1 * y_factor)

    def corners(self) -> np.ndarray:
        """(4, 2) x, y, turned from the x towards the y axis: clockwise in an image. Source: GeoChat draws its boxes so."""
        if self.quad:
            return np.array(self.quad).reshape(4, 2)
        centre = np.array([(self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2])
        half = np.array([(self.x1 - self.x0) / 2, (self.y1 - self.y0) / 2])
        angle = np.deg2rad(self.degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return np.asarray(centre + (half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])) @ turn)

    def polygon(self) -> BaseGeometry:
        """The hull of the corners, whatever their order."""
        return MultiPoint(self.corners()).convex_hull


def box_text(box: Sequence[float]) -> str:
    """A box as GeoChat and VRSBench write it: "{<10><20><30><40>}", with "|<90>" where it is turned."""
    turned = f"|<{box[4]:g}>" if len(box) == 5 else ""
    return "{" + "".join(f"<{value:g}>" for value in (box[:4] if len(box) == 5 else box)) + turned + "}"


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union [0..1], in real numbers: no pixel is added to the far edges. 0 where a box has no area."""
    shared, union = box_overlap(first, second)
    return shared / union if union > 0 else 0.0


def box_overlap(first: Box, second: Box) -> tuple[float, float]:
    """(area shared, area covered by either); oriented boxes as polygons (shapely)."""
    if first.is_level and second.is_level:
        width = min(first.x1, second.x1) - max(first.x0, second.x0)
        height = min(first.y1, second.y1) - max(first.y0, second.y0)
        shared = max(0.0, width) * max(0.0, height) if first.area and second.area else 0.0
    elif first.area and second.area:
        shared = min(float(first.polygon().intersection(second.polygon()).area), first.area, second.area)  # rounding goes beyond it
    else:
        shared = 0.0
    return shared, first.area + second.area - shared


def box_iou_plus_one(first: Box, second: Box) -> float:
    """IoU with one unit added to width and height, as upstream evaluations compute it whatever the unit is: on boxes from 0 to 1, two
    that share nothing score above 0. For comparison with their figures only; angles are left out, as there."""

    def area(x0: float, y0: float, *, x1: float, y1: float) -> float:
        return max(0.0, x1 - x0 + 1) * max(0.0, y1 - y0 + 1)

    shared = area(max(first.x0, second.x0), max(first.y0, second.y0), x1=min(first.x1, second.x1), y1=min(first.y1, second.y1))
    union = area(first.x0, first.y0, x1=first.x1, y1=first.y1) + area(second.x0, second.y0, x1=second.x1, y1=second.y1) - shared
    return shared / union if union > 0 else 0.0


def count_matches(predicted: Sequence[Box], annotated: Sequence[Box], *, threshold: float) -> int:
    """How many predicted boxes find an annotated one of their own with IoU >= threshold: the largest number possible, one to one."""
    from scipy.optimize import linear_sum_assignment

    if not predicted or not annotated:
        return 0
    fits = np.array([[box_iou(box, truth) >= threshold for truth in annotated] for box in predicted])
    rows, columns = linear_sum_assignment(fits, maximize=True)
    return int(fits[rows, columns].sum())


def count_hits(predicted: Sequence[Box], annotated: Sequence[Box], *, threshold: float) -> int:
    """How many predicted boxes have IoU >= threshold with any annotated one; several may hit the same. This over the number of predicted
    boxes is the "accuracy" EarthDial prints for SAR ships."""
    return sum(any(box_iou(box, truth) >= threshold for truth in annotated) for box in predicted)
