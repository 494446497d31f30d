"""Features on disk: found by content, never more than the limit, whole or not at all, also with several processes."""

import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.models.feature_cache import GB, FeatureCache, FeatureCacheOptions, content_keys

CPU = torch.device("cpu")
NUMBERS = 256
"""Of a feature: 1 KiB and the head of its file."""


class Encoder:
    """Counts what it is asked for."""

    def __init__(self, inputs: Tensor, *, factor: float = 2.0) -> None:
        self.inputs, self.factor = inputs, factor
        self.seen: list[int] = []

    def __call__(self, indices: Tensor) -> Tensor:
        self.seen += indices.tolist()
        return self.inputs[indices] * self.factor


def inputs_of(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[:, None].expand(-1, NUMBERS).contiguous()


def fetch(cache: FeatureCache, *numbers: int) -> tuple[Tensor, list[int]]:
    """(features, places that were computed)."""
    encoder = Encoder(inputs_of(*numbers))
    return cache.fetch(content_keys(encoder.inputs), encoder, device=CPU), encoder.seen


def open_cache(folder: Path, *, encoder: str = "one", max_bytes: int = GB) -> FeatureCache:
    return FeatureCache(FeatureCacheOptions(folder=str(folder), max_gb=max_bytes / GB), encoder=encoder)


def held(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(get_logger(), "handlers", [caplog.handler])
    caplog.set_level(logging.INFO)
    return caplog


def test_what_was_seen_is_computed_once(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    values, seen = fetch(cache, 3, 5, 3)
    assert seen == [0, 1], "the same input twice is computed once"
    torch.testing.assert_close(values, 2 * inputs_of(3, 5, 3))
    values, seen = fetch(open_cache(tmp_path), 5, 7, 3)
    assert seen == [1]
    torch.testing.assert_close(values, 2 * inputs_of(5, 7, 3))
    assert (cache.found, cache.asked) == (0, 2)
    assert not list(tmp_path.rglob("*.part"))


def test_kept_features_follow_the_umask(tmp_path: Path, default_mode: int) -> None:
    fetch(open_cache(tmp_path), 1, 2)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.safetensors")} == {default_mode}


def test_precision_is_kept(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    for _ in range(2):
        values = cache.fetch(["a" * 32], lambda _: torch.ones(1, 4, dtype=torch.bfloat16), device=CPU)
        assert values.dtype == torch.bfloat16


def test_another_encoder_finds_nothing(tmp_path: Path) -> None:
    fetch(open_cache(tmp_path), 1)
    assert fetch(open_cache(tmp_path, encoder="two"), 1)[1] == [0]


def test_keys_tell_values_shapes_and_types_apart() -> None:
    tiles = torch.arange(8, dtype=torch.uint8).view(2, 4)
    keys = {*content_keys(tiles), *content_keys(tiles.view(2, 2, 2)), *content_keys(tiles.view(torch.int8))}
    assert len(keys) == 6
    assert content_keys(tiles.clone()) == content_keys(tiles)


def test_a_full_folder_takes_no_more_and_still_answers(tmp_path: Path, heard: pytest.LogCaptureFixture) -> None:
    fetch(open_cache(tmp_path), 0)
    one = held(tmp_path)
    cache = open_cache(tmp_path, max_bytes=3 * one)
    values, _ = fetch(cache, *range(6))
    torch.testing.assert_close(values, 2 * inputs_of(*range(6)))
    assert held(tmp_path) == 3 * one
    assert [record for record in heard.records if "no more features are kept" in record.message]
    assert fetch(cache, *range(6))[1] == [3, 4, 5]


def test_features_of_other_encoders_make_room(tmp_path: Path) -> None:
    fetch(open_cache(tmp_path, encoder="old"), 0, 1)
    limit = held(tmp_path)
    cache = open_cache(tmp_path, encoder="new", max_bytes=limit)
    fetch(cache, 2, 3)
    assert fetch(cache, 2, 3)[1] == []
    assert not (tmp_path / "old").exists() and held(tmp_path) == limit


def test_a_damaged_file_is_said_and_computed_again(tmp_path: Path, heard: pytest.LogCaptureFixture) -> None:
    cache = open_cache(tmp_path)
    fetch(cache, 4)
    path = next(tmp_path.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:100])
    values, seen = fetch(cache, 4)
    assert seen == [0] and torch.equal(values, 2 * inputs_of(4))
    assert [record for record in heard.records if "cannot be read" in record.message and path.name in record.message]
    assert fetch(cache, 4)[1] == []


def test_what_a_dead_process_left_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    old, new = tmp_path / "one" / "old.part", tmp_path / "one" / "new.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 10_000,) * 2)
    open_cache(tmp_path)
    assert not old.exists() and new.exists()


def test_a_limit_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_gb of a feature cache is 0"):
        FeatureCacheOptions(folder=str(tmp_path), max_gb=0)


def work(folder: str, max_bytes: int, number: int, results: "multiprocessing.Queue[float]") -> None:
    torch.set_num_threads(1)
    cache = open_cache(Path(folder), max_bytes=max_bytes)
    worst = 0.0
    for start in range(0, 40, 8):
        wanted = [(start + number + step) % 40 for step in range(8)]
        worst = max(worst, float((fetch(cache, *wanted)[0] - 2 * inputs_of(*wanted)).abs().max()))
    results.put(worst)


@pytest.mark.parametrize("share", [1.0, 0.5], ids=["room for all", "room for half"])
def test_several_processes_share_a_folder(tmp_path: Path, share: float) -> None:
    fetch(open_cache(tmp_path), 0)
    limit = int(40 * held(tmp_path) * share)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=work, args=(str(tmp_path), limit, number, results)) for number in range(3)]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=300) for _ in workers] == [0.0] * 3
    for worker in workers:
        worker.join()
    assert held(tmp_path) == limit and int((tmp_path / "ledger.bytes").read_text()) == limit
    assert not list(tmp_path.rglob("*.part"))
