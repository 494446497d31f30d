"""`merge`: the shards of a run, brought together from several machines, become predictions and scores; needs neither model nor data."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, cast

from eocore.command import Command
from eocore.errors import DataError

if TYPE_CHECKING:
    from eocore.evaluate.scoring.scores import Scores

DESCRIPTION = """Merges the shards of a run and scores them; needs no model."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `merge`."""
    parser.add_argument(
        "folder", type=Path, help="the --out folder of `run`, or one benchmark's folder inside, with the shards of all ranks"
    )


def run(arguments: argparse.Namespace) -> int:
    """Merges and scores every benchmark of the folder, prints the table."""
    from rich.console import Console

    from eocore.evaluate.commands.showing import show_config_scores
    from eocore.evaluate.engine.inputs import RUN_FILE
    from eocore.evaluate.engine.job import collect
    from eocore.evaluate.registration import register_systems_of
    from eocore.evaluate.reporting.summary import read_results, suite_table
    from eocore.evaluate.reporting.tables import to_rich

    folder: Path = arguments.folder
    one = (folder / RUN_FILE).is_file()
    folders = [folder] if one else sorted(path.parent for path in folder.glob(f"*/{RUN_FILE}"))
    if not folders:
        raise DataError(f"{folder} holds no {RUN_FILE}, so it is no run's. Name the --out folder of `run`.")
    register_systems_of(*folders)
    merged = [collect(found) for found in folders]
    benchmarks = [path.name for path, result in zip(folders, merged, strict=True) if "benchmark" in result]
    if benchmarks:
        Console().print(to_rich(suite_table(read_results(folder.parent if one else folder, benchmarks))))
    for result in (result for result in merged if "benchmark" not in result):  # of a config
        show_config_scores(cast("Scores", result))
    return 0


COMMAND = Command(name="merge", description=DESCRIPTION, add_arguments=add_arguments, run=run)
