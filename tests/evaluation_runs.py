"""What tests of benchmark runs and config runs share: a predictor that answers by rule, and runs on several processes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from forked import context
from ports import free_port

from eocore.evaluate.protocols import ClassPrompts


@dataclass
class Said:
    """An answer."""

    text: str
    masks: np.ndarray


class RulePredictor:
    """Answers "water", or what a subclass says, notes what it is asked; stops as Ctrl-C does before it has answered more than `most`."""

    boxes_by_masks = False

    def __init__(self, most: int = 10**9) -> None:
        self.asked: list[str] = []
        self.most = most

    def answerer(self, max_new_tokens: int) -> Callable[[Sequence[Any]], list[Said]]:
        return self

    def __call__(self, samples: Sequence[Any]) -> list[Said]:
        if len(self.asked) + len(samples) > self.most:
            raise KeyboardInterrupt
        self.asked += [record.sample_id for record, _ in samples]
        return [self.say(record, scenes) for record, scenes in samples]

    def say(self, record: Any, scenes: Any) -> Said:
        return Said("water", np.zeros((0, *scenes[0].size), bool))


def on_ranks(world_size: int, run: Callable[..., None], *arguments: Any) -> list[int]:
    """Exit codes of so many processes that run `run(rank, world_size, port, *arguments)` together."""
    port = free_port()
    workers = [context().Process(target=run, args=(rank, world_size, port, *arguments)) for rank in range(world_size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=600)  # a busy machine takes minutes to start them
    codes = [worker.exitcode for worker in workers]
    for worker in workers:
        worker.kill()
    return [-1 if code is None else code for code in codes]


class Embedder:
    """Embeds images as they are, and texts by table."""

    directions: Mapping[str, Sequence[float]] = {
        "a forest": [1.0, 0.0, 0.0],
        "trees": [0.0, 3.0, 0.0],
        "a lake": [0.0, 0.0, 1.0],
        "water": [0.0, 0.0, 5.0],
    }

    def embed_images(self, images: Sequence[Any]) -> np.ndarray:
        return np.asarray(images, dtype=np.float32)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([self.directions[text] for text in texts], dtype=np.float32)


class Generator:
    """Generates nothing."""

    boxes_by_masks = False

    def answerer(self, max_new_tokens: int) -> Any:
        return lambda samples: []


class Scorer:
    """Scores all classes alike."""

    def class_scores(self, images: Sequence[Any], prompts: ClassPrompts) -> np.ndarray:
        return np.zeros((len(images), len(prompts.classes)))
