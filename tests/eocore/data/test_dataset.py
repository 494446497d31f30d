"""Record datasets on small images, and what happens to broken samples."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from torch.utils.data import DataLoader

from eocore.data.dataset import (
    PreparedDataset,
    RecordDataset,
    SampleKey,
    Scenes,
    build_dataset,
    check_record,
    estimate_length,
    random_stream,
)
from eocore.data.formats.entries import read_entries
from eocore.data.records import Expression, ImageRef, MaskRef, Record
from eocore.errors import AlignmentError, AnnotationError, ConfigError, DataError, SampleError
from eocore.portable.messages import Image, Seg, Text, Turn, as_turns, read_turns
from eocore.registry import DATASETS, TRANSFORMS

BOX = MaskRef("box", [0, 0, 2, 2])


class WordsDataset(RecordDataset):
    """One JSON line {id, image?, text} to a question."""

    def parse(self, path: Path) -> list[Record]:
        return [
            Record(
                sample_id=entry.identifier("id"),
                images=self.locate_images(entry.text("image"), entry.source) if "image" in entry.values else {},
                turns=read_turns([entry.text("text"), "yes"]),
                source=entry.source,
            )
            for entry in read_entries(path)
        ]


class AddNoise:
    """Answers with a random number."""

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        return Record(record.sample_id, record.images, read_turns([record.turns[0].text, str(rng.integers(10**9))]), source=record.source)


class Marker:
    """Puts a [SEG] without a mask."""

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        return Record(record.sample_id, record.images, read_turns([record.turns[0].text, "[SEG]"]), source=record.source)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    DATASETS.register_module(module=WordsDataset)
    for transform in (AddNoise, Marker):
        TRANSFORMS.register_module(module=transform)
    yield
    for transform in (AddNoise, Marker):
        TRANSFORMS.module_dict.pop(transform.__name__)
    DATASETS.module_dict.pop("WordsDataset")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Three places with SAR, two of them with optical images."""
    for number in range(3):
        np.save(tmp_path / f"sar{number}.npy", np.full((2, 4, 4), -10.0 - number, dtype=np.float32))
    for number in range(2):
        np.save(tmp_path / f"ms{number}.npy", np.full((12, 4, 4), 1000 * (number + 1), dtype=np.uint16))
    lines = [f'{{"id": "s{number}", "image": "{number}", "text": "<image>\\nIs it {number}?"}}' for number in range(3)]
    (tmp_path / "words.jsonl").write_text("\n".join(lines))
    return tmp_path


def images(root: Path, *, optional: bool = True) -> dict[str, dict[str, Any]]:
    return {
        "sar": {"root": str(root), "pattern": "sar{stem}.npy", "sensor": "sentinel1_grd"},
        "multispectral": {"root": str(root), "pattern": "ms{stem}.npy", "sensor": "sentinel2_l2a", "optional": optional},
    }


def dataset(root: Path, **settings: Any) -> WordsDataset:
    settings = {"images": images(root), **settings}
    return WordsDataset(annotations=str(root / "words.jsonl"), **settings)


def texts(record: Record, scenes: Scenes, rng: np.random.Generator) -> dict[str, Any]:
    return {"id": record.sample_id, "answer": record.turns[1].text, "draw": int(rng.integers(10**9)), "scenes": scenes}


def test_records_and_their_scenes(world: Path) -> None:
    data = dataset(world)
    assert len(data) == 3 and data.name == "words"
    record, scenes, _ = data.load(SampleKey(0, 1))
    assert record.sample_id == "s1"
    assert record.roles == ("sar", "multispectral") == tuple(scene.role for scene in scenes)
    assert scenes[0].pixels == pytest.approx(-11.0)
    assert scenes[1].pixels == pytest.approx(0.2)
    assert [scene.role for scene in data.load(SampleKey(0, 2))[1]] == ["sar"]


def test_limit_takes_the_first(world: Path) -> None:
    assert [record.sample_id for record in dataset(world, limit=2).records] == ["s0", "s1"]
    with pytest.raises(ConfigError, match=r"words: limit must be at least 1 or None, found 0"):
        dataset(world, limit=0)


