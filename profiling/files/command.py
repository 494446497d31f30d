"""`benchmark.py files`: its options, and what it measures in turn."""

import argparse
import os
from pathlib import Path

from eocore.config import load_config
from eocore.errors import ConfigError
from profiling.reporting.telling import tell

PARTS = ("training", "evaluation", "reading")
DATA_ROOT = "SYNTHETIC_ROOT"
"""Variable by which configs name the folder of the synthetic world."""


def add_files(parser: argparse.ArgumentParser) -> None:
    """The options of `files` alone."""
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured (default: all)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="of make_synthetic, in place of the config's data/synthetic")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a converted model that answers (default: the weights at the start)")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="loader processes (default: 0 1 2)")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="timed updates of a turn (default: 20)")
    parser.add_argument("--questions", type=int, default=384, metavar="N", help="answered in a turn (default: 384)")
    parser.add_argument("--image-size", type=int, metavar="PX", help="side of the single images (default: pictures 1024, rasters 512)")
    parser.add_argument("--turns", type=int, default=2, metavar="N", help="of training and evaluation, cold and warm (default: 2)")


def run_files(arguments: argparse.Namespace) -> None:
    """Training, evaluation and single images from real files: samples a second, the model's share of the time, our reader beside others."""
    from profiling.files.evaluation import measure_evaluation
    from profiling.files.image_reading import measure_reading
    from profiling.files.training import TrainingPlan, measure_training

    for name in ("steps", "questions", "turns", "repeats"):
        if getattr(arguments, name) < 1:
            raise ConfigError(f"--{name} {getattr(arguments, name)}: expected at least 1.")
    if arguments.data is not None:
        os.environ[DATA_ROOT] = str(arguments.data.resolve())
    config = load_config(arguments.config, arguments.cfg_options)
    rows = []
    if "training" in arguments.parts:
        plan = TrainingPlan(config=str(arguments.config), options=arguments.cfg_options, steps=arguments.steps, turns=arguments.turns)
        rows += measure_training(plan, arguments.workers)
    if "evaluation" in arguments.parts:
        rows += measure_evaluation(config, arguments.model, num_samples=arguments.questions, turns=arguments.turns)
    if "reading" not in arguments.parts:
        tell(arguments, rows, columns=("samples/s", "computes %"))
        return
    reading = measure_reading(repeats=arguments.repeats, of_processor=arguments.processor_time, size_px=arguments.image_size)
    if rows:
        tell(arguments, rows, columns=("samples/s", "computes %"), tables={"reading": reading})
    else:
        tell(arguments, reading, columns=("best / ours",))
