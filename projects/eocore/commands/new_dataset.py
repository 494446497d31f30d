"""Makes a config, split annotation files and a data check report of one's own images and table, and says what it guessed.

Where the files leave two readings nothing is written, and the error names the option that decides.
"""

import argparse
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eocore.command import Command, say
from eocore.commands.arguments import not_negative
from eocore.errors import ConfigError

if TYPE_CHECKING:
    from eocore.onboarding.choices import DatasetChoices, Findings

DEFAULT_BASE = "own_tiny"
SHOWN = 20
_SEVERAL: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
EPILOG = """FOLDER holds images and one table, or a folder of images for each class; its samples are all images of a place, joined by
coordinates or names. FILE is a table (.csv, .tsv, .json, .jsonl, .parquet) whose rows name their images. Groups, which options name,
are folders of images or columns of the table. docs/own_data.md goes from a folder to a trained model."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.epilog = EPILOG
    parser.add_argument("source", type=Path, metavar="FOLDER|FILE", help="images with a table, or the table")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="CONFIG", help="config to write (.yaml); a folder of its name is made too"
    )
    parser.add_argument("--base", default=DEFAULT_BASE, metavar="NAME", help="config to inherit (default: %(default)s; full size: own_4b)")
    parser.add_argument("--task", nargs="+", default=[], metavar="TASK", help="chat, referring, caption, classification")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder that paths in the table are relative to (default: the table's)")
    _add_columns(parser)
    _add_images(parser)
    splits = parser.add_argument_group("splits")
    splits.add_argument("--split", metavar="A,B,C", help="shares of train, val and test in percent (default: the table's, else 80,10,10)")
    splits.add_argument(
        "--group-by", choices=("location", "scene", "name"), help="what keeps images together (default: location, else names)"
    )
    splits.add_argument("--seed", type=not_negative, default=0, help="of the splits (default: %(default)s)")
    parser.add_argument("--question", default="", metavar="TEXT", help="asked where the table holds captions or labels")
    parser.add_argument(
        "--workers", type=not_negative, default=os.cpu_count() or 1, help="processes of the data check (default: one a core)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier data set of that name")


def _add_columns(parser: argparse.ArgumentParser) -> None:
    columns = parser.add_argument_group("columns of the table (default: by their names)")
    columns.add_argument(
        "--image-column", metavar="COLUMN", help="names the image; several columns are the sensors of one sample", **_SEVERAL
    )
    columns.add_argument(
        "--text-column", metavar="COLUMN", help="answer, phrase, caption or label; TASK=COLUMN for several tasks", **_SEVERAL
    )
    for name in ("question", "mask", "place", "split"):
        columns.add_argument(f"--{name}-column", metavar="COLUMN", help=f"the {name}")
    columns.add_argument("--boxes", choices=("xyxy", "xywh"), help="what four numbers of a mask column mean")


def _add_images(parser: argparse.ArgumentParser) -> None:
    images = parser.add_argument_group("images")
    images.add_argument("--sensor", metavar="GROUP=NAME", help="sensor of a group of images, e.g. s1=sentinel1_grd", **_SEVERAL)
    images.add_argument("--bands", metavar="GROUP=A,B", help="names of a group's layers in order; - leaves one out", **_SEVERAL)
    images.add_argument("--role", metavar="GROUP=ROLE", help="what a group is to the model: rgb, multispectral, sar", **_SEVERAL)
    images.add_argument("--leave-out", metavar="GROUP", help="groups that are not used", **_SEVERAL)
    images.add_argument("--pair", action="store_true", help="join all images of the place of the one that the table names")
    images.add_argument(
        "--pair-by", choices=("location", "name"), help="what tells that images show one place (default: location, else name)"
    )


def choices_of(arguments: argparse.Namespace) -> "DatasetChoices":
    """What the command line says. Raises ConfigError where an option has another form."""
    from eocore.onboarding.choices import DatasetChoices

    texts = dict(entry.split("=", 1) if "=" in entry else ("", entry) for entry in arguments.text_column)
    names = ("question", "mask", "place", "split")
    return DatasetChoices(
        tasks=tuple(dict.fromkeys(arguments.task)),
        image_columns={column: column for column in arguments.image_column},
        text_columns=texts,
        columns={name: column for name in names if (column := getattr(arguments, f"{name}_column"))},
        sensors=_pairs("sensor", arguments.sensor),
        roles=_pairs("role", arguments.role),
        bands={group: tuple(text.split(",")) for group, text in _pairs("bands", arguments.bands).items()},
        leave_out=tuple(arguments.leave_out),
        pair=arguments.pair,
        pair_by=arguments.pair_by,
        group_by=arguments.group_by,
        fractions=read_fractions(arguments.split) if arguments.split else None,
        seed=arguments.seed,
        question=arguments.question,
        boxes=arguments.boxes,
    )


def _pairs(option: str, entries: Iterable[str]) -> dict[str, str]:
    """GROUP=VALUE entries; a group may hold "=" itself."""
    found = {}
    for entry in entries:
        group, equals, value = entry.rpartition("=")
        if not (equals and group and value):
            raise ConfigError(f"--{option} {entry}: expected GROUP=VALUE, such as --{option} s1=sentinel1_grd.")
        found[group] = value
    return found


def read_fractions(text: str) -> tuple[float, float, float]:
    """Shares of train, val and test of "80,10,10". Raises ConfigError for anything else."""
    parts = text.split(",")
    numbers = [float(part) for part in parts if part.strip().replace(".", "", 1).isdecimal()]
    if len(parts) != 3 or len(numbers) != 3 or abs(sum(numbers) - 100) > 1e-6 or numbers[0] <= 0:
        raise ConfigError(f"--split {text}: expected three shares that add up to 100, the first above 0, such as 80,10,10 or 70,0,30.")
    train, val, test = (number / 100 for number in numbers)
    return train, val, test


def run(arguments: argparse.Namespace) -> int:
    """Makes the data set and its report; 1 where the check finds anything broken."""
    from eocore.checks.config_data import check_config
    from eocore.checks.report import write_report
    from eocore.checks.sample_pictures import sample_rows
    from eocore.config import load_config
    from eocore.onboarding.dataset import make_dataset

    choices = choices_of(arguments)
    made = make_dataset(
        arguments.source,
        arguments.out,
        choices=choices,
        base=arguments.base,
        root=arguments.images,
        overwrite=arguments.overwrite,
    )
    _say_findings(made.findings)
    opened = check_config(load_config(made.config), num_workers=arguments.workers)
    facts = [fact for fact, _ in opened]
    samples = {fact.name: sample_rows(dataset, 4) for fact, dataset in opened if dataset}
    page = write_report(facts, made.folder / "data_check", title=f"Data of {made.config.name}", samples=samples)
    for line in [f"{fact.name}: {problem.message}" for fact in facts for problem in fact.problems][:SHOWN]:
        say(f"broken: {line}")
    for line in [f"{fact.name}: {warning}" for fact in facts for warning in fact.warnings]:
        say(f"look at this: {line}")
    say(f"{made.config}: {made.splits}\n{page}")
    return 1 if any(fact.problems for fact in facts) else 0


def _say_findings(findings: "Findings") -> None:
    for line in findings.guessed:
        say(f"guessed: {line}")
    for line in findings.unsure:
        say(f"unsure: {line}")
    for item in findings.skipped[:SHOWN]:
        say(f"skipped: {item.source}: {item.reason}")
    if findings.skipped:
        say(f"skipped: {len(findings.skipped)} rows and files in all")


COMMAND = Command(name="new-dataset", description=__doc__, add_arguments=add_arguments, run=run)
