"""Equal problems of many records are one line."""

from eocore.checks.facts import ANNOTATION, IMAGE, Problem
from eocore.checks.grouping import group_problems


def test_problems_that_differ_in_names_and_numbers_are_one_group() -> None:
    missing = [Problem(IMAGE, (f"a.json#{n}", f"a.json#{n + 100}"), f"/data/sar/tile {n}.tif: no such image file.") for n in range(40)]
    other = Problem(IMAGE, ("a.json#7",), "/data/rgb/tile_7.png: no such image file.")
    wrong = [Problem(ANNOTATION, (f"b.json:{n}",), f"b.json:{n}: field 'label' must be a text, found {n}.5.") for n in range(3)]
    groups = group_problems([*wrong, other, *missing])
    assert [(group.num_problems, group.num_records) for group in groups] == [(40, 80), (3, 3), (1, 1)]
    assert groups[0].first is missing[0] and groups[1].first is wrong[0]


def test_other_texts_and_kinds_stay_apart() -> None:
    said = [(IMAGE, "x is broken"), (ANNOTATION, "x is broken"), (IMAGE, "x is missing")]
    problems = [Problem(kind, (f"a:{number}",), text) for number, (kind, text) in enumerate(said)]
    assert len(group_problems(problems)) == 3
