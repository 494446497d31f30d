"""What a run writes beside its checkpoints."""

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from eocore.errors import ConfigError, EOError
from eocore.registry import HOOKS
from eocore.train import hooks
from eocore.train.checkpoint import writer as checkpoint_writer
from eocore.train.launch import train


@pytest.fixture(scope="module")
def run(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp("run")
    config = tiny.tiny_config()
    config.hooks.metrics.interval = 2
    config.hooks.curves = {"type": "LossCurveHook"}
    config.tracking = [{"type": "TensorboardVisBackend"}]
    train(config, work_dir)
    return work_dir


def test_scalars_hold_losses_metrics_rate_and_speed(run: Path) -> None:
    records = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [2, 4, 6]
    for record in records:
        assert record["loss"] == pytest.approx(record["loss_square"] + record["loss_small"], rel=1e-5)
        assert record["samples_per_s"] * record["step_s"] == pytest.approx(4)
        assert "bias" in record and "num_samples" not in record and 0 <= record["data_share"] <= 1
    assert records[-1]["eta_s"] == 0 and records[0]["eta_s"] == pytest.approx(4 * records[0]["step_s"])
    assert records[1]["lr"] > records[2]["lr"] > 0


def test_tensorboard_gets_the_same_scalars(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = run.glob("*/vis_data/events*")
    accumulator = EventAccumulator(str(events))
    accumulator.Reload()
    written = [json.loads(line)["loss"] for line in (run / "scalars.jsonl").read_text().splitlines()]
    assert [event.value for event in accumulator.Scalars("loss")] == pytest.approx(written)
    assert [event.step for event in accumulator.Scalars("loss")] == [2, 4, 6]


def test_curves_and_log_are_written(run: Path) -> None:
    assert (run / "loss_curve.png").read_bytes().startswith(b"\x89PNG")
    (log,) = run.glob("*/train.log")
    assert "step 6/6" in log.read_text() and "saved" in log.read_text()


def test_old_checkpoints_go_once_the_new_one_stands(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present: list[list[str]] = []
    prune = checkpoint_writer.prune

    def watched(work_dir: Path, keep: int) -> None:
        present.append(sorted(path.name for path in work_dir.glob("iter_*")))
        prune(work_dir, keep)

    monkeypatch.setattr(checkpoint_writer, "prune", watched)
    config = tiny.tiny_config(max_iters=5)
    config.hooks.checkpoint = {"type": "CheckpointHook", "interval": 2, "keep": 1}
    train(config, tmp_path)
    assert present == [["iter_000002"], ["iter_000002", "iter_000004"], ["iter_000004", "iter_000005"]]
    assert [path.name for path in tmp_path.glob("iter_*")] == ["iter_000005"]


def test_a_failing_run_gives_the_terminal_back(tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(hooks.ProgressLines, "close", lambda self: closed.append(1))
    config = tiny.tiny_config({"poison_step": 2})
    config.guard = {"max_in_a_row": 1}
    with pytest.raises(EOError, match="not finite"):
        train(config, tmp_path)
    assert closed == [1]


def test_ranks_may_report_different_names(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"loss": (6.0, 2), "num_samples": (10.0, 2), "loss_mask": (1.0, 1)}
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)

    def gather(everyone: list[object], mine: object) -> None:
        everyone[:] = [mine, other]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    merged = hooks._merge({"loss": (2.0, 2), "num_samples": (4.0, 2)})
    assert merged == {"loss": 2.0, "num_samples": 14.0, "loss_mask": 1.0}


def test_a_resumed_run_drops_the_lines_after_its_step(tmp_path: Path) -> None:
    path = tmp_path / "scalars.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in range(1, 6)))
    hooks._keep_until(path, 3)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]
    hooks._keep_until(path, 0)
    assert path.read_text() == ""


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"type": "MetricsHook", "interval": 0}, "MetricsHook.interval is 0; expected a whole number of at least 1"),
        ({"type": "CheckpointHook", "interval": 2.5}, "CheckpointHook.interval is 2.5"),
        ({"type": "CheckpointHook", "keep": 0}, "CheckpointHook.keep is 0; expected at least 1"),
        ({"type": "CheckpointHok"}, "Did you mean 'CheckpointHook'"),
        ({"type": "CheckpointHook", "every": 3}, "CheckpointHook has no argument 'every'"),
    ],
)
def test_wrong_settings_are_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HOOKS.build(config)


def test_only_the_first_rank_draws(tmp_path: Path) -> None:
    hooks.LossCurveHook().after_train(SimpleNamespace(rank=1, work_dir=str(tmp_path)))
    assert not list(tmp_path.iterdir())
