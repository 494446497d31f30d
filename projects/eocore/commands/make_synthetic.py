"""Writes the synthetic world: Sentinel-2, Sentinel-1 and RGB scenes with questions, phrases and masks."""

import argparse
from pathlib import Path

from eocore.command import Command, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--out", type=Path, default=Path("data/synthetic"), help="folder to write to")
    parser.add_argument("--train", type=int, default=2000, help="scenes to train on")
    parser.add_argument("--val", type=int, default=100, help="scenes to watch the training with")
    parser.add_argument("--test", type=int, default=200, help="scenes to evaluate on")
    parser.add_argument("--size", type=int, default=96, help="side of a scene [px, 10 m]")
    parser.add_argument("--seed", type=int, default=0, help="of the whole world")
    parser.add_argument("--object-share", type=float, default=0.25, help="fraction of phrases that name one object, not a class")
    parser.add_argument("--classes", type=int, choices=(6, 10), help="write chips of one class each with captions too, of so many classes")
    parser.add_argument("--chips", type=int, nargs=3, default=(2000, 200, 400), metavar=("TRAIN", "VAL", "TEST"), help="with --classes")
    parser.add_argument("--train-questions", type=int, default=9, help="most open and most multiple-choice questions of a training scene")


def run(arguments: argparse.Namespace) -> None:
    """Writes the scenes and prints how many of what there are."""
    from dataclasses import replace

    from rich.progress import Progress

    from eocore.synthetic.chips import write_chips
    from eocore.synthetic.land_map import QuestionOptions
    from eocore.synthetic.world import write_world

    counts = {"train": arguments.train, "val": arguments.val, "test": arguments.test}
    asked = QuestionOptions(object_share=arguments.object_share)
    options = dict.fromkeys(counts, asked)
    options["train"] = replace(asked, questions=arguments.train_questions, choices=arguments.train_questions)
    with Progress() as progress:
        bar = progress.add_task("scenes", total=sum(counts.values()))
        written = write_world(
            arguments.out, counts, seed=arguments.seed, size=arguments.size, options=options, on_scene=lambda: progress.advance(bar)
        )
        if arguments.classes is not None:
            chips = dict(zip(counts, arguments.chips, strict=True))
            bar = progress.add_task("chips", total=sum(chips.values()))
            write_chips(
                arguments.out / "chips", chips, seed=arguments.seed, num_classes=arguments.classes, on_chip=lambda: progress.advance(bar)
            )
    for split, entries in written.items():
        say(f"{arguments.out / split}: {counts[split]} scenes, " + ", ".join(f"{name} {number}" for name, number in entries.items()))
    if arguments.classes is not None:
        for split, count in zip(counts, arguments.chips, strict=True):
            say(f"{arguments.out / 'chips' / split}: {count} chips of {arguments.classes} classes, with captions in captions.csv")


COMMAND = Command(name="make-synthetic", description=__doc__, add_arguments=add_arguments, run=run)
