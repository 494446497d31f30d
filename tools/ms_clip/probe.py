"""How well classes are told from a model's image vectors: a linear probe and nearest neighbours on folders of images a class."""

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import command, say
from eocore.errors import DataError
from ms_clip.upstream.arguments import add_model, load_named, reading_of

if TYPE_CHECKING:
    from eocore.evaluate.metrics.probes import LabelledVectors
    from ms_clip.upstream.models import Loaded


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    parser.add_argument("--train", type=Path, required=True, metavar="DIR", help="a folder of images for each class, to learn from")
    parser.add_argument("--test", type=Path, required=True, metavar="DIR", help="a folder of images for each class, to test on")
    parser.add_argument("--neighbours", type=int, default=20, metavar="K", help="that vote (default: %(default)s)")
    parser.add_argument("--inverse-penalty", type=float, default=1.0, metavar="C", help="of the linear probe (default: %(default)s)")
    parser.add_argument("--save-path", type=Path, metavar="FILE", help="also write the scores as CSV")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Prints the scores, and writes them where wanted. Raises DataError where the two folders have no class in common or share an image."""
    from eocore.evaluate.metrics.probes import linear_probe, nearest_neighbours, probe_scores
    from eocore.files import write_file

    train_files, test_files = _files(arguments.train), _files(arguments.test)
    shared = {path.resolve() for path, _ in train_files} & {path.resolve() for path, _ in test_files}
    unknown = {label for _, label in test_files} - {label for _, label in train_files}
    if shared or unknown:
        why = f"{len(shared)} images are in both folders" if shared else f"no training image of {', '.join(sorted(unknown))}"
        raise DataError(f"--train {arguments.train}, --test {arguments.test}: {why}. Give other folders; figures would mean nothing.")
    loaded = load_named(arguments)
    train, test = (_embed(loaded, files, arguments=arguments) for files in (train_files, test_files))
    found = {
        "linear": linear_probe(train, test.vectors, inverse_penalty=arguments.inverse_penalty),
        f"{arguments.neighbours} neighbours": nearest_neighbours(train, test.vectors, k=arguments.neighbours),
    }
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["probe", "metric", "value", "low", "high"])
    for name, predictions in found.items():
        for metric, value in probe_scores(test.labels, predictions, images=[str(number) for number in range(len(predictions))]).items():
            table.writerow([name, metric, value["value"], value["low"], value["high"]])
    say(text.getvalue().rstrip())
    if arguments.save_path is not None:
        write_file(arguments.save_path, text.getvalue())


def _files(folder: Path) -> list[tuple[Path, str]]:
    """Image and class of every file. Raise DataError if there is no class folder, or one without an image."""
    from ms_clip.upstream.lists import image_paths

    classes = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not classes:
        raise DataError(f"{folder} holds no folder of images for each class.")
    return [(path, one.name) for one in classes for path in image_paths(one)]


def _embed(loaded: "Loaded", files: list[tuple[Path, str]], *, arguments: argparse.Namespace) -> "LabelledVectors":
    import numpy as np

    from eocore.evaluate.metrics.probes import LabelledVectors
    from ms_clip.upstream.embedding import embed_files

    labels = dict(files)
    vectors = dict(embed_files(loaded, list(labels), reading=reading_of(arguments)))
    return LabelledVectors(np.stack(list(vectors.values())), [labels[path] for path in vectors])


def main() -> None:
    """Parses the command line and runs."""
    run(build_parser().parse_args())


if __name__ == "__main__":
    sys.exit(command(main)())
