"""Speed and memory, each beside what it is measured against.

python tools/benchmark.py ratios --only G1,G2                                      what is wasted against what is needed
python tools/benchmark.py ratios --system ms_clip                                  the same of another system
python tools/benchmark.py train --config configs/benchmark/bench_mid.py            training steps on sample kinds
python tools/benchmark.py step --config configs/benchmark/bench_mid.py --memory    our step beside the upstream step's structure
python tools/benchmark.py plain --config configs/benchmark/bench_mid.py --memory   beside transformers' InternVL and peft
python tools/benchmark.py data --config configs/benchmark/bench_mid.py             preparing samples
python tools/benchmark.py infer --config configs/benchmark/bench_mid.py --batch 1,8             answers to questions
python tools/benchmark.py scaling --config configs/benchmark/bench_mid.py --ranks 1,2   several processes
python tools/benchmark.py files --config configs/earthmind/earthmind_tiny_synthetic.py  real files: training, evaluation, reading
python tools/benchmark.py gpu --config configs/earthmind/earthmind_4b_sft.py       full size on one GPU, at most 9 minutes
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction

from eocore.command import command
from eocore.config import load_config
from eocore.errors import ConfigError
from eocore.overrides import OverrideAction
from eocore.progress import Progress
from eocore.train.device import local_device
from profiling.files.command import add_files, run_files
from profiling.measures.ceiling import matrix_product_flops
from profiling.ratios.ratio import Effort, build_ratio, load_ratios
from profiling.reporting.report import draw_ratios, ratio_table, ratios_as_json, write_json
from profiling.reporting.tables import row_table
from profiling.reporting.telling import show, tell

SYSTEMS = ("earthmind", "ms_clip")
"""That have ratios; the other commands measure the first one."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
GENERATION = "how answers are generated, e.g. cache_implementation=static, compile=true"
AGAINST = "our step as the config has it beside ours with these overrides, in turn, instead of the upstream step's structure"
SIX_KINDS = "vqa,seg,pair,region,vqa5,seg10"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    ratios = commands.add_parser("ratios", help="what is wasted against what is needed, side by side")
    ratios.add_argument("--only", type=names, default=[], metavar="ID,ID", help="these alone (default: all)")
    ratios.add_argument(
        "--system", choices=SYSTEMS, default=SYSTEMS[0], metavar="NAME", help=f"{' or '.join(SYSTEMS)} (default: {SYSTEMS[0]})"
    )
    of_processor = "time is what the process computed, not what passed: for a machine that does other work meanwhile"
    of_config = [
        commands.add_parser(name, help=COMMANDS[name].__doc__) for name in ("train", "step", "data", "gpu", "scaling", "plain", "infer")
    ]
    for one in of_config:
        one.add_argument(
            "--config", type=Path, required=one is not of_config[-1], help="config file; weights are random, its data are not read"
        )
        one.add_argument("--samples", type=names, default=names(SIX_KINDS), metavar="KIND,KIND", help=f"default: {SIX_KINDS}; also mix")
        one.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; + adds a key")
        one.add_argument("--precision", choices=DTYPES, help="of the weights (default: fp32 on a CPU, bf16 on a GPU)")
    train, step, _, gpu, scaling, plain, infer = of_config
    plain.set_defaults(samples=["vqa", "vqa5"])
    plain.add_argument("--batch", type=counts, default=[1, 8], metavar="N,N", help="questions answered together (default: 1,8)")
    plain.add_argument("--same-image", type=count, default=8, metavar="N", help="questions about one image (default: 8)")
    plain.add_argument("--row-length", type=int, default=4096, metavar="L", help="tokens of a packed row of the mix (default: 4096)")
    plain.add_argument("--memory", action="store_true", help="peak memory too, in a process a side")
    plain.add_argument("--only", type=names, metavar="PART,PART", help="of train,mix,equal-memory,answers (default: all)")
    train.add_argument("--together", type=int, default=1, metavar="N", help="samples in a batch (default: 1)")
    train.add_argument("--row-length", type=int, metavar="L", help="pack them into rows of at most so many tokens")
    step.add_argument("--memory", action="store_true", help="peak memory too, in a process a side")
    step.add_argument("--ours-alone", action="store_true", help="leave the upstream step's structure out")
    step.add_argument("--against", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help=AGAINST)
    gpu.add_argument("--seconds", type=float, default=480.0, metavar="S", help="begin no measurement after so long (default: 480)")
    scaling.add_argument("--ranks", type=names, default=["1", "2"], metavar="N,N", help="numbers of processes (default: 1,2)")
    scaling.add_argument("--zero", default="deepspeed_zero2", metavar="NAME", help="DeepSpeed configuration (default: %(default)s)")
    add_inference(infer)
    files = commands.add_parser("files", help=run_files.__doc__)
    files.add_argument("--config", type=Path, required=True, help="config file, whose data are read")
    files.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; + adds a key")
    add_files(files)
    for one in (ratios, plain, files):
        one.add_argument("--processor-time", action="store_true", help=of_processor)
    for one in (ratios, *of_config, files):
        one.add_argument("--repeats", type=int, default=5, metavar="N", help="timed calls of each side; the fastest counts (default: 5)")
        one.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
        one.add_argument("--plot", type=Path, metavar="FILE", help="draw them here (PNG)")
    return parser.parse_args()


