"""Benchmarks run on a model: each in a folder of its own, shared among ranks, resumed where it was stopped, scored at the end."""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.data.io.file_digests import stamp
from eocore.data.transforms import ChooseModalities
from eocore.distributed import Ranks, together
from eocore.errors import ConfigError, DataError, EOError, OutputError
from eocore.evaluate.benchmarks.catalogue import Benchmark, check_count, require_data
from eocore.evaluate.engine.digests import model_digests
from eocore.evaluate.engine.inputs import REPORTS, Inputs, image_order, read_data
from eocore.evaluate.engine.job import Job, Model, Part, claim, predict_job
from eocore.evaluate.engine.manifest import Manifest, code_commit
from eocore.evaluate.engine.responders import ResponseOptions
from eocore.evaluate.engine.run_options import Outcome, RunOptions, State
from eocore.evaluate.engine.sharing import held
from eocore.evaluate.tasks import GENERATES, SCORES, protocol_of
from eocore.text import did_you_mean


def run_benchmarks(benchmarks: Sequence[Benchmark], options: RunOptions, *, predictor: Any, ranks: Ranks) -> list[Outcome]:
    """Runs one after the other; one that cannot be run does not stop the others.

    Args:
        benchmarks: to run.
        options: of the run.
        predictor: of the model, see `eocore.evaluate.protocols`; its weights are read when there is something to predict.
        ranks: the processes that share each benchmark.

    Raises:
        OutputError: results cannot be written; what was predicted is kept.
    """
    digests_of_model = ranks.gather(model_digests(options.model) if ranks.is_first else {})[0]
    model = Model(predictor)
    outcomes = []
    for benchmark in benchmarks:
        state: State = "skipped"
        try:
            protocol = protocol_of(benchmark.task, predictor, wanted_by=f"benchmark '{benchmark.name}'")
            together(ranks, partial(require_data, benchmark, options.data_root))
            state = "failed"
            with held(options.out / benchmark.name, ranks):
                if benchmark.name in (options.prompts or {}):
                    check_use_of_prompt((options.prompts or {})[benchmark.name], benchmark, protocol=protocol)
                run = _BenchmarkRun(adapt(benchmark, options), options, protocol, digests_of_model)
                done = predict_job(run.prepare(ranks), model, ranks=ranks)
                outcomes.append(Outcome(benchmark.name, "done", done.left_out))
        except OutputError:
            raise  # no other benchmark could be written either
        except EOError as error:
            outcomes.append(Outcome(benchmark.name, state, str(error)))
    return outcomes


QUESTION = "{question}"
"""Where a prompt holds the question of an entry."""
PLACEHOLDER = re.compile(r"\{\w*\}")


def check_prompts(prompts: Mapping[str, str], chosen: Sequence[Benchmark]) -> None:
    """Raise ConfigError if a prompt is for none of the chosen benchmarks, which would be asked something else than is meant."""
    names = [benchmark.name for benchmark in chosen]
    for name in prompts:
        if name not in names:
            raise ConfigError(f"--prompt {name}=...: no such benchmark is run.{did_you_mean(name, names)} Choices: {', '.join(names)}.")


def check_use_of_prompt(prompt: str, benchmark: Benchmark, *, protocol: str) -> None:
    """Raise ConfigError if a model is evaluated through a protocol that asks nothing, so that the prompt would change nothing."""
    if protocol != GENERATES:
        instead = "Its texts are made by --templates" if protocol == SCORES else "Its texts are those of the annotations"
        raise ConfigError(
            f"--prompt {benchmark.name}={prompt}: this model is not asked in words (it {protocol}), so the prompt would change nothing. "
            f"{instead}; leave the prompt out."
        )


