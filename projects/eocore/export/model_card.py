"""The model card (README.md) of a checkpoint: what it is, what it was made from and how it scored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from huggingface_hub import ModelCardData
from typing_extensions import TypedDict

from eocore.errors import ConfigError
from eocore.evaluate.reporting.tables import mask_table, score_table, to_markdown, type_table
from eocore.evaluate.scoring.scores import Scores
from eocore.json_fields import OPEN, parse_fields

PIPELINE = "image-text-to-text"
TAGS = ["remote-sensing", "earth-observation", "custom_code"]
FENCE = "~~~"


@dataclass(frozen=True)
class Dataset:
    """One dataset of a training mixture, as the config names it."""

    name: str
    kind: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card says.

    Attributes:
        title: of the model.
        usage: Markdown that shows how to call it.
        num_parameters: of the model as written.
        dtype: of the weights as written.
        config: the whole training config.
        config_name: its file name.
        checkpoint: name of the training checkpoint.
        num_merged: layers whose LoRA update was merged.
        scores: None where the model was not scored.
    """

    title: str
    usage: str
    num_parameters: int
    dtype: str
    config: Mapping[str, Any]
    config_name: str
    config_text: str
    checkpoint: str
    num_merged: int
    scores: Scores | None


def write_card(facts: CardFacts) -> str:
    """The card's text: metadata, then what it is, use, data, base weights, training, scores."""
    metadata = ModelCardData(library_name="transformers", pipeline_tag=PIPELINE, tags=TAGS).to_yaml()
    merged = f" LoRA updates of {facts.num_merged} layers are merged into the weights." if facts.num_merged else ""
    sections = [
        f"---\n{metadata}\n---\n\n# {facts.title}",
        f"{facts.num_parameters / 1e6:,.1f} million parameters, {facts.dtype}, from the training checkpoint `{facts.checkpoint}`.{merged}",
        "## Use\n\n" + facts.usage.strip(),
        "## Data\n\n" + _data(facts.config),
        "## Base weights\n\n" + _base_weights(facts.config),
        "## Scores\n\n" + (_scores(facts.scores) if facts.scores else "This checkpoint was not scored when it was written."),
        f"## Training config\n\n`{facts.config_name}`, resolved:\n\n{FENCE}python\n{facts.config_text.strip()}\n{FENCE}",
    ]
    return "\n\n".join(sections) + "\n"


def _data(config: Mapping[str, Any]) -> str:
    datasets = list(find_datasets(config.get("task", {}).get("data")))
    if not datasets:
        return "The training config names no data."
    rows = [f"| {dataset.name} | {dataset.kind} | {dataset.weight:g} |" for dataset in datasets]
    return "\n".join(["| dataset | format | weight |", "|---|---|---|", *rows])


def find_datasets(data: Any, *, name: str = "", weight: float = 1.0) -> Iterator[Dataset]:
    """The datasets of a `data` config, in order: whatever has annotations, at any depth of mixtures.

    Args:
        data: config of the registry DATASETS, or None.
        name: what a mixture calls it; without one the annotation file's name counts.
        weight: what a mixture weights it by.
    """
    if not isinstance(data, Mapping):
        return
    if "annotations" in data:
        yield Dataset(name or Path(str(data["annotations"])).name, str(data.get("type", "")), weight)
    for part in data.get("parts", ()):
        yield from find_datasets(part.get("data"), name=str(part.get("name", "")), weight=weight * float(part.get("weight", 1.0)))


def _base_weights(config: Mapping[str, Any]) -> str:
    found = list(_find_key(config.get("task", {}).get("model"), "pretrained"))
    return "\n".join(f"- {path}" for path in found) if found else "None: trained from scratch."


def _find_key(node: Any, key: str) -> Iterator[str]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == key and value is not None:
                yield str(value)
            yield from _find_key(value, key)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from _find_key(value, key)


def _scores(scores: Scores) -> str:
    tables = [table for table in (score_table(scores), type_table(scores), mask_table(scores)) if table.rows]
    return "\n\n".join(to_markdown(table).strip() for table in tables)


class _ScoresFile(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    settings: dict[str, Any]


def read_scores(path: Path) -> Scores:
    """Scores as the evaluation wrote them.

    Raises:
        ConfigError: there is no such file.
        DataError: it is no JSON object with `settings`.
    """
    if not path.is_file():
        raise ConfigError(f"{path} does not exist, so the card cannot show its scores. Give the scores.json of an evaluation.")
    content = parse_fields(path.read_bytes(), _ScoresFile, source=str(path), remedy="Give the scores.json of an evaluation.")
    return cast("Scores", content)