def test_randomness_depends_on_seed_epoch_and_index_alone(world: Path) -> None:
    data = dataset(world, transforms=[{"type": "AddNoise"}])
    first = PreparedDataset(data, texts, seed=3)
    keys = [SampleKey(epoch, index) for epoch in range(2) for index in range(3)]
    drawn = [(first[key]["answer"], first[key]["draw"]) for key in keys]
    again = PreparedDataset(dataset(world, transforms=[{"type": "AddNoise"}]), texts, seed=3)
    assert [(again[key]["answer"], again[key]["draw"]) for key in reversed(keys)] == drawn[::-1]
    assert len(set(drawn)) == len(keys)
    assert PreparedDataset(data, texts, seed=4)[keys[0]]["answer"] != drawn[0][0]


def test_workers_draw_what_the_main_process_draws(world: Path) -> None:
    data = PreparedDataset(dataset(world, transforms=[{"type": "AddNoise"}]), texts, seed=0)
    keys = [[SampleKey(0, 2), SampleKey(1, 0)], [SampleKey(5, 1)]]
    alone = list(DataLoader(data, batch_sampler=keys, collate_fn=_answers))
    assert list(DataLoader(data, batch_sampler=keys, collate_fn=_answers, num_workers=2)) == alone


def _answers(samples: list[dict[str, Any]]) -> list[str]:
    return [sample["answer"] for sample in samples]


def test_streams_of_two_purposes_differ() -> None:
    one, two = (random_stream(0, purpose, 1, 2).integers(10**9) for purpose in ("sample", "order"))
    assert one != two
    with pytest.raises(ConfigError, match=r"seed must be 0 or more, found -1"):
        random_stream(-1, "sample")


def test_duplicate_ids_name_both_entries(world: Path) -> None:
    (world / "words.jsonl").write_text('{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n{"id": 1, "text": "c"}')
    with pytest.raises(AnnotationError, match=r"words\.jsonl:3: sample id '1' is taken by .*words\.jsonl:1; predictions are matched by id"):
        dataset(world)


