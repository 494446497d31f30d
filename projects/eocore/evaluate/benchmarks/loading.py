"""All benchmarks, loaded in one place: each family of layouts registers its own in the catalogue, and so does each system."""

from collections.abc import Mapping, Sequence

from eocore.errors import ConfigError
from eocore.evaluate import datasets as _datasets  # noqa: F401  (each family of layouts registers its benchmarks)
from eocore.evaluate.benchmarks.catalogue import Benchmark
from eocore.evaluate.benchmarks.custom import CUSTOM, custom_benchmark
from eocore.evaluate.registration import register_systems
from eocore.evaluate.suites import SUITES
from eocore.registry import BENCHMARKS
from eocore.text import did_you_mean


def load_benchmarks(systems: Sequence[str] = ()) -> dict[str, Benchmark]:
    """All benchmarks by name: those of this package, and those of the systems.

    Raises:
        ConfigError: a system that is not installed.
    """
    register_systems(systems)
    return {name: BENCHMARKS.get(name) for name in sorted(BENCHMARKS.module_dict)}


def choose(names: Sequence[str], suite: str | None, *, known: Mapping[str, Benchmark]) -> list[Benchmark]:
    """The benchmarks of these names and of this suite, in the order of the suite, then of the names.

    Raises:
        ConfigError: an unknown name or suite, or nothing chosen.
    """
    chosen = [item for item in known.values() if suite and SUITES.find(suite) and item.suite == suite]
    for name in names:
        if name.startswith(CUSTOM):
            chosen.append(custom_benchmark(name))
        elif name in known:
            chosen.append(known[name])
        else:
            raise ConfigError(f"no benchmark '{name}'.{did_you_mean(name, known)} Choices: {', '.join(known)}, {CUSTOM}TASK:FILE.jsonl.")
    if not chosen:
        raise ConfigError(f"no benchmark chosen. Give --benchmark NAME or --suite, one of {SUITES}.")
    twice = sorted({item.name for item in chosen if sum(other.name == item.name for other in chosen) > 1})
    if twice:
        raise ConfigError(f"chosen twice: {', '.join(twice)}. Name each once; two files of one's own need different names.")
    return chosen