def check_placeholders(prompt: str, source: RecordDataset) -> None:
    """Raise ConfigError if a placeholder of a prompt is still in what would be asked, in braces, since the data set does not know it."""
    left = [name for name in dict.fromkeys(PLACEHOLDER.findall(prompt)) if any(name in record.turns[0].text for record in source.records)]
    if left:
        raise ConfigError(
            f"--prompt {source.name}={prompt}: {', '.join(left)} stands for nothing in this benchmark, and the model would be asked with "
            f"the braces. Placeholders: {{question}}, {{phrase}}, {{classes}}, as far as its entries have them (docs/evaluation.md)."
        )


MAX_FRAMES_FIELD = "max_frames_num"
"""Field of data sets that show videos."""


def adapt(benchmark: Benchmark, options: RunOptions) -> Benchmark:
    """The benchmark with the run's choices of prompt, settings and longest answer.

    Raises:
        ConfigError: it has none of the settings.
    """
    settings = {name: value for name, value in benchmark.settings.items() if not options.settings or name in options.settings}
    if not settings:
        raise ConfigError(
            f"benchmark '{benchmark.name}' has the settings {', '.join(benchmark.settings)}, none of {', '.join(options.settings)}. "
            "Choose among its own (--settings)."
        )
    own = benchmark.mask_prompt if options.boxes_by_masks and benchmark.mask_prompt else benchmark.prompt
    prompt = (options.prompts or {}).get(benchmark.name, own)
    longest = options.max_new_tokens or benchmark.max_new_tokens
    return replace(benchmark, settings=settings, prompt=prompt, max_new_tokens=longest, dataset=_with_frames(benchmark, options))


def _with_frames(benchmark: Benchmark, options: RunOptions) -> Mapping[str, Any]:
    """The benchmark's data set with the run's number of frames. Raises ConfigError where it shows no videos."""
    if options.max_frames_num is None:
        return benchmark.dataset
    if MAX_FRAMES_FIELD not in benchmark.dataset:
        raise ConfigError(f"--max-frames-num {options.max_frames_num}: benchmark '{benchmark.name}' shows no videos. Leave it out.")
    return {**benchmark.dataset, MAX_FRAMES_FIELD: options.max_frames_num}


def show_only(source: RecordDataset, setting: str, *, roles: Sequence[str]) -> RecordDataset:
    """The same samples with the images of one setting."""
    shown = copy.copy(source)
    shown.built_transforms = [*source.built_transforms, ChooseModalities(settings={setting: roles})]
    return shown


