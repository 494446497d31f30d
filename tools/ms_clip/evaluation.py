"""Upstream's evaluation command: zero-shot scores of benchmarks, one CSV file a data set; several models are compared in a figure.

Sets that are not below --dataset-dir, or that a model cannot read (pictures, of a model of bands), are skipped with the reason. Run again,
it resumes where it was stopped.
"""

import argparse
import sys
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import command, say
from eocore.errors import ConfigError
from ms_clip.upstream.arguments import truth

if TYPE_CHECKING:
    from ms_clip.upstream.evaluation import EvaluatedModel, EvaluationChoices


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = "an upstream name, an OpenCLIP id, or the folder of a model; several are compared (default: %(default)s)"
    parser.add_argument("--model-name", nargs="+", default=["Llama3-MS-CLIP-Base"], metavar="NAME", help=names)
    parser.add_argument("--pretrained", type=truth, default=True, metavar="True|False", help="False = random weights (default: True)")
    parser.add_argument("--ckpt-path", type=Path, metavar="DIR", help="folder of an imported model, instead of the one of the name")
    parser.add_argument("--save-name", nargs="+", default=[], metavar="NAME", help="of the files of each model (default: its name)")
    parser.add_argument("--other-features", action="store_true", help="BigEarthNet with a class 'Other features' that decides")
    parser.add_argument("--templates", default="msclip", metavar="NAME", help="prompts: msclip, clip or rs5m (default: %(default)s)")
    parser.add_argument("--dataset-dir", type=Path, default=Path("benchmark_datasets"), metavar="DIR", help="default: %(default)s")
    sets = "names of benchmarks, or folders with a folder of images a class (default: all benchmarks that are there)"
    parser.add_argument("--datasets", nargs="+", default=[], metavar="NAME|DIR", help=sets)
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="images at a time (default: %(default)s)")
    parser.add_argument("--precision", default="amp", metavar="NAME", help="amp, fp32, bf16 or fp16 (default: %(default)s)")
    parser.add_argument("--save-path", type=Path, default=Path("results"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images of each set")
    parser.add_argument("--overwrite", action="store_true", help="throw away what another model or other data left in --save-path")
    parser.add_argument("--answers", type=Path, metavar="CSV", help="score what inference.py saved, instead of a model")
    parser.add_argument("--truth", type=Path, metavar="CSV|DIR", help="of --answers: columns image and label, or a folder a class")
    ignored = "accepted and without effect: nothing is random here, and images are read in threads of their own"
    parser.add_argument("--random-seed", type=int, default=3407, metavar="N", help=ignored)
    parser.add_argument("--workers", type=int, default=0, metavar="N", help=ignored)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Writes the files and names them; 1 where a set that is there could not be evaluated, or none is."""
    if (arguments.answers is None) != (arguments.truth is None):
        raise ConfigError("--answers and --truth belong together: saved answers, and the true classes of the same images. Give both.")
    if arguments.answers is not None:
        say(*_score_saved(arguments))
        return 0
    from tabulate import tabulate

    from eocore.distributed import join_ranks, leave_ranks
    from ms_clip.upstream.evaluation import evaluate_models

    models, choices = _models(arguments), _choices(arguments)
    ranks = join_ranks()
    done = evaluate_models(models, choices, ranks=ranks)
    leave_ranks()
    if ranks.is_first:
        say(*(f"{name}: {item.benchmark} {item.state}: {item.reason}" for name, item in done.outcomes if item.reason))
        say(*done.files)
        rows = [(name, item, f"{100 * value:.1f}") for name, measures in done.measures.items() for item, value in measures.items()]
        if rows:
            say(tabulate(rows, headers=("model", "measure", "value [%]")))
    return int(done.failed)


def _models(arguments: argparse.Namespace) -> "list[EvaluatedModel]":
    from ms_clip.upstream.evaluation import EvaluatedModel

    names = arguments.save_name or [Path(name).name for name in arguments.model_name]
    if len(names) != len(arguments.model_name) or (arguments.ckpt_path is not None and len(names) > 1):
        raise ConfigError(
            f"{len(arguments.model_name)} models, {len(names)} save names{' and one --ckpt-path' if arguments.ckpt_path else ''}: give a "
            "--save-name for each model, and --ckpt-path with one model alone."
        )
    given = zip(arguments.model_name, names, strict=True)
    return [
        EvaluatedModel(name=name, save_name=save, ckpt_path=arguments.ckpt_path, pretrained=arguments.pretrained) for name, save in given
    ]


def _choices(arguments: argparse.Namespace) -> "EvaluationChoices":
    from ms_clip.upstream.evaluation import EvaluationChoices

    return EvaluationChoices(**{field.name: getattr(arguments, field.name) for field in fields(EvaluationChoices)})


def _score_saved(arguments: argparse.Namespace) -> list[Path]:
    from ms_clip.upstream.evaluation import write_scores
    from ms_clip.upstream.saved_answers import score_saved

    name = arguments.save_name[0] if arguments.save_name else arguments.answers.stem
    out = arguments.save_path / f"{name}_{datetime.now():%Y%m%d-%H%M%S}.csv"
    return [write_scores(out, score_saved(arguments.answers, arguments.truth))]


def main() -> int:
    """Parses the command line and runs."""
    return run(build_parser().parse_args())


if __name__ == "__main__":
    sys.exit(command(main)())
