"""What a run records of itself: options by their kind, data read on the first rank."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from eocore.resolve import Resolved
from eocore.train.checkpoint.resumption import find_differences
from eocore.train.checkpoint.run_record import RunRecord, record_run
from eocore.train.runner import TrainingOptions
from eocore.train.zero.settings import ZERO_FOLDER, arithmetic_of, load_zero_config


def record(faulty: ModuleType, task: Any = None, *, config: Mapping[str, Any] | None = None, **sections: Any) -> RunRecord:
    task = task or faulty.FaultyTask()
    loader = DataLoader([0])  # type: ignore[arg-type]
    return record_run(Config({"task": {"type": "FaultyTask"}} | dict(config or {})), task, loader=loader, sections=sections)


def kinds(old: RunRecord, new: RunRecord) -> list[str]:
    then, now = ({"options": part.options, "data": {"global_batch": None, "accumulation": 1}, "frozen_hash": ""} for part in (old, new))
    return list(find_differences(then, now, record=new))


def test_options_of_the_task_are_recorded_with_their_defaults(faulty: ModuleType) -> None:
    assert record(faulty).options["task"] == {"type": "FaultyTask", "dropout": 0.3, "width": 8}


def test_what_the_task_describes_itself_takes_the_place_of_the_config(faulty: ModuleType) -> None:
    class Described(faulty.FaultyTask):  # type: ignore[name-defined, misc]
        option_kinds: ClassVar[Mapping[str, str]] = {**faulty.FaultyTask.option_kinds, "width": "model"}

        def resolved(self) -> dict[str, Resolved]:
            return {"width": Resolved({"true": self.model["stem"].out_features}, {"true": 8}), "sleep": Resolved(3)}

    found = record(faulty, Described(width=5), config={"task": {"type": "FaultyTask", "width": "as the folder says"}})
    assert found.options["task"] == {"type": "FaultyTask", "dropout": 0.3, "width": {"true": 5}}
    assert found.defaults["task.width.true"] == 8
    assert kinds(record(faulty, Described(width=6)), found) == ["model"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"clip_norm": 2.0}, "training"),
        ({"deterministic": True}, "precision"),
        ({"timeout_s": 3}, None),
        ({"deepspeed": "deepspeed_zero3"}, None),
        ({"load_from": {"path": "x"}}, None),
    ],
)
def test_options_of_the_training_have_their_kind_or_none(faulty: ModuleType, change: dict[str, Any], kind: str | None) -> None:
    old = record(faulty, training=TrainingOptions(max_iters=3))
    new = record(faulty, training=TrainingOptions(max_iters=3, **change))
    assert kinds(old, new) == ([kind] if kind else [])


def test_layouts_of_memory_are_alike_and_rounded_gradients_are_not(faulty: ModuleType) -> None:
    shipped = {path.stem: arithmetic_of(load_zero_config(path.stem)) for path in ZERO_FOLDER.glob("*.json")}
    assert len(shipped) >= 7 and not any(shipped.values())
    rounded = arithmetic_of({"zero_optimization": {"stage": 3, "zero_quantized_gradients": True}, "communication_data_type": "bf16"})
    assert rounded == {"zero_quantized_gradients": True, "communication_data_type": "bf16"}
    assert kinds(record(faulty, deepspeed={}), record(faulty, deepspeed=rounded)) == ["precision"]


def test_a_loader_that_does_not_tell_its_data_is_recorded_as_such(faulty: ModuleType) -> None:
    assert record(faulty).content is None


def test_a_loader_of_samples_tells_them(faulty: ModuleType) -> None:
    task = faulty.FaultyTask()
    loader = task.build_loader(rank=0, world_size=1, seed=0, start_step=0)
    found = record_run(Config({"task": {"type": "FaultyTask"}}), task, loader=loader, sections={})
    assert found.content == {"samples": faulty.NUM_SAMPLES, "datasets": []}
