import math

import pytest

from eocore.evaluate.metrics.boxes import Box, box_iou, box_iou_plus_one, box_overlap, count_hits, count_matches


def test_iou_has_no_extra_pixel():
    assert box_iou(Box(10, 10, 12, 12), Box(11, 11, 13, 13)) == pytest.approx(1 / 7)
    assert box_iou_plus_one(Box(10, 10, 12, 12), Box(11, 11, 13, 13)) == pytest.approx(0.286, abs=5e-4)


def test_boxes_apart_share_nothing_on_any_scale():
    apart = Box(0.1, 0.1, 0.2, 0.2), Box(0.7, 0.7, 0.9, 0.9)
    assert box_iou(*apart) == 0.0
    assert box_iou_plus_one(*apart) > 0.05


def test_a_square_turned_by_a_right_angle_is_itself():
    assert box_iou(Box(2, 2, 6, 6), Box(2, 2, 6, 6, 90)) == pytest.approx(1.0)
    assert box_iou(Box(2, 2, 6, 6), Box(2, 2, 6, 6, 45)) == pytest.approx(2 * (math.sqrt(2) - 1) / (2 - 2 * (math.sqrt(2) - 1)))


def test_angle_turns_from_x_to_y_as_geochat_draws():
    far_corner = Box(0, 0, 4, 2, 30).corners()[2]
    cosine, sine = math.cos(math.pi / 6), math.sin(math.pi / 6)
    assert far_corner == pytest.approx((2 * cosine - 1 * sine + 2, 2 * sine + 1 * cosine + 1))


def test_four_corners_are_a_box_in_any_order():
    turned = Box(10, 20, 30, 24, 30)
    corners = turned.corners()
    shuffled = Box.of(corners[[2, 0, 3, 1]].ravel().tolist())
    assert box_iou(turned, shuffled) == pytest.approx(1.0)
    assert shuffled.area == pytest.approx(80.0)


def test_turned_boxes_are_scaled_with_their_corners():
    box = Box(10, 20, 30, 24, 30).scaled(2.0, 0.5)
    assert box.area == pytest.approx(80.0)
    assert Box(1, 2, 3, 4).scaled(2.0, 10.0) == Box(2, 20, 6, 40)


def test_box_without_area_scores_nothing():
    assert box_iou(Box(5, 5, 2, 2), Box(5, 5, 2, 2)) == 0.0
    assert box_overlap(Box(5, 5, 2, 8), Box(0, 0, 9, 9)) == (0.0, 81.0)


def test_matches_are_one_to_one_and_hits_are_not():
    truth = [Box(0, 0, 10, 10), Box(20, 20, 30, 30)]
    same_twice = [Box(0, 0, 10, 10), Box(0, 0, 10, 9.9)]
    assert count_matches(same_twice, truth, threshold=0.5) == 1
    assert count_hits(same_twice, truth, threshold=0.5) == 2
    assert count_matches([], truth, threshold=0.5) == 0


def test_as_many_matches_as_possible_are_found():
    """The first fits both, the second only one: taking pairs in order of IoU would find one match."""
    truth = [Box(0, 0, 10, 10), Box(0, 0, 10, 6)]
    said = [Box(0, 0, 10, 9), Box(0, 0, 10, 12)]
    assert count_matches(said, truth, threshold=0.6) == 2
