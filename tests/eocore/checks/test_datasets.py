"""Checking the data of a config: every record is read, every broken one named once, and good data passes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eocore.checks.datasets import FoundDataset, find_datasets, open_dataset, read_dataset
from eocore.checks.facts import ANNOTATION, DUPLICATE, IMAGE, MASK, UNFORESEEN, DatasetFacts
from eocore.checks.report import write_report
from eocore.data import registered as _registered_datasets  # noqa: F401  (registers the datasets that configs name)
from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, each, read_entries, segmentation_mask
from eocore.data.records import Expression, Record
from eocore.errors import ConfigError
from eocore.registry import DATASETS

RING = [[0, 0, 4, 0, 4, 4, 0, 4]]


class PhraseDataset(RecordDataset):
    """JSON lines of {id, image, phrase, mask}."""

    def parse(self, path: Path) -> list[Record]:
        return each(read_entries(path), self._record)

    def _record(self, entry: Entry) -> Record:
        mask = segmentation_mask(entry.values.get("mask"), entry.source)
        return Record(
            sample_id=entry.identifier("id"),
            images=self.locate_images(entry.file_name("image"), entry.source),
            expressions=(Expression(entry.text("phrase"), mask),),
            task="referring",
            source=entry.source,
            meta=entry.extras("id", "image", "phrase"),
        )


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    DATASETS.register_module(module=PhraseDataset)
    yield
    DATASETS.module_dict.pop("PhraseDataset")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        Image.fromarray(np.full((8, 10, 3), 9, np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def dataset(folder: Path, lines: list[Any]) -> dict[str, Any]:
    (folder / "set.jsonl").write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    images = {"rgb": {"root": str(folder), "pattern": "{stem}.png", "sensor": "rgb_uint8"}}
    return {"type": "PhraseDataset", "annotations": str(folder / "set.jsonl"), "images": images}


def line(number: int, image: str = "a", mask: Any = RING, **more: Any) -> dict[str, Any]:
    return {"id": f"s{number}", "image": image, "phrase": "the water", "mask": mask, **more}


def check(config: dict[str, Any], num_workers: int = 0) -> DatasetFacts:
    facts, opened = open_dataset(FoundDataset(config))
    done: list[int] = []
    if opened is not None:
        read_dataset(opened, facts, num_workers=num_workers, on_group=done.append)
        assert sum(done) == len(opened)
    return facts


def test_good_data_has_no_problem(folder: Path) -> None:
    facts = check(dataset(folder, [line(0), line(1, "b", type="class"), line(2)]))
    assert (facts.problems, facts.num_entries, facts.num_images, facts.num_broken) == ([], 3, 2, 0)
    assert facts.sizes == {"rgb 8 x 10": 2}
    assert facts.mask_shares == pytest.approx([16 / 80] * 3)
    assert facts.classes["phrase"] == {"the water": 3} and facts.classes["question type"] == {"class": 1}


def test_every_answer_of_a_conversation_counts(folder: Path) -> None:
    said = [("human", "How many?"), ("gpt", "2"), ("human", "Is there water?"), ("gpt", "Yes"), ("human", "And here?"), ("gpt", "yes")]
    entries = [{"id": "a", "image": "a.png", "conversations": [{"from": who, "value": text} for who, text in said]}]
    (folder / "talk.json").write_text(json.dumps(entries))
    facts = check({**dataset(folder, []), "type": "LlavaDataset", "annotations": str(folder / "talk.json")})
    assert (facts.num_entries, facts.num_questions) == (1, 3)
    assert facts.classes["answer"] == {"2": 1, "yes": 2}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_broken_record_is_named_with_its_line(folder: Path, num_workers: int) -> None:
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:45])
    far = [[0, 0, 1e9, 0, 5, 5]]
    lines = [
        line(0),
        '{"id":',
        line(1),
        line(1, "b"),
        line(2, "c"),
        line(3, "c"),
        line(4, "gone"),
        line(5, mask=far),
        line(6, mask=[]),
        [1],
    ]
    facts = check(dataset(folder, lines), num_workers)
    found = [(problem.kind, tuple(folder.rpartition(":")[2] for folder in problem.locations)) for problem in facts.problems]
    assert sorted(found) == sorted(
        [
            (ANNOTATION, ("2",)),
            (ANNOTATION, ("9",)),
            (ANNOTATION, ("10",)),
            (DUPLICATE, ("4",)),
            (IMAGE, ("5", "6")),
            (IMAGE, ("7",)),
            (MASK, ("8",)),
        ]
    )
    assert (facts.num_entries, facts.num_broken) == (10, 8)
    assert next(problem for problem in facts.problems if problem.kind == MASK).what.startswith("polygon ring 0: coordinate 1000000000.0")


EMPTY, FULL = {"size": [8, 10], "counts": [80]}, {"size": [8, 10], "counts": [0, 80]}


@pytest.mark.parametrize(
    ("mask", "said", "told"),
    [
        (EMPTY, "all 3 masks of the data set are empty: a model trained on them learns to draw nothing", "3, 3 empty"),
        (FULL, "all 3 masks of the data set cover their whole images: a model trained on them", "3, 3 covering the whole image"),
        ([[0, 0, 10, 0, 10, 8, 0, 8]], "all 3 masks of the data set cover their whole images", "3, 3 covering the whole image"),
    ],
    ids=["empty", "full", "polygon"],
)
def test_masks_that_are_all_alike_are_a_problem_of_every_record(folder: Path, mask: Any, said: str, told: str) -> None:
    facts = check(dataset(folder, [line(number, image, mask=mask) for number, image in enumerate("aba")]), num_workers=1)
    (problem,) = facts.problems
    assert problem.kind == MASK and said in problem.message and facts.masks == told
    assert facts.num_broken == 3 and {item.rpartition(":")[2] for item in problem.locations} == {"1", "2", "3"}
    page = write_report([facts], folder / "out", title="all alike")
    assert said in page.read_text()


def test_single_odd_masks_are_counted_and_are_no_problem(folder: Path) -> None:
    facts = check(dataset(folder, [line(0), line(1, mask=EMPTY), line(2, mask=FULL), line(3, mask=FULL)]))
    assert not facts.problems and facts.masks == "4, 1 empty, 2 covering the whole image"
    assert check(dataset(folder, [line(0, mask=FULL)])).problems == []


def test_a_missing_annotation_file_is_a_problem_not_a_crash(folder: Path) -> None:
    config = dataset(folder, [line(0)])
    (folder / "set.jsonl").unlink()
    facts = check(config)
    assert [problem.kind for problem in facts.problems] == [ANNOTATION] and facts.num_entries == 0


def test_images_that_show_different_places_are_a_problem(folder: Path) -> None:
    Image.fromarray(np.full((10, 8), 9, np.uint8)).save(folder / "a_grey.png")
    config = dataset(folder, [line(0)])
    config["images"]["sar"] = {"root": str(folder), "pattern": "{stem}_grey.png", "sensor": "grey_uint8"}
    (problem,) = check(config).problems
    assert problem.kind == IMAGE and "shapes that cannot show the same location" in problem.message


def test_an_error_that_is_none_of_ours_is_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eocore.checks.datasets.decode_scene_mask", lambda *arguments, **choices: 1 / 0)
    facts = check(dataset(folder, [line(0)]))
    assert [(problem.kind, problem.message) for problem in facts.problems] == [(UNFORESEEN, "ZeroDivisionError: division by zero")]


def test_datasets_are_found_anywhere_and_once(folder: Path) -> None:
    one = dataset(folder, [line(0)])
    config = {
        "task": {"type": "Task", "data": {"type": "Mixture", "parts": [{"data": one, "weight": 2}, {"data": {**one, "limit": 3}}]}},
        "evaluation": {"datasets": [{**one, "annotations": "other.jsonl", "transforms": [{"type": "X"}]}]},
    }
    first, second = find_datasets(config)
    assert first == FoundDataset(one, frozenset({"task"}))
    assert second == FoundDataset({**one, "annotations": "other.jsonl"}, frozenset({"evaluation"}))
    assert find_datasets({"evaluation": [one], "task": [one]}) == [FoundDataset(one, frozenset({"task", "evaluation"}))]
    with pytest.raises(ConfigError, match="names no dataset of annotated records"):
        find_datasets({"task": {"type": "Task"}})


def test_the_report_holds_all_and_nothing_of_it_is_markup(folder: Path, tmp_path: Path) -> None:
    lines = [line(0, phrase="<script>alert(1)</script>"), line(1, "<b>x</b>"), line(2, mask="<i>")]
    facts = check(dataset(folder, lines))
    page = write_report([facts, check(dataset(folder, []))], tmp_path / "out", title="<h1>")
    text = page.read_text()
    assert "<script>" not in text and "<b>x" not in text and "<i>" not in text and "&lt;b&gt;x" in text
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (told[0]["records"], told[0]["broken_records"], len(told[0]["problems"])) == (3, 2, 2)
    pictures = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert len(pictures) == 3 and pictures[-1] == "overview.png"
    for name in pictures:
        assert np.asarray(Image.open(tmp_path / "out" / name)).std() > 1, "a picture with something in it"


def test_each_window_of_a_file_is_an_image_of_its_own(folder: Path) -> None:
    sizes = ((4, 4), [0, 4, 12]), ((2, 6), [0, 5, 7])
    tiles = [line(number, mask={"size": size, "counts": counts}) for number, (size, counts) in enumerate(sizes)]
    for tile, ((height, width), _) in zip(tiles, sizes, strict=True):
        tile |= {"sample_id": tile["id"], "expression": "road", "height": height, "width": width, "window": [1, 2, height, width]}
    config = dataset(folder, tiles) | {"type": "ReferringJsonlDataset"}
    facts = check(config)
    assert facts.problems == [] and facts.sizes == {"rgb 4 x 4": 1, "rgb 2 x 6": 1}
    assert facts.mask_shares == pytest.approx([4 / 16, 5 / 12])
    (folder / "set.jsonl").write_text(json.dumps(tiles[0] | {"window": [7, 2, 4, 4]}))
    (problem,) = check(config).problems
    assert problem.kind == IMAGE and "leaves the 8 x 10 px" in problem.message


def test_sizes_that_are_stated_wrongly_are_told(folder: Path) -> None:
    entry = {"image": "a", "height": 8, "expression": "x", "mask": [[0, 0, 3, 0, 3, 3]]}
    lines = [entry | {"sample_id": str(number), "width": width} for number, width in enumerate((10, 20, 20))]
    facts = check(dataset(folder, lines) | {"type": "ReferringJsonlDataset"})
    (warning,) = [text for text in facts.warnings if "state another size" in text]
    assert warning.startswith("2 records state another size") and "set.jsonl:2, 8 x 20 px, but the image has 8 x 10" in warning


def test_statistics_of_bands_stand_in_the_report(folder: Path) -> None:
    Image.fromarray(np.arange(240, dtype=np.uint8).reshape(8, 10, 3)).save(folder / "a.png")
    facts = check(dataset(folder, [line(0), line(1)]))
    red = facts.bands["rgb", "red"]
    assert (red.count, red.mean, red.lowest, red.highest) == (80, 118.5, 0, 237) and facts.warnings == []
    write_report([facts], folder / "out", title="bands")
    told = json.loads((folder / "out" / "report.json").read_text())[0]["bands"][0]
    assert told == {"role": "rgb", "band": "red", "unit": "uint8", "mean": 118.5, "deviation": red.deviation, "lowest": 0, "highest": 237}
