"""`run`: predicts benchmarks with a converted model, on one process or many, and scores them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from eocore.command import Command
from eocore.errors import ConfigError
from eocore.evaluate.engine.run_options import RunOptions
from eocore.evaluate.settings import SETTINGS
from eocore.evaluate.suites import SUITES
from eocore.overrides import OverrideAction, add_long, with_long
from eocore.system import DTYPES

if TYPE_CHECKING:  # what runs is imported when there is something to run
    from rich.console import Console

    from eocore.evaluate.engine.run_options import Outcome
    from eocore.evaluate.scoring.scores import Scores

DESCRIPTION = """Predicts benchmarks with a converted model and scores them. Run again, it resumes where it was stopped. On several
processes: python -m torch.distributed.run --nproc-per-node N -m eocore.evaluate run ... (or the scripts of scripts_eval/)."""

GENERATION = "how the model generates, e.g. cache_implementation=static, compile=true"
OUT = Path("work_dirs/evaluation")
WIDTH = 160
"""Columns the table may take where the output is no terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `run`."""
    parser.add_argument("--model", type=Path, metavar="DIR", help="folder written by tools/convert_to_hf.py")
    parser.add_argument(
        "--benchmark", nargs="+", action="extend", default=[], metavar="NAME", help="names (--list shows them), or custom:TASK:FILE.jsonl"
    )
    parser.add_argument("--config", metavar="FILE", help="instead of benchmarks: the data sets of a config's section `evaluation`")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    parser.add_argument("--suite", metavar="NAME", help=f"all benchmarks of a group: {SUITES}")
    parser.add_argument("--data-root", metavar="DIR", help=f"data folder (default: {RunOptions.data_root})")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results go (default: work_dirs/evaluation/MODEL)")
    parser.add_argument(
        "--settings", nargs="+", action="extend", default=[], metavar="NAME", help=f"of {SETTINGS}, or a system's own (default: all)"
    )
    parser.add_argument(
        "--prompt", nargs="+", action="extend", default=[], metavar="NAME=TEXT", help="another prompt for a benchmark that is run"
    )
    parser.add_argument("--places-by", choices=("text", "masks"), help="how the model shows boxes (default: as its system says)")
    parser.add_argument("--batch-size", type=int, metavar="N", help=f"samples answered together (default: {RunOptions.batch_size})")
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="longest answer (default: the benchmark's own)")
    parser.add_argument("--max-frames-num", type=int, metavar="N", help="frames that are shown of a video (default: the benchmark's own)")
    parser.add_argument("--generation", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help=GENERATION)
    add_long(parser)
    told = "precision of the model; int8: of its language model's weights, on a CPU (default: as saved)"
    parser.add_argument("--dtype", choices=DTYPES, help=told)
    kept = "kept of what was computed of images, for further questions about them, in systems that can (default: %(default)s)"
    parser.add_argument("--image-memory", type=int, default=0, metavar="MIB", help=kept)
    classes = f"class prompts of a model that scores classes (default: {', '.join(RunOptions.templates)})"
    parser.add_argument("--templates", nargs="+", action="extend", metavar="TEXT", help=classes)
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N samples of each benchmark")
    parser.add_argument("--any-count", action="store_true", help="also run a set whose number of samples is not the published one")
    parser.add_argument("--overwrite", action="store_true", help="throw away predictions of another model, data or choices in --out")
    parser.add_argument("--list", action="store_true", help="show the benchmarks and what they need, and end")


def run(arguments: argparse.Namespace) -> int:
    """Runs, prints one table, writes the report; 1 if a benchmark failed or none could be run."""
    from eocore.distributed import join_ranks, leave_ranks
    from eocore.evaluate.benchmarks.loading import choose, load_benchmarks
    from eocore.evaluate.engine.benchmark_run import check_prompts, run_benchmarks
    from eocore.evaluate.protocols import Generates
    from eocore.system import PredictorOptions, system_of_model

    if arguments.list:
        return _list_benchmarks()
    arguments.generation = with_long(arguments)
    if arguments.model is None:
        raise ConfigError("--model is missing; expected the folder of a converted model (tools/convert_to_hf.py writes one).")
    if arguments.config:
        return _run_config(arguments)
    system = system_of_model(arguments.model)
    benchmarks = choose(arguments.benchmark, arguments.suite, known=load_benchmarks([system.name]))
    make = system.need(system.predictor, "its models cannot be evaluated")
    chosen = PredictorOptions(generation=arguments.generation, dtype=arguments.dtype, image_memory_mib=arguments.image_memory)
    predictor = make(arguments.model, chosen)
    options = _options(arguments, system.name, boxes_by_masks=isinstance(predictor, Generates) and predictor.boxes_by_masks)
    check_prompts(options.prompts or {}, benchmarks)
    ranks = join_ranks()
    outcomes = run_benchmarks(benchmarks, options, predictor=predictor, ranks=ranks)
    status = _finish(options, outcomes, suite=arguments.suite) if ranks.is_first else 0
    status = ranks.gather(status)[0]
    leave_ranks()
    return int(status)


OF_BENCHMARKS = (
    *("benchmark", "suite", "data_root", "settings", "prompt", "places_by"),
    *("batch_size", "max_new_tokens", "max_frames_num", "generation", "templates", "limit", "any_count", "dtype"),
)
"""Options that a config states itself."""


def _run_config(arguments: argparse.Namespace) -> int:
    """Runs the data sets of a config, as `tools/test.py` does."""
    from eocore.config import load_config
    from eocore.evaluate.commands.showing import show_config_scores
    from eocore.evaluate.engine.config_run import evaluate_config

    given = [f"--{name.replace('_', '-')}" for name in OF_BENCHMARKS if getattr(arguments, name)]
    if given:
        raise ConfigError(f"--config states data sets, settings and generation, so {', '.join(given)} would be ignored. Leave them out.")
    config = load_config(arguments.config, trust=arguments.trust_config)
    out = arguments.out or OUT / arguments.model.resolve().name / Path(arguments.config).stem
    show_config_scores(evaluate_config(config, arguments.model, out=out, overwrite=arguments.overwrite))
    return 0


def _options(arguments: argparse.Namespace, system: str, *, boxes_by_masks: bool) -> RunOptions:
    prompts = {}
    for entry in arguments.prompt:
        name, equals, text = entry.partition("=")
        if not equals or not text:
            raise ConfigError(f"--prompt {entry}: expected NAME=TEXT, e.g. --prompt 'dior_rsvg=Where is {{phrase}}?'.")
        prompts[name] = text
    for name in ("batch_size", "max_new_tokens", "max_frames_num", "limit"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} {value}: expected at least 1.")
    for name in arguments.settings:
        SETTINGS.find(name)
    out = arguments.out or OUT / arguments.model.resolve().name
    names = ("data_root", "batch_size", "max_new_tokens", "max_frames_num", "templates", "limit", "any_count", "overwrite", "dtype")
    chosen = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    by_masks = boxes_by_masks if arguments.places_by is None else arguments.places_by == "masks"
    return RunOptions(
        model=arguments.model,
        system=system,
        out=out,
        settings=tuple(arguments.settings),
        prompts=prompts,
        boxes_by_masks=by_masks,
        generation=arguments.generation,
        **chosen,
    )


def _finish(options: RunOptions, outcomes: "Sequence[Outcome]", *, suite: str | None) -> int:
    from rich.console import Console

    from eocore.evaluate.reporting.suite_report import write_suite_report
    from eocore.evaluate.reporting.summary import read_results, suite_table
    from eocore.evaluate.reporting.tables import reading_notes, to_rich

    console = Console() if Console().is_terminal else Console(width=WIDTH)
    told = [f"{item.benchmark} {item.state}: {item.reason}" for item in outcomes if item.reason]
    done = [item.benchmark for item in outcomes if item.state == "done"]
    if not done:
        _tell_plainly(console, [*told, "No benchmark could be run."])
        return 1
    results = read_results(options.out, done)
    page = write_suite_report(options.out, results, title=f"Evaluation: {suite or ', '.join(done)}", outcomes=outcomes)
    console.print(f"Report: {page}", soft_wrap=True)
    console.print(to_rich(suite_table(results)))
    for result in results:
        notes = (*result["notes"], *reading_notes(cast("Scores", result)))
        _tell_plainly(console, [f"{result['title']}: {note}" for note in notes])
    _tell_plainly(console, told)
    return 1 if any(item.state == "failed" for item in outcomes) else 0


def _tell_plainly(console: "Console", lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _list_benchmarks() -> int:
    from rich.console import Console

    from eocore.evaluate.benchmarks.loading import load_benchmarks
    from eocore.system import installed_systems

    known = load_benchmarks(list(installed_systems()))
    for item in known.values():
        count = f"{item.expected} samples" if item.expected else "count not published"
        line = f"{item.name:24} {item.suite or '-':16} {item.task:15} {count:22} {','.join(item.settings)}\n{'':24} {item.source}"
        Console(soft_wrap=True).print(line, markup=False, highlight=False)
    return 0


COMMAND = Command(name="run", description=DESCRIPTION, add_arguments=add_arguments, run=run)
