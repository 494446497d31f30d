"""The loss on held-out data: over which samples, as which mean, in which batches."""

from types import ModuleType
from typing import Any

import pytest
import torch

from eocore.data.loading import worker_status
from eocore.data.loading.worker_status import describe_samples, note_sample, own_table
from eocore.distributed import Ranks
from eocore.evaluate import datasets as _datasets  # noqa: F401  (registers CustomDataset)
from eocore.registry import DATASETS
from eocore.train.validation.held_out_loss import HeldOutLoss, _means, _showing, _shown
from eocore.train.validation.options import ValidationOptions


class Silent:
    """Notes progress, never says stop; or does after so many batches."""

    def __init__(self, limit: int = 99) -> None:
        self.done, self.limit = 0, limit

    def advance(self, count: int) -> None:
        self.done += count

    def stopped(self) -> bool:
        return self.done >= self.limit


def held_out(task: Any, ranks: Ranks | None = None, **options: Any) -> HeldOutLoss:
    chosen = ValidationOptions(every=1, data={"type": "Numbers"}, **options)
    return HeldOutLoss(task, chosen, settings={}, ranks=ranks or Ranks(), seed=3)


@pytest.fixture
def task(faulty: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RANK", "0")
    return faulty.FaultyTask(batch_size=6).eval()


@torch.no_grad()
def test_it_is_the_mean_over_all_samples_though_batches_differ(task: Any, faulty: ModuleType) -> None:
    loss, watch = held_out(task), Silent()
    assert (loss.num_samples, loss.num_batches) == (40, 7), "six batches of six and one of four"
    found = loss(task, watch)
    data = loss.parts[0].batches.loader.dataset
    whole = faulty.collate([data[(0, index)] for index in range(40)])
    assert found is not None and found["loss"] == found["loss_square"] == pytest.approx(float(task(whole)["loss_square"]), rel=1e-6)
    assert watch.done == 7 and set(found) == {"loss", "loss_square"}


@torch.no_grad()
def test_it_stops_when_told_to(task: Any) -> None:
    assert held_out(task)(task, Silent(limit=3)) is None


def test_batches_do_not_depend_on_the_number_of_ranks(task: Any) -> None:
    whole = [batch.sample_ids for batch in held_out(task).parts[0].batches.loader]
    parts = [held_out(task, Ranks(rank, 3)).parts[0].batches for rank in range(3)]
    assert [part.num_batches for part in parts] == [7, 7, 7]
    dealt: list[Any] = [None] * 7
    for rank, part in enumerate(parts):
        dealt[rank::3] = [batch.sample_ids for batch in part.loader]
    assert dealt == whole and len({name for batch in whole for name in batch}) == 40


def test_a_limit_is_a_choice_of_the_same_samples(task: Any) -> None:
    few, all_of_them = ([batch.sample_ids for batch in held_out(task, loss_samples=limit).parts[0].batches.loader] for limit in (10, None))
    assert [name for batch in few for name in batch] == [name for batch in all_of_them for name in batch][:10]


def test_means_count_each_item_alike_and_leave_out_what_has_none() -> None:
    parts = [{"loss_a": (6.0, 3.0), "right": (1.0, 2.0), "loss_b": (0.0, 0.0)}, {"loss_a": (2.0, 1.0), "right": (2.0, 4.0)}]
    assert _means(parts) == {"loss": 2.0, "loss_a": 2.0, "right": 0.5}


def test_data_sets_are_shown_under_their_settings() -> None:
    settings = {"optical": ["rgb"], "fused": ["rgb", "sar"]}
    config = {"type": "CustomDataset", "annotations": "a.jsonl"}
    assert "CustomDataset" in DATASETS.module_dict
    assert _shown(config, settings) == settings
    assert _shown(config | {"settings": ["fused"]}, settings) == {"fused": ["rgb", "sar"]}
    assert _shown({"type": "Mixture"}, settings) == _shown(config, {}) == {"": ()}
    shown = _showing(config | {"settings": ["fused"], "transforms": [{"type": "x"}]}, "fused", roles=["rgb", "sar"])
    choose = {"type": "ChooseModalities", "settings": {"fused": ["rgb", "sar"]}}
    assert shown == config | {"transforms": [{"type": "x"}, choose]}
    assert _showing(config, "", roles=()) == config


def test_the_training_s_samples_are_still_known_afterwards() -> None:
    note_sample(2, 5)
    before = describe_samples(str)
    with own_table():
        worker_status.open_table(0)
        note_sample(0, 30)
        assert describe_samples(str) != before
    assert describe_samples(str) == before
