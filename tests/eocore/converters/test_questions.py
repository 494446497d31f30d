"""DIOR-RSVG and RSVQA from generated folders in the shape of their releases, read back as files of one's own."""

from pathlib import Path

import pytest

from eocore.converters.questions import prepare_dior_rsvg, prepare_rsvqa
from eocore.data.dataset import SampleKey
from eocore.errors import DataError
from eocore.evaluate.benchmarks.custom import custom_benchmark
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.sensors.scene import by_role
from eocore.synthetic.test_sets.grounding import write_voc
from eocore.synthetic.test_sets.images import make_scenes
from eocore.synthetic.test_sets.pictures import write_rsvqa


def test_dior_rsvg_gives_the_same_boxes_as_the_benchmark(tmp_path: Path) -> None:
    write_voc(tmp_path / "DIOR_RSVG", make_scenes(3, size=48, seed=1), split_by="object")
    counts = prepare_dior_rsvg(tmp_path / "DIOR_RSVG", tmp_path / "out")
    direct = load_benchmarks()["dior_rsvg"](data_root=str(tmp_path))
    own = custom_benchmark(f"custom:grounding:{tmp_path}/out/test.jsonl")(data_root="")
    assert counts["test"] == len(direct) == len(own)
    assert [record.turns[0].text for record in own.records] == [record.turns[0].text for record in direct.records]
    assert [record.meta["answer"] for record in own.records] == [record.meta["answer"] for record in direct.records]
    own.load(SampleKey(0, 0))


def test_rsvqa_without_what_was_withdrawn(tmp_path: Path) -> None:
    write_rsvqa(tmp_path / "r", tmp_path / "r/Images_LR", scenes=make_scenes(3, size=48, seed=1), prefix="LR_split_test")
    counts = prepare_rsvqa(tmp_path / "r", tmp_path / "out", images=tmp_path / "r/Images_LR", prefix="LR_split")
    own = custom_benchmark(f"custom:vqa:{tmp_path}/out/test.jsonl")(data_root="")
    assert counts == {"test": len(own)}
    record, read, _ = own.load(SampleKey(0, 0))
    scenes = by_role(read, source="")
    assert record.meta["type"] == "presence"
    assert scenes["rgb"].size == (48, 48)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of train.txt, val.txt, test.txt"):
        prepare_dior_rsvg(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match=r"no file LR_split_<split>_questions.json"):
        prepare_rsvqa(tmp_path, tmp_path / "out", images=tmp_path, prefix="LR_split")
