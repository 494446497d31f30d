"""Training batches are complete when they leave the loader; how samples lie in them is tested in model/test_batching.py."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from earthmind.model.batching import Sample
from earthmind.task import EarthMindTask
from eocore.data.loading.error_policy import Fault, Origin
from eocore.models.feature_cache import content_keys


@pytest.fixture
def samples(make_task: Callable[..., EarthMindTask], make_scenes: Callable[..., Any]) -> list[Sample]:
    """Text alone, and a question about an image."""
    encode = make_task().processor.encode
    return [
        encode({}, [("user", "Hello"), ("assistant", "water")], masks=[]),
        encode(make_scenes("rgb"), [("user", "<image>\nWhat?"), ("assistant", "It is.")], masks=[]),
    ]


def test_a_batch_lacks_nothing_that_other_ranks_may_have(make_task: Callable[..., EarthMindTask], samples: list[Sample]) -> None:
    text, asked = (make_task().collator()([sample]) for sample in samples)
    assert text.vision is not None and not len(text.vision.placeholder_index)
    assert asked.vision is not None and len(asked.vision.placeholder_index)
    for batch in (text, asked):
        assert batch.segments is not None and batch.segments.is_dummy and batch.grounding is not None
        assert batch.vision is not None and batch.vision.keys is None


def test_tiles_have_keys_where_the_vision_tower_s_outputs_are_kept(
    make_task: Callable[..., EarthMindTask], samples: list[Sample], tmp_path: Any
) -> None:
    collate = make_task(trainable=["projector"], vision_cache={"folder": str(tmp_path)}).collator()
    batch = collate(samples)
    assert batch.vision is not None and batch.vision.keys == content_keys(batch.vision.tiles)
    dummy = collate(samples[:1])
    assert dummy.vision is not None and dummy.vision.keys is None, "a dummy tile is no image to keep"


def test_faults_of_samples_join(make_task: Callable[..., EarthMindTask], samples: list[Sample]) -> None:
    fault = Fault(Origin("a", 2, "index 1"), "broken")
    task = make_task(data_faults={"policy": "skip"})
    batch = task.collator()([samples[0], samples[1]._replace(faults=(fault,))])
    assert batch.faults == (fault,)
    assert task(batch)["num_replaced"] == 1


def test_it_reaches_the_loader_s_processes(make_task: Callable[..., EarthMindTask], samples: list[Sample]) -> None:
    collate = pickle.loads(pickle.dumps(make_task().collator(row_length=200, full_rows=True)))
    assert collate(samples).input_ids.shape == (1, 200)
