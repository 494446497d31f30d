"""The contract between the core and a system: what a package provides, and how it is found.

A system is a package with a module `system` that holds `SYSTEM`, named by an entry point of the group `eocore.systems`. Whatever is
installed is found; nothing here lists systems. The functions of `SYSTEM` import when they are called, so that naming a system is cheap.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from eocore.checkout import CHECKOUT
from eocore.dependencies import check_dependencies
from eocore.errors import ConfigError

if TYPE_CHECKING:  # a system is named without importing torch
    from mmengine.config import Config

    from eocore.checkpoints.exchange import ExportPlan, ExportRequest, ImportPlan, ImportRequest
    from eocore.export.hf import Shipment
    from eocore.hub_files import HubFiles, ZenodoFiles
    from eocore.predict.answers import Prediction
    from eocore.sensors.scene import Scene
    from eocore.train.planning.batches import SampleWork
    from eocore.train.planning.estimate import StepShape
    from eocore.train.task import Task

GROUP = "eocore.systems"
"""Of entry points whose names are systems and whose values are `package.system:SYSTEM`."""
DISTRIBUTION = "eocore-earthmind"
INT8 = "int8"
DTYPES = ("float32", "bfloat16", INT8)
"""In what a model answers; int8: the weights of its language model, on a CPU, with float32 elsewhere."""
MODEL_CONFIG, ADAPTER_CONFIG = "config.json", "adapter_config.json"

Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True)
class PredictorOptions:
    """How a converted model is loaded and answers.

    Attributes:
        device: as torch names it; None = the GPU of this process if there is one.
        float32_on_cpu: compute in float32 on a CPU, whatever the weights are saved in.
        dtype: of `DTYPES`; None = as saved, but for `float32_on_cpu`.
        generation: how text is generated, in the system's options.
        num_tiles: most tiles of an image, for systems that cut images; None = as the model was made.
        image_memory_mib: room for what was computed of images, for the next question about them, in systems that can [MiB]; 0 = none.
    """

    device: str | None = None
    float32_on_cpu: bool = False
    dtype: str | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)
    num_tiles: int | None = None
    image_memory_mib: int = 0


@runtime_checkable
class AnswersImages(Protocol):
    """A predictor that answers single questions about images of any kind: `eo predict`."""

    def predict(self, scenes: "Mapping[str, Scene]", text: str, *, max_new_tokens: int) -> "Prediction":
        """The answer to a question about images, by role. Raises DataError where the model cannot take them."""


@runtime_checkable
class DeclaresRoles(Protocol):
    """Optional beside the others: a predictor that says which images it reads.

    Attributes:
        roles: of the images that the model's processor reads, known before weights are.
    """

    roles: tuple[str, ...]


@runtime_checkable
class ReadsSeries(Protocol):
    """Optional beside the others: a predictor whose model reads images of several moments.

    Attributes:
        reads_series: whether it does.
    """

    reads_series: bool


@runtime_checkable
class Chats(Protocol):
    """A predictor that answers questions about pictures, several together: the harnesses of other projects."""

    def chat(self, questions: Sequence[tuple[Mapping[str, Any], str]], *, max_new_tokens: int) -> list[str]:
        """One text for each (pictures by role, question). Raises DataError where the model cannot take one."""


@dataclass(frozen=True, kw_only=True)
class Planning:
    """What estimates, plans of trainings and checks of data are made from; nothing of it reads weights, and data files where that is said.

    Attributes:
        meta_task: section `task` of a config -> the task on the meta device.
        data_task: config -> the task on the meta device with the training's tokenizer, processor and data, whose loader makes the very
            samples of the training; reads the tokenizer, and annotations when it builds the loader.
        example_batch: (task, shape) -> a batch of that shape, all zeros.
        step_shape: section `task` of a config -> the largest step of its training.
        fake_step: shape -> the context in which a step with fake tensors of that shape runs.
        sample_work: task of one of the first two kinds -> its data, and the sizes and operations of their samples, packed or not: plans of
            trainings. None where sizes are not known before samples are prepared.
    """

    meta_task: "Callable[[Mapping[str, Any]], Task]"
    data_task: "Callable[[Config], Task]"
    example_batch: "Callable[[Any, StepShape], Any]"
    step_shape: "Callable[[Mapping[str, Any]], StepShape]"
    fake_step: "Callable[[StepShape], AbstractContextManager[None]]"
    sample_work: "Callable[[Any], SampleWork] | None" = None


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Weights of upstream models, in and out.

    Attributes:
        plan_import: what a folder made of upstream weights would hold, from the headers of the files.
        layouts: upstream layouts that can be written, the default first.
        plan_export: (model folder, request) -> what the upstream layout would hold.
        recognises: whether a file or folder is of a layout that `plan_import` reads.
    """

    plan_import: "Callable[[ImportRequest], ImportPlan]"
    layouts: tuple[str, ...]
    plan_export: "Callable[[Path, ExportRequest], ExportPlan]"
    recognises: Callable[[Path], bool]


