"""Numbers of land-cover maps: published schemes, tables of one's own, and maps that fit none or several."""

import json
from pathlib import Path

import pytest

from eocore.converters.class_schemes import (
    DYNAMIC_WORLD,
    ESRI,
    REFERENCE_TILES,
    SCHEMES,
    WORLDCOVER,
    check_numbers,
    find_scheme,
    tell_scheme,
)
from eocore.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("esri", {"water": 1, "wetland": 4, "cropland": 5, "built area": 7, "bare ground": 8, "snow": 9, "rangeland": 11}),
        ("esri-2020", {"grassland": 3, "shrubland": 6, "built area": 7, "snow": 9}),
        ("worldcover", {"forest": 10, "cropland": 40, "built area": 50, "water": 80, "mangrove": 95, "moss and lichen": 100}),
        ("dynamic-world", {"water": 0, "forest": 1, "wetland": 3, "built area": 6, "snow": 8}),
        ("reference-tiles", {"water": 1, "wetland": 3, "cropland": 4, "built area": 5, "snow": 7, "rangeland": 9}),
    ],
)
def test_numbers_are_those_of_the_publications(name: str, numbers: dict[str, int]) -> None:
    classes = find_scheme(name).classes
    assert {word: number for number, land in classes.items() for word in numbers if land.name == word} == numbers


@pytest.mark.parametrize(
    ("name", "scheme"), [("ESA_WorldCover", WORLDCOVER), ("Dynamic World", DYNAMIC_WORLD), ("Esri 10m", ESRI), ("tiles", REFERENCE_TILES)]
)
def test_names_are_taken_in_any_spelling(name: str, scheme: object) -> None:
    assert find_scheme(name) is scheme


def test_an_unknown_name_gives_the_choices() -> None:
    with pytest.raises(
        ConfigError, match=r"no land-cover scheme 'worldcoverr'\. Did you mean 'worldcover'\? Choices: reference-tiles, esri"
    ):
        find_scheme("worldcoverr")


class TestTables:
    def write(self, folder: Path, content: object) -> str:
        (folder / "own.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return str(folder / "own.json")

    def test_words_for_classes_and_null_for_none(self, tmp_path: Path) -> None:
        scheme = find_scheme(self.write(tmp_path, {"3": "vineyard", "-1": ["lake", "lake", "lakes"], "0": None}))
        assert (scheme.classes[3].name, scheme.classes[3].plural) == ("vineyard", "vineyard areas")
        assert scheme.classes[-1].plural == "lakes" and set(scheme.unknown) == {0} and scheme.knows([0, 3, -1])

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            ("{3: 4}", "not JSON"),
            ([1], "list; expected"),
            ({}, "dict; expected"),
            ({"water": "3"}, "'water' is no whole number"),
            ({"3": 4}, r"entry 3 is 4; expected"),
            ({"3": ["a", "b"]}, r"entry 3 is \['a', 'b'\]; expected"),
            ({"0": None}, "names no class"),
        ],
    )
    def test_other_forms_are_refused_by_entry(self, tmp_path: Path, content: object, found: str) -> None:
        with pytest.raises(ConfigError, match=rf"own\.json.*{found}"):
            find_scheme(self.write(tmp_path, content))

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"absent\.json"):
            find_scheme(str(tmp_path / "absent.json"))


class TestTellingThem:
    def test_numbers_of_one_scheme_alone_tell_it(self) -> None:
        assert tell_scheme({10: 5, 80: 7}) is WORLDCOVER
        assert tell_scheme({7: 5, 11: 2}) is ESRI

    def test_numbers_of_several_are_refused_with_their_counts(self) -> None:
        with pytest.raises(ConfigError, match=r"hold 5 \(4,096 px\), 7 \(2,048 px\), which reference-tiles, esri, .* all know, with other"):
            tell_scheme({7: 2048, 5: 4096})

    def test_numbers_of_none_are_refused(self) -> None:
        with pytest.raises(DataError, match=r"hold 250 \(3 px\), which no scheme known here has .*JSON file with --classes"):
            tell_scheme({250: 3})


class TestCheckingThem:
    @pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
    def test_own_numbers_pass(self, scheme: object) -> None:
        check_numbers({number: 1 for number in (*scheme.classes, *scheme.unknown)}, scheme)  # type: ignore[attr-defined]

    def test_strange_numbers_are_named_with_the_scheme_that_has_them(self) -> None:
        with pytest.raises(DataError, match=r"hold 80 \(9 px\), numbers that .* does not have; .* They fit worldcover\."):
            check_numbers({10: 3, 80: 9}, ESRI)

    @pytest.mark.parametrize(("counts", "found"), [({0: 50}, r"0 \(50 px\), none"), ({}, "no valid pixel, none")])
    def test_maps_without_a_class_are_refused(self, counts: dict[int, int], found: str) -> None:
        with pytest.raises(DataError, match=rf"the maps hold {found} of which is a class of .* nothing to ask"):
            check_numbers(counts, WORLDCOVER)