def add_inference(parser: argparse.ArgumentParser) -> None:
    """The options of `infer` alone."""
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a converted model instead of the config's sizes with random weights")
    parser.add_argument("--batch", type=counts, default=[1], metavar="N,N", help="questions answered together (default: 1)")
    parser.add_argument("--new-tokens", type=count, metavar="N", help="of every answer (default: as many as the sample kind learns)")
    parser.add_argument("--generation", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE", help=GENERATION)
    parser.add_argument("--each-precision", action="store_true", help="float32, bfloat16 and int8 in turn, random weights, on the CPU")


def names(text: str) -> list[str]:
    """Parts of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def count(text: str) -> int:
    """A number of at least 1."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': expected a whole number of at least 1")
    return int(text)


def counts(text: str) -> list[int]:
    """Numbers of at least 1, with commas."""
    return [count(part) for part in names(text)]


def run_ratios(arguments: argparse.Namespace) -> None:
    """What is wasted against what is needed."""
    known = load_ratios(arguments.system)
    unknown = [name for name in arguments.only if name not in known]
    if unknown:
        raise ConfigError(f"no ratio {', '.join(unknown)}. Choices: {', '.join(known)}.")
    wanted, found = arguments.only or known, {}
    effort = Effort(repeats=arguments.repeats, of_processor=arguments.processor_time)
    with Progress("ratios", total=len(wanted), unit="ratios") as progress:
        for name in wanted:
            ratio = build_ratio(arguments.system, {"type": name})
            found[name] = (ratio.what, ratio.measure(effort))
            progress.advance()
    show(ratio_table(found))
    if arguments.json:
        write_json(arguments.json, ratios_as_json(found))
    if arguments.plot:
        draw_ratios(arguments.plot, found)


def settings_of(arguments: argparse.Namespace) -> tuple[dict[str, Any], torch.device, torch.dtype]:
    """The config's task, and where and in what its weights are."""
    config: Config = load_config(arguments.config, arguments.cfg_options)
    return config.task.to_dict(), *device_of(arguments)


def device_of(arguments: argparse.Namespace) -> tuple[torch.device, torch.dtype]:
    """Where and in what weights are."""
    device = local_device()
    return device, DTYPES[arguments.precision or ("bf16" if device.type == "cuda" else "fp32")]


def run_train(arguments: argparse.Namespace) -> None:
    """Training steps on sample kinds: speed, memory, parts, operators, MFU."""
    from profiling.earthmind.setting import build_setting
    from profiling.earthmind.steps import Trainer, measure_training

    task, device, dtype = settings_of(arguments)
    trainer = Trainer(build_setting(task, device=device, dtype=dtype))
    ceiling, rows = matrix_product_flops(device, dtype), []
    choices = {"together": arguments.together, "row_length": arguments.row_length, "repeats": arguments.repeats}
    with Progress("sample kinds", total=len(arguments.samples), unit="kinds") as progress:
        for name in arguments.samples:
            rows.append(measure_training(trainer, name, ceiling=ceiling, **choices).as_row())
            progress.advance()
    tell(arguments, rows, columns=("samples/s", "peak GiB", "MFU %"), figures={"ceiling": ceiling})


def run_step(arguments: argparse.Namespace) -> None:
    """One forward and backward beside the upstream step's structure, both in one run."""
    from profiling.earthmind.comparison import compare_memory, compare_step, comparison_row
    from profiling.earthmind.setting import build_setting

    settings, device, dtype = settings_of(arguments)
    if arguments.against:
        run_against(arguments, settings)
        return
    task, rows = build_setting(settings, device=device, dtype=dtype), []
    with Progress("sample kinds", total=len(arguments.samples), unit="kinds") as progress:
        for name in arguments.samples:
            seconds = compare_step(task, name, repeats=arguments.repeats, with_upstream=not arguments.ours_alone)
            peaks = compare_memory(settings, name, changes={}) if arguments.memory else None
            rows.append(comparison_row(name, seconds, peaks=peaks))
            progress.advance()
    tell(arguments, rows, columns=("upstream s", "ours s", "faster x"))