@dataclass(frozen=True, kw_only=True)
class System:
    """What a package provides; what is optional is None where the package has no such thing.

    Attributes:
        name: of the package, as `systems` in configs and command lines name it.
        model_types: the `model_type`s of config.json that its converted models have.
        task: registers everything that configs build by name, and returns the task class.
        predictor: (folder of a converted model, options) -> what answers with it: an object that implements one protocol or more of
            `eocore.evaluate.protocols` (Generates, Scores, Embeds), and of AnswersImages and Chats. It is made without reading weights.
        training_predictor: (task in training, options) -> what answers with its model as it is, by the code of `predictor`; it is asked
            with the weights whole and the model in eval mode, and leaves both alone.
        export: trained task -> what becomes a checkpoint.
        benchmarks: registers what the package adds to evaluation: benchmarks, suites, sensor settings, tasks, scorers. Called before
            answers are predicted, scored, compared, merged or reported; it may be called again.
        planning: returns what estimates and plans of trainings are made from.
        exchange: returns what imports and exports upstream weights.
        downloads: returns name -> files that `eo download` fetches.
    """

    name: str
    model_types: tuple[str, ...]
    task: "Callable[[], type[Task]]"
    predictor: Callable[[Path, PredictorOptions], Any] | None = None
    training_predictor: Callable[[Any, PredictorOptions], Any] | None = None
    export: "Callable[[Any], Shipment] | None" = None
    benchmarks: Callable[[], None] | None = None
    planning: Callable[[], Planning] | None = None
    exchange: Callable[[], Exchange] | None = None
    downloads: "Callable[[], Mapping[str, HubFiles | ZenodoFiles]] | None" = None

    def need(self, part: Part | None, purpose: str) -> Part:
        """The part, or an error where the package has none.

        Args:
            part: one of the fields.
            purpose: what cannot be done without it, for the message: "models of it be converted".

        Raises:
            ConfigError: the part is None.
        """
        if part is None:
            raise ConfigError(f"system '{self.name}' provides no part for it, so {purpose}. Its `SYSTEM` says what there is.")
        return part


def installed_systems() -> dict[str, EntryPoint]:
    """Name -> entry point of every system that is installed, sorted by name.

    Raises:
        ConfigError: two packages provide a system of one name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in _entry_points():
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise ConfigError(f"two installed packages provide a system '{entry.name}': {other.value} and {entry.value}. Uninstall one.")
    return dict(sorted(found.items()))


def _entry_points() -> Iterator[EntryPoint]:
    own = list(_of_checkout(CHECKOUT / "pyproject.toml")) if CHECKOUT else []
    yield from own
    for entry in entry_points(group=GROUP):
        # metadata of an editable installation is as old as the installation; the checkout's own file is what its code belongs to
        if not own or entry.dist is None or entry.dist.name != DISTRIBUTION:
            yield entry


def _of_checkout(project: Path) -> Iterator[EntryPoint]:
    """The systems that the pyproject.toml of this distribution names; none where this package is not in a checkout."""
    if not project.is_file():
        return
    content = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
    if content.get("name") == DISTRIBUTION:
        for name, value in content.get("entry-points", {}).get(GROUP, {}).items():
            yield EntryPoint(name, value, GROUP)


def find_system(name: str) -> System:
    """The installed system of that name.

    Raises:
        ConfigError: there is none, what its entry point names is no system, or a library has a known hole.
    """
    check_dependencies()
    known = installed_systems()
    if name not in known:
        raise ConfigError(f"no system '{name}' is installed. {_list(known)} Install its package, or name one of these.")
    entry = known[name]
    try:
        found = entry.load()
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name not in (entry.module, entry.module.partition(".")[0]):
            raise  # a library that the system needs
        raise ConfigError(
            f"system '{name}' is installed as {entry.value}, which is not there ({error}). Install its package again."
        ) from error
    if not isinstance(found, System) or found.name != name:
        raise ConfigError(f"system '{name}' is installed as {entry.value}, which is no System of that name. Correct its entry point.")
    return found


def find_systems() -> list[System]:
    """Every installed system. Raises ConfigError as `find_system`."""
    return [find_system(name) for name in installed_systems()]


def systems_of_config(config: "Config") -> list[System]:
    """The systems that a config names in `systems`, imported: what they register can be built.

    Raises:
        ConfigError: `systems` is missing or names something else than installed systems (a config must not import other code).
    """
    names = config.get("systems")
    if not isinstance(names, list | tuple):
        raise ConfigError(
            f"{config.filename or 'the config'} has no list 'systems', which is needed (found {names!r}). {_list(installed_systems())} Add "
            "it, e.g. systems = ['earthmind']."
        )
    found = [find_system(str(name)) for name in names]
    for system in found:
        system.task()
    return found


def system_of_config(config: "Config") -> System:
    """The system whose task a config trains: the first of `systems`, all of which are imported. Raises as `systems_of_config`."""
    found = systems_of_config(config)
    if not found:
        raise ConfigError(f"{config.filename or 'the config'} has an empty list 'systems'. {_list(installed_systems())} Name one.")
    return found[0]


def system_of_model(folder: Path) -> System:
    """The system of a converted model, by the `model_type` of its config.json.

    Raises:
        ConfigError: the folder is no converted model, or of no installed system.
    """
    if not (folder / MODEL_CONFIG).is_file():
        if (folder / ADAPTER_CONFIG).is_file():
            raise ConfigError(
                f"{folder}: an adapter without its base, which cannot answer. Make a whole model of both as docs/training.md, 'Adapters "
                "alone', shows, or convert its checkpoint with tools/convert_to_hf.py without --adapter-only."
            )
        raise ConfigError(
            f"{folder}: no folder of a converted model (no {MODEL_CONFIG}). Convert a checkpoint with tools/convert_to_hf.py."
        )
    path = folder / MODEL_CONFIG
    try:
        kind = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{path} is broken ({error}). Convert the model again.") from error
    systems = find_systems()
    for system in systems:
        if kind in system.model_types:
            return system
    types = "; ".join(f"{system.name}: {', '.join(system.model_types)}" for system in systems)
    raise ConfigError(
        f"{path}: model_type {str(kind)[:60]!r} is of no installed system, so nothing here can run the model. Model types by system: "
        f"{types or 'none'}. Name another folder, or install the package of its system."
    )


def _list(names: Iterable[str]) -> str:
    return f"Installed systems: {', '.join(names) or 'none'}."
