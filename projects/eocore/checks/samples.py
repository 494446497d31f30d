"""Every sample of a training's first epoch made as the training makes it: what it would refuse is found before it runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset

from eocore.checks.facts import SAMPLE, DatasetFacts, Problem, problem_of
from eocore.config import require
from eocore.data.augmentation.augmented_source import AugmentedSource, describe_unsafe_words
from eocore.data.dataset import PreparedDataset, SampleKey, random_stream
from eocore.errors import EOError
from eocore.registry import TASKS, TRANSFORMS
from eocore.system import system_of_config
from eocore.train.task import Task

NAME, KIND = "samples of the training", "as the training makes them"
AUGMENTING = "eocore.data.augmentation."
"""Where the transforms stand that change images."""
ALL_BUT_ONE = 1 - 1e-9
"""Fraction of broken samples [1] up to which the data is read on: the check names all of them."""


@dataclass(frozen=True)
class TrainingSamples:
    """What the loader of a training is made of.

    Attributes:
        prepared: its samples, none of which is replaced.
        collate: samples -> batch.
    """

    prepared: PreparedDataset
    collate: Callable[[list[Any]], Any]

    def __len__(self) -> int:
        return len(self.prepared)


def trains(config: Config) -> bool:
    """Whether a config describes a training with data."""
    return isinstance(config.get("task"), Mapping) and config.task.get("data") is not None


def augments(config: Config) -> bool:
    """Whether a config's training changes images after they are read."""
    return trains(config) and (bool(config.task.get("augmentation")) or any(_augmenting(config.task.data)))


def _augmenting(node: Any) -> Iterator[str]:
    """Names of the transforms in a config that augment."""
    if isinstance(node, Mapping):
        factory = TRANSFORMS.module_dict.get(node["type"]) if isinstance(node.get("type"), str) else None
        if factory is not None and factory.__module__.startswith(AUGMENTING):
            yield node["type"]
        node = list(node.values())
    for inner in node if isinstance(node, list | tuple) else ():
        yield from _augmenting(inner)


def open_samples(config: Config) -> tuple[DatasetFacts, TrainingSamples | None]:
    """What building the training's data tells, and its samples; None where it cannot be built.

    Broken entries of annotation files are left out: `eocore.checks.datasets` names them. Samples are not packed.

    Raises:
        ConfigError: the task is wrong.
    """
    facts = DatasetFacts(NAME, KIND, "")
    task = _preparing_task(_unpacked(config))
    try:
        loader = task.build_loader(rank=0, world_size=1, seed=require(config, "seed"), start_step=0)
    except EOError as error:
        facts.problems.append(Problem(SAMPLE, (NAME,), str(error)))
        return facts, None
    found: Any = loader.dataset
    assert loader.collate_fn is not None
    samples = TrainingSamples(PreparedDataset(found.dataset, found.prepare, seed=config.seed), loader.collate_fn)
    facts.num_entries = len(samples)
    return facts, samples


def _unpacked(config: Config) -> Config:
    """The config with one sample a row, as long as a pack allows, that reads on past broken entries."""
    config = config.copy()
    task = config.task
    packing = task.get("packing")
    task["data_faults"] = {**(task.get("data_faults") or {}), "policy": "skip", "max_share": ALL_BUT_ONE}
    if isinstance(packing, Mapping):
        task["packing"] = None
        task["max_length"] = min(task.get("max_length", packing["max_tokens"]), packing["max_tokens"])
    task["num_workers"] = 0
    return config


def _preparing_task(config: Config) -> Task:
    """The task that builds the loader, without weights where its system can do so."""
    system = system_of_config(config)
    if system.planning is not None:
        return system.planning().data_task(config)
    return TASKS.build(require(config, "task"))


def count_unsafe_words(samples: TrainingSamples, facts: DatasetFacts) -> None:
    """Adds a warning for each data set with records that the training's augmentation leaves as they are for their words."""
    if isinstance(samples.prepared.dataset, AugmentedSource):
        facts.warnings += describe_unsafe_words(samples.prepared.dataset, most=None)


def check_samples(
    samples: TrainingSamples,
    facts: DatasetFacts,
    *,
    known: Sequence[Problem],
    num_workers: int,
    on_sample: Callable[[int], None],
    epochs: int = 1,
) -> None:
    """Makes every sample of the first epochs, each a batch of its own; adds what fails to `facts`.

    Args:
        samples: from `open_samples`.
        facts: of the samples.
        known: problems found before; what they say already is not said again.
        num_workers: processes; 0 = this one.
        on_sample: called with 1 after each sample.
        epochs: how many; in each, transforms draw anew, and mixtures may show other records.
    """
    said = tuple({problem.what for problem in known})
    for problem in DataLoader(_Trial(samples, epochs), batch_size=None, num_workers=num_workers, collate_fn=_as_it_is):
        if problem is not None and not problem.message.endswith(said):
            facts.problems.append(problem)
        on_sample(1)


def _as_it_is(problem: Any) -> Any:
    return problem


class _Trial(Dataset[Problem | None]):
    """What is wrong with each sample; None where nothing is."""

    def __init__(self, samples: TrainingSamples, epochs: int) -> None:
        self.samples, self.epochs = samples, epochs

    def __len__(self) -> int:
        return self.epochs * len(self.samples)

    def __getitem__(self, index: int) -> Problem | None:
        key = SampleKey(*divmod(index, len(self.samples)))
        try:
            self.samples.collate([self.samples.prepared[key]])
        except Exception as error:  # the check continues whatever one sample does
            return problem_of(error, SAMPLE, locations=[self._location(key)])
        return None

    def _location(self, key: SampleKey) -> str:
        """The file and line of the sample's record, or what the training calls the sample."""
        prepared = self.samples.prepared
        try:
            record, _ = prepared.dataset.draw(key, random_stream(prepared.seed, "sample", *key))
        except Exception:  # drawing it is what fails
            return prepared.describe(key)
        return record.source
