"""Write the synthetic world: python tools/make_synthetic.py --out data/synthetic --train 2000 --val 100 --test 200"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress

from eocore.command import command
from eocore.synthetic.land_map import QuestionOptions
from eocore.synthetic.world import write_world


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/synthetic"), help="folder to write to")
    parser.add_argument("--train", type=int, default=2000, help="scenes to train on")
    parser.add_argument("--val", type=int, default=100, help="scenes to watch the training with")
    parser.add_argument("--test", type=int, default=200, help="scenes to evaluate on")
    parser.add_argument("--size", type=int, default=96, help="side of a scene [px, 10 m]")
    parser.add_argument("--seed", type=int, default=0, help="of the whole world")
    parser.add_argument("--object-share", type=float, default=0.25, help="share of phrases that name one object, not a class")
    parser.add_argument("--train-questions", type=int, default=9, help="most open and most multiple-choice questions of a training scene")
    arguments = parser.parse_args()
    counts = {"train": arguments.train, "val": arguments.val, "test": arguments.test}
    asked = QuestionOptions(object_share=arguments.object_share)
    options = dict.fromkeys(counts, asked)
    options["train"] = replace(asked, questions=arguments.train_questions, choices=arguments.train_questions)
    with Progress() as progress:
        bar = progress.add_task("scenes", total=sum(counts.values()))
        written = write_world(
            arguments.out, counts, seed=arguments.seed, size=arguments.size, options=options, on_scene=lambda: progress.advance(bar)
        )
    for split, entries in written.items():
        print(f"{arguments.out / split}: {counts[split]} scenes, " + ", ".join(f"{name} {number}" for name, number in entries.items()))


if __name__ == "__main__":
    sys.exit(main())
