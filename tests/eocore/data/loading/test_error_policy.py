"""Broken samples by policy: what replaces them depends on (seed, epoch, index) alone, and too many of them stop the run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from torch.utils.data import DataLoader

from eocore.data.dataset import PreparedDataset, RecordDataset, SampleKey, SampleSource, build_dataset
from eocore.data.formats.entries import each, read_entries
from eocore.data.loading.error_policy import Fault, FaultOptions, FaultReport, Origin, ReportingLoader, make_loader
from eocore.data.loading.sampler import GlobalBatchSampler
from eocore.data.loading.shard import Shard
from eocore.data.mixture import Mixture
from eocore.data.records import Record
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.portable.messages import read_turns
from eocore.registry import DATASETS
from eocore.train.resilience.data_errors import DataFaultHook

SKIP = FaultOptions(policy="skip", max_share=0.2)


class NumbersDataset(RecordDataset):
    """One JSON line {id, text} a record; the record is broken where the text says so."""

    def parse(self, path: Path) -> list[Record]:
        return each(read_entries(path), self._record)

    def _record(self, entry: Any) -> Record:
        turns = read_turns([entry.text("text"), "yes"])
        return Record(entry.identifier("id"), (), turns, source=entry.source)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    DATASETS.register_module(module=NumbersDataset)
    yield
    DATASETS.module_dict.pop("NumbersDataset")


def config(folder: Path, name: str, count: int, broken: tuple[int, ...] = ()) -> dict[str, Any]:
    lines = [json.dumps({"id": f"{name}{n}", "text": "broken" if n in broken else "fine"}) for n in range(count)]
    (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return {"type": "NumbersDataset", "annotations": str(folder / f"{name}.jsonl"), "images": {}}


class Prepared(NamedTuple):
    id: str
    draw: int
    faults: tuple[Fault, ...] = ()


class Batch(NamedTuple):
    ids: list[str]
    faults: tuple[Fault, ...]


def prepare(record: Record, scenes: Any, rng: np.random.Generator) -> Prepared:
    if record.turns[0].text == "broken":
        raise DataError("cannot be read")
    return Prepared(record.sample_id, int(rng.integers(10**9)))


def collate(samples: Any) -> Batch:
    return Batch([sample.id for sample in samples], tuple(fault for sample in samples for fault in sample.faults))


def loader(source: SampleSource, options: FaultOptions = SKIP, *, rank: int = 0, world_size: int = 1, num_workers: int = 0) -> DataLoader:
    shard = Shard(rank=rank, world_size=world_size, seed=3)
    sampler = GlobalBatchSampler(num_samples=len(source), batch_size=4 // world_size, shard=shard, num_steps=10)
    dataset = PreparedDataset(source, prepare, seed=3, faults=options)
    return make_loader(dataset, collate=collate, options=options, batch_sampler=sampler, num_workers=num_workers)


def ids(batches: DataLoader) -> list[list[str]]:
    return [batch.ids for batch in batches]


def test_stop_is_the_default_and_raises_at_the_first(tmp_path: Path) -> None:
    source = build_dataset(config(tmp_path, "a", 5, (2,)))
    with pytest.raises(DataError, match=r"dataset 'a', index 2, sample 'a2' \(.*a.jsonl:3\): cannot be read"):
        ids(loader(source, FaultOptions()))


def test_only_the_broken_sample_changes(tmp_path: Path) -> None:
    good = ids(loader(build_dataset(config(tmp_path, "a", 20))))
    found = ids(loader(build_dataset(config(tmp_path, "a", 20, (7, 11)))))
    changed = {(old, new) for olds, news in zip(good, found, strict=True) for old, new in zip(olds, news, strict=True) if old != new}
    assert {old for old, _ in changed} == {"a7", "a11"}
    assert not {new for _, new in changed} & {"a7", "a11"}


def test_ranks_and_workers_make_no_difference(tmp_path: Path) -> None:
    source = build_dataset(config(tmp_path, "a", 20, (7, 11)))
    alone = ids(loader(source))
    assert ids(loader(source, num_workers=2)) == alone
    shares = [ids(loader(source, rank=rank, world_size=2)) for rank in range(2)]
    assert [one + two for one, two in zip(*shares, strict=True)] == alone


def test_a_replacement_comes_from_the_same_part_of_a_mixture(tmp_path: Path) -> None:
    parts = [
        {"data": config(tmp_path, "a", 10, (1, 3))},
        {"data": config(tmp_path, "b", 10), "weight": 2.0},
        {"data": config(tmp_path, "c", 10, (0,))},
    ]
    clean = [
        {"data": config(tmp_path, f"clean_{name}", 10), "weight": weight, "name": name}
        for name, weight in (("a", 1.0), ("b", 2.0), ("c", 1.0))
    ]
    found, good = ids(loader(Mixture(parts=parts))), ids(loader(Mixture(parts=clean)))
    assert [[name[0] for name in batch] for batch in found] == [[name.removeprefix("clean_")[0] for name in batch] for batch in good]
    origin = Mixture(parts=parts).origin(SampleKey(0, 35))
    assert (origin.dataset, origin.size) == ("c", 10)


def test_faults_travel_with_the_batch_and_are_counted(tmp_path: Path) -> None:
    batches = loader(build_dataset(config(tmp_path, "a", 8, (5,))), num_workers=1)
    assert isinstance(batches, ReportingLoader)
    counts = [len(batch.faults) for batch in batches]
    assert sum(counts) == len(batches.new_faults) == 5, "10 steps of 4 samples are 5 epochs of 8"
    assert {fault.message for fault in batches.new_faults} == {f"dataset 'a', index 5, sample 'a5' ({tmp_path}/a.jsonl:6): cannot be read"}


def test_a_dataset_that_is_broken_throughout_stops_at_once(tmp_path: Path) -> None:
    source = build_dataset(config(tmp_path, "a", 8, tuple(range(8))))
    with pytest.raises(DataError, match=r"16 replacements were broken too, the last: dataset 'a'.*Find all with tools/check_data.py"):
        next(iter(loader(source)))


def fault(dataset: str, size: int, place: int) -> Fault:
    return Fault(Origin(dataset, size, f"index {place}"), f"{dataset} {place} is broken.")


def test_the_share_counts_broken_samples_once() -> None:
    report = FaultReport(0.02)
    assert len(report.add([fault("a", 100, 1), fault("a", 100, 1), fault("a", 100, 2)])) == 2
    assert report.add([fault("a", 100, 1)]) == []
    report.check()
    assert report.describe() == "4 broken samples replaced (a: 2 of 100 samples)"
    report.add([fault("a", 100, 3)])
    with pytest.raises(DataError, match=r"dataset 'a': 3 of 100 samples are broken, more than the 2.0% .* the first: a 1 is broken"):
        report.check()


def test_small_datasets_are_judged_by_themselves() -> None:
    report = FaultReport(0.01)
    report.add([fault("large", 10_000, n) for n in range(100)])
    report.check()
    report.add([fault("small", 50, 0)])
    with pytest.raises(DataError, match="dataset 'small': 1 of 50"):
        report.check()


class Runner:
    rank, max_iters = 0, 10


def test_the_hook_stops_the_run(tmp_path: Path) -> None:
    batches = loader(build_dataset(config(tmp_path, "a", 20, (7, 11, 2, 3, 9))))
    hook = DataFaultHook(batches, interval=2)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"dataset 'a': 5 of 20 samples are broken, more than the 20.0% that data_faults.max_share allows"):
        for step, _ in enumerate(batches):
            hook.after_train_iter(Runner(), step)
    assert hook.report.sizes == {"a": 20}


def test_broken_entries_are_left_out_up_to_the_share(tmp_path: Path) -> None:
    data = config(tmp_path, "a", 10)
    path = tmp_path / "a.jsonl"
    path.write_text(path.read_text() + '\n{"id": "x"\n{"id": "a3", "text": "again"}')
    with pytest.raises(AnnotationError, match=r"a\.jsonl:11: not JSON"):
        build_dataset(data)
    source = build_dataset(data, SKIP)
    assert len(source) == 10
    assert [str(error).split(": ")[0] for error in source.leaves()[0].entry_faults] == [f"{path}:11", f"{path}:12"]
    with pytest.raises(DataError, match=r"dataset 'a': 2 of 12 samples are broken, more than the 10.0%"):
        build_dataset(data, FaultOptions(policy="skip", max_share=0.1))


def test_a_file_without_a_good_entry_is_named(tmp_path: Path) -> None:
    data = config(tmp_path, "a", 1)
    (tmp_path / "a.jsonl").write_text("{\n[]")
    with pytest.raises(DataError, match=r"all entries of dataset 'a' are broken; the first: .*a\.jsonl:1"):
        build_dataset(data, SKIP)


@pytest.mark.parametrize("fields", [{"policy": "swap"}, {"max_share": 1}, {"max_share": -0.1}, {"max_share": True}, {"max_share": "1%"}])
def test_other_options_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="data_faults"):
        FaultOptions(**fields)