@dataclass(frozen=True)
class _BenchmarkRun:
    """One benchmark on its way to a job."""

    benchmark: Benchmark
    options: RunOptions
    protocol: str
    digests_of_model: Mapping[str, str]

    def prepare(self, ranks: Ranks) -> Job:
        """Reads the annotations, checks the count, digests annotations and images, clears or keeps what is in the folder, writes run.json.

        Raises:
            DataError: another number of samples than published, or the folder holds another run.
            AnnotationError: the annotations break their form.
        """
        source = together(ranks, self._read)
        inputs = self._inputs(source, ranks)
        job = Job(
            name=self.benchmark.name,
            folder=self.options.out / self.benchmark.name,
            manifest=self._manifest(source, inputs),
            parts=[Part(name, self._shown(source, name), self.protocol) for name in self.benchmark.settings],
            responses=ResponseOptions(max_new_tokens=self.benchmark.max_new_tokens, templates=tuple(self.options.templates)),
            batch_size=self.options.batch_size,
            reports=[self.options.out / name for name in REPORTS],
        )
        together(ranks, lambda: claim(job, inputs, overwrite=self.options.overwrite) if ranks.is_first else None)
        return job

    def _shown(self, source: RecordDataset, setting: str) -> RecordDataset:
        lacking = set(self._lacking(source).get(setting, ()))
        records = [record for record in source.records if record.sample_id not in lacking]
        return show_only(source.with_records(records), setting, roles=self.benchmark.settings[setting])

    def _lacking(self, source: RecordDataset) -> dict[str, list[str]]:
        """Setting -> ids of the samples that have not all of its images, in a file of a user's own, whose lines say what they have; what a
        published set lacks is not left out but counted as missing."""
        if not self.benchmark.named:
            return {}
        found = {
            setting: [record.sample_id for record in source.records if not set(roles) <= set(record.roles)]
            for setting, roles in self.benchmark.settings.items()
        }
        return {setting: ids for setting, ids in found.items() if ids}

    def _read(self) -> RecordDataset:
        source = self.benchmark(data_root=self.options.data_root, limit=self.options.limit)
        if self.benchmark.name in (self.options.prompts or {}):
            check_placeholders(self.benchmark.prompt, source)
        wrong = check_count(self.benchmark, len(source))
        if wrong and not self.options.any_count and self.options.limit is None:
            raise DataError(wrong)
        return source

    def _inputs(self, source: RecordDataset, ranks: Ranks) -> Inputs:
        benchmark, options = self.benchmark, self.options
        choices = {
            "dataset": benchmark.config(""),
            "prompt": benchmark.prompt,
            "settings": dict(benchmark.settings),
            "max_new_tokens": benchmark.max_new_tokens,
            "limit": options.limit,
            **image_order([benchmark.config("")]),
            **({"generation": dict(options.generation)} if options.generation else {}),
            **({"dtype": options.dtype} if options.dtype else {}),
            **({"templates": list(options.templates)} if self.protocol == SCORES else {}),
        }
        roles = {name for shown in benchmark.settings.values() for name in shown}
        data, paths = read_data(source, benchmark.config(options.data_root), modalities=sorted(roles), ranks=ranks)
        return Inputs(model=self.digests_of_model, data=data, choices=choices, paths=paths)

    def _manifest(self, source: RecordDataset, inputs: Inputs) -> Manifest:
        benchmark, options = self.benchmark, self.options
        return Manifest(
            run_id=inputs.run_id,
            benchmark=benchmark.name,
            named=benchmark.named or benchmark.name,
            title=benchmark.title,
            task=benchmark.task,
            metric=dict(benchmark.metric if self.protocol == GENERATES else benchmark.vector_metric),
            settings=list(benchmark.settings),
            sample_ids=[record.sample_id for record in source.records],
            system=options.system,
            model=str(options.model),
            data_root=options.data_root,
            expected=benchmark.expected,
            commit=code_commit(),
            notes=self._notes(source),
            lacking=self._lacking(source),
            model_stamp=stamp(inputs.model),
            data_sha256=stamp(inputs.data),
            config_sha256=stamp(inputs.choices),
            inputs=asdict(inputs),
        )

    def _notes(self, source: RecordDataset) -> list[str]:
        benchmark, options, count = self.benchmark, self.options, len(source)
        wrong = check_count(benchmark, count)
        notes = [f"{count} samples, not the {benchmark.expected} of the published test set."] if wrong else []
        for setting, ids in self._lacking(source).items():
            roles = ", ".join(benchmark.settings[setting])
            notes.append(f"'{setting}' ({roles}) leaves out {len(ids)} of {count} samples, which lack one of its images.")
        if benchmark.named and QUESTION in benchmark.prompt and benchmark.prompt != QUESTION:
            notes.append(f"Each question is asked as {benchmark.prompt!r}; --prompt {benchmark.name}=TEXT asks otherwise.")
        if options.limit is not None:
            notes.append(f"Only the first {options.limit} samples were asked for.")
        if options.dtype:
            notes.append(f"Answered in {options.dtype}.")
        if options.generation:
            notes.append(f"Generated with {', '.join(f'{name}={value}' for name, value in options.generation.items())}.")
        if options.boxes_by_masks and benchmark.mask_prompt:
            notes.append("Boxes are the bounds of the masks that the model draws.")
        if self.protocol == SCORES:
            notes.append(f"Classes by their scores; of a model that reads text, with {len(options.templates)} templates a class.")
        return notes
