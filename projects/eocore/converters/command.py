"""What the commands of tools/prepare share: their arguments, the bar, and the line at the end."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress

from eocore.converters.referring import PhraseRelease, count_phrases, prepare_phrases


def release_parser(description: str | None, *, holds: str, out: Path | None = None) -> argparse.ArgumentParser:
    """A command line of --source, --out and --copy.

    Args:
        description: of the command.
        holds: what the release's folder must hold, for --help.
        out: where to write unless told; None = it must be told.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help=f"folder with {holds}")
    parser.add_argument("--out", type=Path, default=out, required=out is None, metavar="DIR", help=f"folder to write to (default: {out})")
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking them")
    return parser


@contextmanager
def counting(unit: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar, and what moves it by one, whatever it is told; `total` None where it is not known before."""
    with Progress() as progress:
        bar = progress.add_task(unit, total=total)
        yield lambda *_: progress.advance(bar)


def show_counts(folder: Path, counts: Mapping[str, int]) -> None:
    """Writes what was prepared to stdout: the folder, and how many of each kind."""
    sys.stdout.write(f"{folder}: " + ", ".join(f"{name} {number}" for name, number in counts.items()) + "\n")


def prepare_phrase_release(description: str | None, *, images: str, masks: str, out: Path) -> None:
    """The whole command for a release of `output_phrase_<split>.txt` files, whose images and masks lie in these folders of it.

    Raises:
        DataError, AnnotationError: as `prepare_phrases`.
    """
    holds = f"{images}/, {masks}/ and output_phrase_{{train,val,test}}.txt"
    arguments = release_parser(description, holds=holds, out=out).parse_args()
    release = PhraseRelease(source=arguments.source, images=images, masks=masks)
    with counting("phrases", count_phrases(release)) as advance:
        counts = prepare_phrases(release, arguments.out, copy=arguments.copy, on_phrase=advance)
    show_counts(arguments.out, counts)