def test_empty_and_missing_files_are_errors(world: Path) -> None:
    (world / "words.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"words\.jsonl: no record for dataset 'words'"):
        dataset(world)
    (world / "words.jsonl").unlink()
    with pytest.raises(DataError, match="no such annotation file"):
        dataset(world)


def test_an_image_without_a_source_is_a_config_error(world: Path) -> None:
    with pytest.raises(ConfigError, match=r"words: .*words\.jsonl:1 names image '0', but the config gives no `images`"):
        dataset(world, images={})


def test_an_image_with_no_file_at_all_is_an_error(world: Path) -> None:
    only = {"multispectral": images(world)["multispectral"]}
    with pytest.raises(DataError, match=r"words\.jsonl:3: image '2' has no file in any of multispectral"):
        dataset(world, images=only)


def test_a_missing_image_names_dataset_sample_and_file(world: Path) -> None:
    data = PreparedDataset(dataset(world, images=images(world, optional=False)), texts, seed=0)
    assert data[SampleKey(0, 0)]["id"] == "s0"
    with pytest.raises(DataError, match=r"dataset 'words', index 2, sample 's2' \(.*words\.jsonl:3\): .*ms2\.npy"):
        data[SampleKey(0, 2)]


def test_images_of_two_coordinate_systems_are_refused(world: Path) -> None:
    for name, count, epsg in (("sar0", 2, 32632), ("ms0", 12, 32633)):
        profile = {"driver": "GTiff", "count": count, "height": 4, "width": 4, "dtype": "float32" if count == 2 else "uint16"}
        with rasterio.open(world / f"{name}.tif", "w", crs=f"EPSG:{epsg}", transform=from_origin(0, 0, 10, 10), **profile) as target:
            target.write(np.full((count, 4, 4), 1000 if count == 12 else -10, profile["dtype"]))
    tiffs = {name: source | {"pattern": source["pattern"].replace("npy", "tif")} for name, source in images(world).items()}
    lines = (world / "words.jsonl").read_text().splitlines()
    (world / "words.jsonl").write_text(lines[0])
    data = PreparedDataset(dataset(world, images=tiffs), texts, seed=0)
    with pytest.raises(DataError, match=r"sample 's0' .*sar0\.tif and .*ms0\.tif are in different coordinate systems"):
        data[SampleKey(0, 0)]


def test_a_role_that_the_model_does_not_read_is_told_before_any_image_is(world: Path) -> None:
    config = {"type": "WordsDataset", "annotations": str(world / "words.jsonl"), "images": images(world)}
    assert len(build_dataset(config, roles=("rgb", "multispectral", "sar"))) == 3
    with pytest.raises(
        ConfigError, match=r"dataset 'words': .* name the role sar, which this model does not read; its roles are multispec"
    ):
        build_dataset(config, roles=("multispectral",))
    chosen = config | {"transforms": [{"type": "ChooseModalities", "settings": {"radar": ["radar"]}}]}
    with pytest.raises(ConfigError, match=r"name the role radar, which this model does not read"):
        build_dataset(chosen, roles=("multispectral", "sar"))


def test_a_fault_in_a_worker_keeps_its_class_and_place(world: Path) -> None:
    data = PreparedDataset(dataset(world, images=images(world, optional=False)), texts, seed=0)
    with pytest.raises(DataError, match=r"dataset 'words', index 2, sample 's2'"):
        list(DataLoader(data, batch_sampler=[[SampleKey(0, 2)]], collate_fn=_answers, num_workers=1))


def test_faults_of_prepare_keep_their_class_and_name_the_sample(world: Path) -> None:
    def misaligned(record: Record, scenes: Scenes, rng: np.random.Generator) -> dict[str, Any]:
        raise AlignmentError("2 tiles but 3 places")

    def broken(record: Record, scenes: Scenes, rng: np.random.Generator) -> dict[str, Any]:
        raise TypeError("a mistake of the program")

    with pytest.raises(AlignmentError, match=r"dataset 'words', index 0, sample 's0' .*: 2 tiles but 3 places"):
        PreparedDataset(dataset(world), misaligned, seed=0)[SampleKey(0, 0)]
    told = (
        rf"dataset 'words', index 0, sample 's0' \({world}/words.jsonl:1\), epoch 7: preparing it failed with TypeError: a mistake of the "
        r"program \(test_dataset.py:\d+, in broken\)\. Expected .* leave the entry out or fix the code"
    )
    with pytest.raises(SampleError, match=told) as caught:
        PreparedDataset(dataset(world), broken, seed=0)[SampleKey(7, 0)]
    assert isinstance(caught.value.__cause__, TypeError)


def test_what_a_transform_makes_is_checked(world: Path) -> None:
    data = PreparedDataset(dataset(world, transforms=[{"type": "Marker"}]), texts, seed=0)
    with pytest.raises(AlignmentError, match=r"1 \[SEG\] in the text but 0 masks"):
        data[SampleKey(0, 0)]


def test_unknown_transform_is_named(world: Path) -> None:
    with pytest.raises(ConfigError, match=r"registry 'transform' has no 'AddNoize'\. Did you mean 'AddNoise'\?"):
        dataset(world, transforms=[{"type": "AddNoize"}])


def test_datasets_travel_to_spawned_workers(world: Path) -> None:
    restored = pickle.loads(pickle.dumps(PreparedDataset(dataset(world), texts, seed=0)))
    assert restored[SampleKey(0, 1)]["draw"] == PreparedDataset(dataset(world), texts, seed=0)[SampleKey(0, 1)]["draw"]


def record(*turns: str, images: bool = True, masks: int = 0, regions: int = 0, expressions: tuple[Expression, ...] = ()) -> Record:
    return Record(
        sample_id="s",
        images=(ImageRef("rgb", "rgb_uint8", ("a.png",)),) if images else (),
        turns=read_turns(turns),
        masks=(BOX,) * masks,
        regions=(BOX,) * regions,
        expressions=expressions,
        source="f#0",
    )


@pytest.mark.parametrize(
    ("good"),
    [
        record("<image>\nWhat?", "A lake."),
        record("What <image>?", "[SEG] and [SEG]", "Again?", "[SEG]", masks=3),
        record("<image> <region>", "A lake", "and <region>?", "A hill", regions=2),
        record("No image", "Right", images=False),
        record("<image> What does [SEG] mean?", "A place"),
        record(expressions=(Expression("the lake", BOX),)),
    ],
)
def test_records_that_count_up_pass(good: Record) -> None:
    check_record(good)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (record("What?", "A lake."), AnnotationError, r"f#0: <image> stands \[0\] times in the user turns"),
        (record("<image>", "A", "<image>", "B"), AnnotationError, r"<image> stands \[1, 1\] times"),
        (record("<image><image>", "A"), AnnotationError, r"<image> stands \[2\] times"),
        (record("<image>", "A", images=False), AnnotationError, r"a sample without has none"),
        (record("<image>", "An <image>"), AnnotationError, r"f#0: an answer holds <image> or <region>"),
        (record("<image>", "[SEG]"), AlignmentError, r"f#0: 1 \[SEG\] in the text but 0 masks; each needs the other"),
        (record("<image>", "None", masks=1), AlignmentError, r"0 \[SEG\] in the text but 1 masks"),
        (record("<image> <region>", "A"), AlignmentError, r"1 <region> in the text but 0 region masks"),
        (record(expressions=(Expression("the <region>", BOX),)), AnnotationError, r"phrase 'the <region>' holds <image> or <region>"),
    ],
)
def test_records_that_do_not_are_named(wrong: Record, error: type[DataError], message: str) -> None:
    with pytest.raises(error, match=message):
        check_record(wrong)


