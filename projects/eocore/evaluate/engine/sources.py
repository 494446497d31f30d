"""The data sets of a config under its sensor settings: which records are asked under which, each question a sample of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eocore.config import read_options
from eocore.data import transforms as _transforms  # noqa: F401  (registers what data sets name)
from eocore.data.dataset import RecordDataset
from eocore.data.records import Record
from eocore.data.single_questions import TURNS_MODES, TurnsMode, count_questions, split_questions
from eocore.errors import ConfigError, DataError
from eocore.evaluate.protocols import TEMPLATES
from eocore.evaluate.settings import SETTINGS
from eocore.registry import DATASETS
from eocore.system import DTYPES

OWN_SETTINGS = "settings"
"""Key of a data set's config that only evaluation reads."""


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Config section `evaluation`.

    Attributes:
        datasets: configs of the registry DATASETS; a key `settings` in one, a list of names, says under which of `settings` it is asked.
        settings: name, one of `SETTINGS` -> roles of the images fed. A setting applies to the records that have images of all of them.
        batch_size: samples answered together.
        max_new_tokens: longest answer.
        seed: of transforms that draw.
        generation: how the model generates, in its system's options.
        dtype: of `eocore.system.DTYPES`, in which the model answers; None = as saved.
        templates: texts with `{label}` in place of a class's name, for a model that scores classes; several make a prompt ensemble.
        turns: how the questions of records of several turns are asked, each a sample of its own: "each" by itself, "dialogue" after
            the questions and true answers before it.
    """

    datasets: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Sequence[str]]
    batch_size: int = 8
    max_new_tokens: int = 256
    seed: int = 0
    generation: Mapping[str, Any] = field(default_factory=dict)
    dtype: str | None = None
    templates: Sequence[str] = TEMPLATES
    turns: TurnsMode = "each"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.settings) - set(SETTINGS))
        if unknown or not self.settings:
            raise ConfigError(f"evaluation.settings names {unknown or 'nothing'}; choices: {SETTINGS}.")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ConfigError(f"evaluation.dtype is {self.dtype!r}; choices: {', '.join(DTYPES)}.")
        if self.turns not in TURNS_MODES:
            raise ConfigError(f"evaluation.turns is {self.turns!r}; choices: {', '.join(TURNS_MODES)}.")
        for name in ("batch_size", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"evaluation.{name} is {getattr(self, name)}; expected at least 1.")


def read_evaluation(section: Mapping[str, Any]) -> EvaluationOptions:
    """The options of a config's `evaluation` section."""
    return read_options(EvaluationOptions, section, name="evaluation")


@dataclass(frozen=True)
class Source:
    """A data set under one setting.

    Attributes:
        setting: one of SETTINGS.
        dataset: the records that have the setting's images, with these alone; each asks one question.
        number: of the data set in the config.
        left_out: questions of records that lack an image of the setting.
        conversations: records of several questions, before they were taken apart.
    """

    setting: str
    dataset: RecordDataset
    number: int
    left_out: int
    conversations: int


def build_sources(options: EvaluationOptions) -> Iterator[tuple[str, RecordDataset]]:
    """(setting, data set) of `find_sources`."""
    for source in find_sources(options):
        yield source.setting, source.dataset


def find_sources(options: EvaluationOptions) -> Iterator[Source]:
    """Every data set under every setting that applies to any of its records.

    Raises:
        ConfigError: a data set without records of its own (a mixture), two in which samples of one task share an id, or a data set that
            names settings that there are not.
        DataError: a setting applies to no record of any data set, or a data set has no setting.
    """
    asked_somewhere: set[int] = set()
    for setting, roles in options.settings.items():
        choose = {"type": "ChooseModalities", "settings": {setting: list(roles)}}
        taken: dict[tuple[str, str], RecordDataset] = {}
        found = []
        for number, config in enumerate(options.datasets):
            if setting in own_settings(config, options):
                whole = _build(config, choose)
                records = [part for record in whole.records for part in split_questions(record, turns=options.turns)]
                fit = [record for record in records if set(roles) <= set(record.roles)]
                conversations = sum(count_questions(record) > 1 for record in whole.records)
                _claim_ids(whole, records, taken=taken)
                if fit:
                    found.append(Source(setting, whole.with_records(fit), number, len(records) - len(fit), conversations))
        if not found:
            raise DataError(
                f"evaluation.settings: '{setting}' shows images of {', '.join(roles)}, and no record of the data sets has them all. Leave "
                "the setting out, name other roles, or fetch the images."
            )
        asked_somewhere.update(source.number for source in found)
        yield from found
    lost = [str(config.get("annotations", number)) for number, config in enumerate(options.datasets) if number not in asked_somewhere]
    if lost:
        raise DataError(
            f"evaluation.datasets: no setting applies to {', '.join(lost)}, so nothing of it would be asked. Add a setting of the images "
            "that its records have, or leave it out."
        )


def own_settings(config: Mapping[str, Any], options: EvaluationOptions) -> Sequence[str]:
    """The settings that a data set is asked under: its own choice, or all.

    Raises:
        ConfigError: it names others than there are.
    """
    chosen = config.get(OWN_SETTINGS)
    if chosen is None:
        return list(options.settings)
    if not isinstance(chosen, list | tuple) or not chosen or not set(chosen) <= set(options.settings):
        raise ConfigError(
            f"evaluation.datasets: `settings` of {config.get('annotations', config.get('type'))} is {chosen!r}; expected a list of some of "
            f"evaluation.settings: {', '.join(options.settings)}."
        )
    return list(chosen)


def describe_sources(sources: Iterable[Source], options: EvaluationOptions) -> list[str]:
    """What a reader of the scores must know: records that a setting left out, and conversations that were taken apart."""
    notes: dict[str, None] = {}
    for source in sources:
        name, roles = source.dataset.name, ", ".join(options.settings[source.setting])
        if source.left_out:
            count = source.left_out + len(source.dataset)
            notes[
                f"'{source.setting}' ({roles}) leaves out {source.left_out} of {count} samples of '{name}', which lack one of its images."
            ] = None
        if source.conversations:
            how = "by itself" if options.turns == "each" else "after the questions and true answers before it"
            notes[f"{source.conversations} records of '{name}' hold several questions: each is a sample of its own, asked {how}."] = None
    return list(notes)


def _build(config: Mapping[str, Any], choose: Mapping[str, Any]) -> RecordDataset:
    kept = {name: value for name, value in config.items() if name != OWN_SETTINGS}
    source: Any = DATASETS.build({**kept, "transforms": [*config.get("transforms", ()), choose]})
    if not isinstance(source, RecordDataset):
        raise ConfigError(f"evaluation.datasets holds a {type(source).__name__}, which has no records of its own. Name its parts.")
    return source


def _claim_ids(source: RecordDataset, records: Iterable[Record], *, taken: dict[tuple[str, str], RecordDataset]) -> None:
    """Notes whose the ids are: predictions are told apart by task and id, so the second of a pair would never be predicted."""
    own: set[tuple[str, str]] = set()
    for record in records:
        key = (record.task, record.sample_id)
        owner = taken.setdefault(key, source)
        if owner is not source or key in own:
            raise ConfigError(
                f"evaluation.datasets: sample '{record.sample_id}' ({record.task}) is in '{owner.name}' and in '{source.name}', and only "
                "one of them would be predicted. Give them other ids, or evaluate them one after the other."
            )
        own.add(key)
