"""The ground and the clouds of the synthetic world."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from eocore.synthetic.landscape import BUILDINGS, COVER, GAP_PX, HIDDEN, LARGEST_COUNT, Layout, draw_clouds, draw_layout


def layouts(number: int, size: int = 96) -> list[Layout]:
    return [draw_layout(np.random.default_rng([7, index]), size) for index in range(number)]


def test_layout_depends_on_the_generator_alone():
    one, again = draw_layout(np.random.default_rng(3), 96), draw_layout(np.random.default_rng(3), 96)
    other = draw_layout(np.random.default_rng(4), 96)
    assert np.array_equal(one.class_map, again.class_map)
    assert np.array_equal(one.objects, again.objects)
    assert not np.array_equal(one.class_map, other.class_map)


@pytest.mark.parametrize("size", [64, 96, 160])
def test_every_object_is_one_piece_of_one_class_with_a_name(size):
    for layout in layouts(10, size):
        numbers = [number for number in np.unique(layout.objects) if number]
        assert numbers == sorted(layout.nouns)
        for number in numbers:
            pixels = layout.objects == number
            assert label(pixels)[1] == 1
            assert len(np.unique(layout.class_map[pixels])) == 1


def test_objects_keep_their_distance():
    for layout in layouts(20):
        for number in layout.nouns:
            pixels = layout.objects == number
            around = binary_dilation(pixels, iterations=GAP_PX) & ~pixels
            assert not layout.objects[around].any()


def test_the_background_is_one_class():
    for layout in layouts(20):
        assert len(np.unique(layout.class_map[layout.objects == 0])) == 1


def test_nothing_but_the_sea_encloses_another_object():
    for layout in layouts(40):
        for number, noun in layout.nouns.items():
            outside, count = label(layout.objects != number)
            touching = {int(n) for edge in (outside[0], outside[-1], outside[:, 0], outside[:, -1]) for n in edge if n}
            assert noun == "sea" or len(touching) == count


def test_counts_of_buildings_are_even():
    counts = [sum(noun == "building" for noun in layout.nouns.values()) for layout in layouts(300, 48)]
    shares = np.bincount(counts, minlength=LARGEST_COUNT + 1) / len(counts)
    assert len(shares) == LARGEST_COUNT + 1
    assert shares.min() > 0.13
    assert shares.max() < 0.27


def test_clouds_hide_part_of_every_object_and_leave_part():
    covers = []
    for index, layout in enumerate(layouts(30)):
        clouds = draw_clouds(layout, np.random.default_rng(index))
        covers.append(clouds.mean())
        for number, noun in layout.nouns.items():
            if noun != "building":
                assert HIDDEN[0] - 0.1 <= clouds[layout.objects == number].mean() <= HIDDEN[1] + 0.1
        buildings = layout.class_map == BUILDINGS
        if buildings.any():
            assert HIDDEN[0] - 0.1 <= clouds[buildings].mean() <= HIDDEN[1] + 0.1
    assert np.mean([COVER[0] <= cover <= COVER[1] for cover in covers]) > 0.9


def test_clouds_hide_some_buildings_whole():
    hidden = []
    for index, layout in enumerate(layouts(60)):
        clouds = draw_clouds(layout, np.random.default_rng(index))
        hidden += [clouds[layout.objects == number].mean() for number, noun in layout.nouns.items() if noun == "building"]
    assert np.mean(np.array(hidden) > 0.98) > 0.1