def test_images_may_be_shown_one_by_one() -> None:
    shown = (ImageRef("before", "rgb_uint8", ("a.png",)), ImageRef("after", "rgb_uint8", ("b.png",)))
    question = Turn("user", (Text("From "), Image(0), Text(" to "), Image(1), Text(": what changed?")))
    answer = Turn("assistant", (Text("Nothing"),))
    check_record(Record("s", shown, (question, answer), source="f#0"))
    with pytest.raises(AnnotationError, match=r"f#0: <image> stands \[2\] times in the user turns"):
        check_record(Record("s", shown[:1], (question, answer), source="f#0"))


def test_masks_that_are_referred_to_out_of_order_are_told() -> None:
    turns = (Turn("user", (Text("Where?"),)), Turn("assistant", (Seg(1), Seg(0))))
    with pytest.raises(AlignmentError, match=r"f#0: the text refers to the masks \[1, 0\], expected \[0, 1\]"):
        check_record(Record("s", (), turns, masks=(BOX, BOX), source="f#0"))


def test_turns_out_of_turn_are_named() -> None:
    twice = Record("s", (), as_turns([("user", "a"), ("user", "b")]), source="f#0")
    with pytest.raises(AnnotationError, match=r"f#0: turn 1 is the user's; user and assistant take turns"):
        check_record(twice)


def test_lengths_count_words_and_what_the_system_takes_for_an_image(world: Path) -> None:
    assert dataset(world).lengths(image_tokens=256).tolist() == [5 + 512, 5 + 512, 5 + 256]
    assert dataset(world).lengths().tolist() == [5, 5, 5]
    assert estimate_length(record(expressions=(Expression("the big lake", BOX),))) == 3
    assert dataset(world, estimate=lambda entry: 7).lengths(5, image_tokens=1).tolist() == [9, 9, 8]


class FlagsDataset(RecordDataset):
    """One JSON line {id, text, ...} to a question; all else is meta."""

    def parse(self, path: Path) -> list[Record]:
        return [
            Record(
                entry.identifier("id"), (), read_turns([entry.text("text"), "yes"]), source=entry.source, meta=entry.extras("id", "text")
            )
            for entry in read_entries(path)
        ]


class TestWhere:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        lines = ['{"id": 1, "text": "a", "cloudy": true, "type": "count"}', '{"id": 2, "text": "b", "cloudy": false, "type": "count"}']
        lines += ['{"id": 3, "text": "c", "cloudy": false, "type": "place"}', '{"id": 4, "text": "d", "cloudy": false}']
        (tmp_path / "a.jsonl").write_text("\n".join(lines))
        return str(tmp_path / "a.jsonl")

    @pytest.mark.parametrize(
        ("where", "ids"),
        [
            ({}, "1234"),
            ({"cloudy": False}, "234"),
            ({"cloudy": False, "type": ["count", "place"]}, "23"),
            ({"type": "place"}, "3"),
        ],
    )
    def test_records_with_these_values_are_taken(self, path: str, where: dict[str, Any], ids: str) -> None:
        assert "".join(record.sample_id for record in FlagsDataset(annotations=path, images={}, where=where).records) == ids

    def test_it_chooses_before_the_limit(self, path: str) -> None:
        records = FlagsDataset(annotations=path, images={}, where={"cloudy": False}, limit=2).records
        assert [record.sample_id for record in records] == ["2", "3"]

    def test_a_field_that_no_record_has_is_refused(self, path: str) -> None:
        with pytest.raises(ConfigError, match="where names the field 'clouds', which no record has; their fields: cloudy, type"):
            FlagsDataset(annotations=path, images={}, where={"clouds": False})

    def test_values_that_no_record_has_leave_nothing(self, path: str) -> None:
        with pytest.raises(DataError, match="no record for dataset"):
            FlagsDataset(annotations=path, images={}, where={"type": "shape"})
