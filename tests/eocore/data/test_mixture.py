"""A mixture draws by weight, lap by lap, in an order that depends on (seed, epoch) alone."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.mixture import Mixture
from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.portable.messages import read_turns
from eocore.registry import DATASETS


class CountedDataset(RecordDataset):
    """`annotations` "name:N": N records without images, the n-th n + 1 words long."""

    def parse(self, path: Path) -> list[Record]:
        name, count = str(path).split(":")
        turns = [read_turns([" ".join(["word"] * number), "yes"]) for number in range(1, int(count) + 1)]
        return [Record(f"{name}{number}", {}, turn, source=f"{name}#{number}") for number, turn in enumerate(turns)]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    DATASETS.register_module(module=CountedDataset)
    yield
    DATASETS.module_dict.pop("CountedDataset")


def part(name: str, count: int, weight: Any = 1.0) -> dict[str, Any]:
    return {"name": name, "weight": weight, "data": {"type": "CountedDataset", "annotations": f"{name}:{count}", "images": {}}}


def epoch_ids(mixture: Mixture, epoch: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [mixture.read(SampleKey(epoch, index), rng)[0].sample_id for index in range(len(mixture))]


def test_weight_n_equals_naming_the_dataset_n_times() -> None:
    mixture = Mixture(parts=[part("a", 5, 3), part("b", 7)])
    assert len(mixture) == 22
    for epoch in range(3):
        counts = Counter(epoch_ids(mixture, epoch))
        assert counts == {**{f"a{number}": 3 for number in range(5)}, **{f"b{number}": 1 for number in range(7)}}
    assert mixture.fractions() == {"a": 15 / 22, "b": 7 / 22}


def test_a_fraction_shows_the_rest_in_the_next_epoch() -> None:
    mixture = Mixture(parts=[part("a", 10, 0.4)])
    epochs = [epoch_ids(mixture, epoch) for epoch in range(5)]
    assert [len(ids) for ids in epochs] == [4] * 5
    assert Counter(chain.from_iterable(epochs)) == {f"a{number}": 2 for number in range(10)}
    first_lap = epochs[0] + epochs[1] + epochs[2][:2]
    assert len(set(first_lap)) == 10, "no sample comes twice before all came once"


def test_a_mixed_number_draws_whole_laps_and_a_fraction() -> None:
    mixture = Mixture(parts=[part("a", 4, 2.5)])
    counts = Counter(epoch_ids(mixture, 0))
    assert sorted(counts.values()) == [2, 2, 3, 3]
    assert Counter(epoch_ids(mixture, 0) + epoch_ids(mixture, 1)) == {f"a{number}": 5 for number in range(4)}


def test_order_depends_on_seed_and_epoch_alone() -> None:
    one, two, other = (Mixture(parts=[part("a", 50, 2), part("b", 50)], seed=seed) for seed in (1, 1, 2))
    expected = epoch_ids(one, 7)
    epoch_ids(two, 0)
    assert epoch_ids(two, 7) == expected
    assert epoch_ids(one, 8) != expected
    assert epoch_ids(other, 7) != expected


def test_parts_of_equal_size_have_orders_of_their_own() -> None:
    ids = epoch_ids(Mixture(parts=[part("a", 50), part("b", 50)]), 0)
    assert [name[1:] for name in ids[:50]] != [name[1:] for name in ids[50:]]


def test_lengths_are_those_of_the_samples_drawn() -> None:
    mixture = Mixture(parts=[part("a", 6, 2.5), part("b", 3)])
    rng = np.random.default_rng(0)
    for epoch in range(3):
        words = [len(mixture.read(SampleKey(epoch, index), rng)[0].turns[0].text.split()) + 1 for index in range(len(mixture))]
        assert mixture.lengths(epoch).tolist() == words


def test_messages_name_part_and_sample() -> None:
    mixture = Mixture(parts=[part("a", 1), part("b", 1)])
    assert mixture.describe(SampleKey(3, 1)) == "mixture, part 'b', dataset 'b:1', index 0, sample 'b0' (b#0)"
    with pytest.raises(IndexError, match="draw 2 of 2"):
        mixture.locate(SampleKey(0, 2))


def test_a_mixture_can_be_a_part() -> None:
    inner = {"type": "Mixture", "name": "inner", "parts": [part("a", 2), part("b", 2)]}
    mixture = DATASETS.build({"type": "Mixture", "parts": [{"data": inner, "weight": 2}, part("c", 1)]})
    assert Counter(epoch_ids(mixture, 0)) == {"a0": 2, "a1": 2, "b0": 2, "b1": 2, "c0": 1}


def test_memory_of_orders_is_bounded() -> None:
    mixture = Mixture(parts=[part("a", 3, 2)])
    for epoch in range(50):
        epoch_ids(mixture, epoch)
    assert len(mixture.parts[0]._orders) <= 4


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "mixture: a mixture needs at least one part"),
        ([{"weight": 1}], r"mixture part 0 needs data\. Keys: data, weight, name"),
        ([part("a", 2) | {"wieght": 1}], r"mixture part 0 has no key wieght"),
        ([part("a", 2), part("a", 3)], r"mixture: a is duplicated"),
        ([part("a", 2, 0)], r"mixture part 'a': weight must be a number above 0, found 0\. Remove the part"),
        ([part("a", 2, -1.0)], r"weight must be a number above 0, found -1\.0"),
        ([part("a", 2, "3")], r"weight must be a number above 0, found '3'"),
        ([part("a", 2, float("inf"))], r"weight must be a number above 0, found inf"),
        ([part("a", 10, 0.01)], r"mixture part 'a': weight 0\.01 of 10 samples gives no draw in an epoch\. Use 0\.1 or more"),
        ([{"data": {"type": "CountdDataset"}}], r"no 'CountdDataset'\. Did you mean 'CountedDataset'"),
    ],
)
def test_wrong_parts_are_named(parts: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Mixture(parts=parts)