def run_against(arguments: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Our step of two configs, in float32."""
    from profiling.earthmind.comparison import compare_tasks

    other = load_config(arguments.config, {**arguments.cfg_options, **arguments.against}).task.to_dict()
    rows = []
    with Progress("sample kinds", total=len(arguments.samples), unit="kinds") as progress:
        for name in arguments.samples:
            rows.append(compare_tasks(settings, other, name=name, repeats=arguments.repeats, memory=arguments.memory))
            progress.advance()
    tell(arguments, rows, columns=("config s", "other s", "time, other / config"))


def run_data(arguments: argparse.Namespace) -> None:
    """Preparing samples: tiles, tokens, masks, batches."""
    from profiling.earthmind.setting import build_setting
    from profiling.earthmind.steps import Trainer, measure_data

    task, _, _ = settings_of(arguments)
    trainer = Trainer(build_setting(task, device=torch.device("cpu"), dtype=torch.float32))
    tell(arguments, [measure_data(trainer, name, repeats=arguments.repeats) for name in arguments.samples], columns=("samples/s",))


def run_gpu(arguments: argparse.Namespace) -> None:
    """A full-size model with random weights on one GPU: training as it is, packed, recomputed, compiled; decoding."""
    from profiling.earthmind.gpu import GpuPlan, measure_gpu

    task, device, dtype = settings_of(arguments)
    ceiling = matrix_product_flops(device, dtype)
    plan = GpuPlan(seconds=arguments.seconds, repeats=min(arguments.repeats, 3))
    rows = measure_gpu(task, plan, device=device, dtype=dtype, ceiling=ceiling)
    tell(arguments, rows, columns=("tokens/s", "MFU %", "peak GiB"), figures={"ceiling": ceiling})


def run_scaling(arguments: argparse.Namespace) -> None:
    """Several processes with the real DeepSpeed engine: the fraction of N times one rank's speed that N ranks reach."""
    from profiling.earthmind.scaling import measure_scaling

    task, _, _ = settings_of(arguments)
    ranks, rows = [int(number) for number in arguments.ranks], []
    for name in arguments.samples:
        rows += measure_scaling(task, ranks, name=name, zero=arguments.zero, repeats=arguments.repeats)
    tell(arguments, rows, columns=("samples/s", "efficiency %"))


def run_plain(arguments: argparse.Namespace) -> None:
    """Training steps and answers beside transformers' own InternVL with peft's LoRA and sdpa, on the same weights."""
    from profiling.earthmind.plain_comparison import Effort
    from profiling.earthmind.plain_memory import compare_plain_memory
    from profiling.earthmind.plain_parts import Sizes, compare_parts

    task, _, _ = settings_of(arguments)
    effort = Effort(repeats=arguments.repeats, of_processor=arguments.processor_time)
    sizes = Sizes(batches=arguments.batch, same_image=arguments.same_image, row_length=arguments.row_length)
    rows = compare_parts(task, arguments.samples, only=arguments.only, effort=effort, sizes=sizes)
    memory = [compare_plain_memory(task, name) for name in arguments.samples] if arguments.memory else []
    if memory:
        show(row_table(memory))
    tell(arguments, rows, columns=("faster x",), figures={f"{row['what']}, ours / plain": float(row["ours / plain"]) for row in memory})


def run_infer(arguments: argparse.Namespace) -> None:
    """Answers to questions of sample kinds, of a dictated length: speed, memory, parts, operators."""
    from eocore.predict.generation import generation_settings
    from profiling.earthmind.inference import build_answers, measure_answers

    if arguments.each_precision:
        run_precisions(arguments)
        return
    generation = generation_settings(arguments.generation)
    task = load_config(arguments.config, arguments.cfg_options).task.to_dict() if arguments.config else None
    device, dtype = device_of(arguments)
    answers, rows = build_answers(task, arguments.model, device=device, dtype=dtype, generation=generation), []
    pairs = [(name, together) for name in arguments.samples for together in arguments.batch]
    with Progress("sample kinds", total=len(pairs), unit="batches") as progress:
        for name, together in pairs:
            choices = {"together": together, "new_tokens": arguments.new_tokens, "repeats": arguments.repeats}
            rows.append(measure_answers(answers, name, **choices))
            progress.advance()
    tell(arguments, rows, columns=("samples/s", "new tokens/s", "peak GiB"))


def run_precisions(arguments: argparse.Namespace) -> None:
    """Answers in float32, bfloat16 and 8 bits, in turn."""
    from profiling.earthmind.precisions import compare_precisions

    if arguments.config is None or arguments.model or arguments.generation:
        raise ConfigError("--each-precision takes --config, whose sizes it gives random weights, and neither --model nor --generation.")
    task, _, _ = settings_of(arguments)
    choices = {"batches": arguments.batch, "new_tokens": arguments.new_tokens, "repeats": arguments.repeats}
    rows = compare_precisions(task, arguments.samples, **choices)
    tell(arguments, rows, columns=tuple(name for name in rows[0] if name.endswith("x")))


COMMANDS = {
    "ratios": run_ratios,
    "train": run_train,
    "step": run_step,
    "data": run_data,
    "gpu": run_gpu,
    "scaling": run_scaling,
    "plain": run_plain,
    "infer": run_infer,
    "files": run_files,
}


@command
def main() -> None:
    """Runs the command."""
    arguments = parse_arguments()
    COMMANDS[arguments.command](arguments)


if __name__ == "__main__":
    sys.exit(main())
