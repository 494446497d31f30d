"""Writing a new data set: annotation files of the splits, which image is in which, what was guessed, and last the config."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from eocore.files import write_file
from eocore.onboarding.choices import CHAT, REFERRING, SPLITS, Findings
from eocore.onboarding.config_text import SAME_WORDS, config_text, config_values, dataset_config, scored_as
from eocore.onboarding.entries import FILES, Sample, entry_text, short_answers
from eocore.onboarding.sources import NamedImages

SPLITS_FILE, GUESSES_FILE = "splits.csv", "guesses.json"


@dataclass(frozen=True)
class MadeEntry:
    """An entry with what it was made of.

    Attributes:
        task: one of TASKS.
        sample: row and images.
        entry: of the annotation file.
        place: representative of the images that show its place.
        split: of the place.
    """

    task: str
    sample: Sample
    entry: Mapping[str, Any]
    place: str = ""
    split: str = ""

    def placed(self, place: str, split: str) -> "MadeEntry":
        """The entry with its place and split."""
        return replace(self, place=place, split=split)


def write_dataset(
    made: Sequence[MadeEntry],
    named: NamedImages,
    *,
    base: tuple[str, Config],
    config: Path,
    comments: Sequence[str],
    findings: Findings,
) -> None:
    """Writes the folder, then the config.

    Args:
        made: entries with their splits.
        named: where the config finds images.
        base: from `config_text.read_base`.
        config: file.
        comments: lines above a YAML config.
        findings: takes how answers are scored; written too.

    Raises:
        OutputError: something cannot be written.
    """
    folder = config.with_suffix("")
    sources = _write_indexes(named, folder)
    groups: dict[tuple[str, str], list[MadeEntry]] = defaultdict(list)
    for item in made:
        groups[item.split, item.task].append(item)
    for (split, task), items in groups.items():
        write_file(folder / split / FILES[task], entry_text([item.entry for item in items], FILES[task]))
    scored = {task: _scoring(task, made, findings=findings) for task in dict.fromkeys(item.task for item in made)}
    parts = {
        task: dataset_config(task, folder / "train", images=sources, scored=scored[task], training=True)
        for task in scored
        if ("train", task) in groups
    }
    tests = [
        dataset_config(task, folder / "test", images=sources, scored=scored[task], training=False)
        for task in scored
        if ("test", task) in groups
    ]
    if not tests:
        findings.unsure.append("nothing is in test: the config describes no evaluation")
    values = config_values(base, parts, tests=tests, folder=folder)
    write_file(folder / SPLITS_FILE, _split_table(made))
    write_file(folder / GUESSES_FILE, json.dumps(asdict(findings), indent=1) + "\n")
    write_file(config, config_text(values, comments) if config.suffix != ".json" else json.dumps(values, indent=1) + "\n")


def _write_indexes(named: NamedImages, folder: Path) -> dict[str, dict[str, Any]]:
    """The image sources, with the files of indexes where patterns do not tell."""
    sources = {role: dict(source) for role, source in named.sources.items()}
    for role, index in named.indexes.items():
        path = folder / f"images_{role}.json"
        write_file(path, json.dumps(index, indent=1) + "\n")
        sources[role]["index"] = str(path)
    return sources


def _scoring(task: str, made: Sequence[MadeEntry], *, findings: Findings) -> str:
    """Task of the evaluation; for a chat it is told from the length of its answers."""
    if task == REFERRING:
        return task
    short = short_answers([item.entry for item in made if item.task == task])
    scored = scored_as(task, short=short)
    if task == CHAT:
        how = "of a few words: scored word by word" if scored == SAME_WORDS else "long: predicted, without a score of its own"
        findings.guessed.append(f"answers are {how} (`task` of the data sets in the config)")
    return scored


def _split_table(made: Sequence[MadeEntry]) -> str:
    """CSV: each image once, with its group, the place that it belongs to and the split."""
    rows = {(image.path, group): (item.place, item.split) for item in made for group, image in item.sample.images.items()}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "group", "place", "split"))
    for (path, group), (place, split) in sorted(rows.items(), key=lambda row: (SPLITS.index(row[1][1]), row[0])):
        writer.writerow((path, group, place, split))
    return text.getvalue()
