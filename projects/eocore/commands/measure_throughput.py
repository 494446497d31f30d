"""Measures answers of a converted model in batches against answers one by one."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import positive

if TYPE_CHECKING:
    from eocore.evaluate.harnesses.throughput import Throughput

BENCHMARKS = ("rrsisd", "vrsbench_vqa")
BATCH_SIZES = (8,)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder written by tools/convert_to_hf.py")
    parser.add_argument("--data-root", default="data", metavar="DIR", help="data folder (made-up sets: tools/make_benchmarks.py)")
    chosen = f"what is answered (default: {' '.join(BENCHMARKS)})"
    parser.add_argument("--benchmark", nargs="+", action="extend", metavar="NAME", help=chosen)
    sizes = f"compared with 1 (default: {' '.join(map(str, BATCH_SIZES))})"
    parser.add_argument("--batch-sizes", nargs="+", action="extend", type=positive, metavar="N", help=sizes)
    parser.add_argument("--samples", type=positive, default=32, metavar="N", help="answered in each turn (default: %(default)s)")
    turns = "of each batch size; the fastest counts (default: %(default)s)"
    parser.add_argument("--turns", type=positive, default=3, metavar="N", help=turns)
    parser.add_argument("--max-new-tokens", type=positive, default=32, metavar="N", help="longest answer (default: %(default)s)")


def describe(name: str, found: "Throughput") -> str:
    """One line of the result."""
    rates = ", ".join(f"batch {size}: {rate:.2f} samples/s ({found.ratio(size):.2f} x)" for size, rate in found.rates.items())
    return f"{name} ({found.num_samples} samples, {found.num_images} images): {rates}; same text {100 * found.same_texts:.0f} %"


def run(arguments: argparse.Namespace) -> None:
    """Measures and prints a line for each benchmark."""
    from rich.progress import Progress

    from eocore.evaluate.benchmarks.loading import choose, load_benchmarks
    from eocore.evaluate.engine.benchmark_run import show_only
    from eocore.evaluate.harnesses.throughput import ThroughputOptions, measure_throughput
    from eocore.system import PredictorOptions, system_of_model

    system = system_of_model(arguments.model)
    benchmarks = choose(arguments.benchmark or BENCHMARKS, None, known=load_benchmarks([system.name]))
    make = system.need(system.predictor, "the speed of its models cannot be measured")
    answerer = make(arguments.model, PredictorOptions()).answerer(arguments.max_new_tokens)
    options = ThroughputOptions(batch_sizes=arguments.batch_sizes or BATCH_SIZES, num_samples=arguments.samples, turns=arguments.turns)
    for benchmark in benchmarks:
        setting, modalities = next(iter(benchmark.settings.items()))
        source = show_only(benchmark(data_root=arguments.data_root), setting, roles=modalities)
        for different in (False, True):
            with Progress(transient=True) as progress:
                bar = progress.add_task(benchmark.name, total=options.turns * len(options.sizes))
                found = measure_throughput(
                    source,
                    answerer,
                    options=replace(options, different_images=different),
                    on_turn=lambda progress=progress, bar=bar: progress.advance(bar),  # type: ignore[misc]
                )
            say(describe(benchmark.name, found))


COMMAND = Command(name="measure-throughput", description=__doc__, add_arguments=add_arguments, run=run)
