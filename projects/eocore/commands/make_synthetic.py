"""Writes the synthetic world: Sentinel-2, Sentinel-1 and RGB scenes with questions, phrases and masks."""

import argparse
from pathlib import Path

from eocore.command import Command, say
from eocore.commands.arguments import fraction, not_negative, positive

SCENES = {"train": 2000, "val": 100, "test": 200}
"""That are written where no number is given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--out", type=Path, help="folder to write to (default: data/synthetic, with --series data/series)")
    for split, use in {"train": "train on", "val": "watch the training with", "test": "evaluate on"}.items():
        text = f"scenes to {use} (default: {SCENES[split]})"
        parser.add_argument(f"--{split}", type=not_negative, help=text)
    parser.add_argument("--size", type=int, default=96, help="side of a scene [px, 10 m]")
    parser.add_argument("--seed", type=not_negative, default=0, help="of the whole world")
    parser.add_argument("--cloudy", type=fraction, help="fraction of scenes with clouds, 0 to 1 (default: 0.5); not with --series")
    parser.add_argument("--object-share", type=float, default=0.25, help="fraction of phrases that name one object, not a class")
    parser.add_argument("--classes", type=int, choices=(6, 10), help="write chips of one class each with captions too, of so many classes")
    parser.add_argument(
        "--chips", type=not_negative, nargs=3, default=(2000, 200, 400), metavar=("TRAIN", "VAL", "TEST"), help="with --classes"
    )
    parser.add_argument(
        "--series",
        type=not_negative,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help="write so many series of dated images instead, with questions about dates, order and change",
    )
    sign = "write images of 1 to 32 tiles with a sign in one of them too, N of 4 tiles"
    parser.add_argument("--needles", type=positive, metavar="N", help=sign)
    parser.add_argument(
        "--train-questions", type=not_negative, default=9, help="most open and most multiple-choice questions of a training scene"
    )


def run(arguments: argparse.Namespace) -> None:
    """Writes scenes or series and prints how many of what there are. Raises ConfigError where an option of scenes stands with --series."""
    if arguments.series is not None:
        _write_series(arguments)
    else:
        _write_scenes(arguments)


def _write_series(arguments: argparse.Namespace) -> None:
    from rich.progress import Progress

    from eocore.errors import ConfigError
    from eocore.synthetic.series_files import write_series

    other = next((name for name in (*SCENES, "cloudy", "classes", "needles") if getattr(arguments, name) is not None), None)
    if other:
        raise ConfigError(
            f"--series writes series alone, and --{other} would be without effect. Leave it out, or write scenes in a second call."
        )
    if not any(arguments.series):
        raise ConfigError(
            "--series 0 0 0: no series to write. Give the numbers of those to train on, to watch the training with, to evaluate on."
        )
    root, counts = arguments.out or Path("data/series"), dict(zip(("train", "val", "test"), arguments.series, strict=True))
    with Progress() as progress:
        bar = progress.add_task("series", total=sum(counts.values()))
        written = write_series(root, counts, seed=arguments.seed, size=arguments.size, on_series=lambda: progress.advance(bar))
    for split, kinds in written.items():
        say(f"{root / split}: {counts[split]} series, questions: " + ", ".join(f"{kind} {number}" for kind, number in kinds.items()))


def _write_scenes(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from eocore.progress import Progress
    from eocore.synthetic.chips import write_chips
    from eocore.synthetic.land_map import QuestionOptions
    from eocore.synthetic.needles import LENGTHS, count_needles, write_needles
    from eocore.synthetic.world import CLOUDY_FRACTION, WorldOptions, write_world

    out = arguments.out or Path("data/synthetic")
    counts = {split: count if (count := getattr(arguments, split)) is not None else default for split, default in SCENES.items()}
    asked = QuestionOptions(object_share=arguments.object_share)
    questions = dict.fromkeys(counts, asked)
    questions["train"] = replace(asked, questions=arguments.train_questions, choices=arguments.train_questions)
    cloudy = CLOUDY_FRACTION if arguments.cloudy is None else arguments.cloudy
    options = WorldOptions(cloudy=cloudy, questions=questions)
    with Progress("scenes", sum(counts.values()), unit="scenes") as progress:
        written = write_world(out, counts, seed=arguments.seed, size=arguments.size, options=options, on_scene=progress.advance)
    if arguments.classes is not None:
        chips = dict(zip(counts, arguments.chips, strict=True))
        with Progress("chips", sum(chips.values()), unit="chips") as progress:
            write_chips(out / "chips", chips, seed=arguments.seed, num_classes=arguments.classes, on_chip=progress.advance)
    needles: dict[str, int] = {}
    if arguments.needles is not None:
        needles = {"train": arguments.needles, "test": max(arguments.needles // 16, 1)}
        with Progress("needles", sum(map(count_needles, needles.values())), unit="images") as progress:
            write_needles(out / "needles", needles, seed=arguments.seed, on_sample=progress.advance)
    for split, entries in written.items():
        say(f"{out / split}: {counts[split]} scenes, " + ", ".join(f"{name} {number}" for name, number in entries.items()))
    if arguments.classes is not None:
        for split, count in zip(counts, arguments.chips, strict=True):
            say(f"{out / 'chips' / split}: {count} chips of {arguments.classes} classes, with captions in captions.csv")
    for split, count in needles.items():
        say(f"{out / 'needles' / split}: {count_needles(count)} images with a sign, of {', '.join(map(str, LENGTHS))} tiles")


COMMAND = Command(name="make-synthetic", description=__doc__, add_arguments=add_arguments, run=run)
