"""The files of a new data set: annotations of the splits, which image is in which, what was guessed, and last the config."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from eocore.onboarding.choices import CHAT, REFERRING, SPLITS, Findings
from eocore.onboarding.config_text import SAME_WORDS, SplitData, config_text, config_values, dataset_config, scored_as
from eocore.onboarding.entries import FILES, Sample, entry_text, short_answers
from eocore.onboarding.sources import NamedImages

WATCHED = {SAME_WORDS, REFERRING}
"""Tasks whose answers are scored while a model trains: quick, and without further libraries."""
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


def plan_files(
    made: Sequence[MadeEntry],
    named: NamedImages,
    *,
    base: tuple[str, Config],
    config: Path,
    comments: Sequence[str],
    findings: Findings,
) -> dict[Path, str]:
    """File -> content, in the order in which they are written: nothing is written that a later one would make wrong.

    Args:
        made: entries with their splits.
        named: where the config finds images.
        base: from `config_text.read_base`.
        config: file.
        comments: lines above a YAML config.
        findings: takes how answers are scored; written too.

    Raises:
        ConfigError: the base does not fit.
    """
    folder = config.with_suffix("")
    sources = {role: dict(source) for role, source in named.sources.items()}
    files: dict[Path, str] = {folder / SPLITS_FILE: _split_table(made)}
    for role, index in named.indexes.items():
        path = folder / f"images_{role}.json"
        sources[role]["index"] = str(path)
        files[path] = json.dumps(index, indent=1) + "\n"
    groups: dict[tuple[str, str], list[MadeEntry]] = defaultdict(list)
    for item in made:
        groups[item.split, item.task].append(item)
    for (split, task), items in groups.items():
        files[folder / split / FILES[task]] = entry_text([item.entry for item in items], FILES[task])
    values = config_values(base, _split_data(made, groups, folder=folder, sources=sources, findings=findings), folder=folder)
    files[folder / GUESSES_FILE] = json.dumps(asdict(findings), indent=1) + "\n"
    files[config] = config_text(values, comments) if config.suffix != ".json" else json.dumps(values, indent=1) + "\n"
    return files


def _split_data(
    made: Sequence[MadeEntry],
    groups: Mapping[tuple[str, str], Sequence[MadeEntry]],
    *,
    folder: Path,
    sources: Mapping[str, Mapping[str, Any]],
    findings: Findings,
) -> SplitData:
    """The data sets of the config, of the splits and tasks that there are."""
    scored = {task: _scoring(task, made, findings=findings) for task in dict.fromkeys(item.task for item in made)}
    found: dict[str, dict[str, dict[str, Any]]] = {
        split: {
            task: dataset_config(task, folder / split, images=sources, scored=scored[task], training=split == "train")
            for task in scored
            if (split, task) in groups
        }
        for split in SPLITS
    }
    if not found["test"]:
        findings.unsure.append("nothing is in test: the config describes no evaluation")
    metrics = sorted({scored[task] for task in found["val"]} & WATCHED)
    return SplitData(found["train"], list(found["val"].values()), list(found["test"].values()), metrics)


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
