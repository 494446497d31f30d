"""Test data of a user's own, named on the command line as `custom:TASK:FILE.jsonl`; `eocore.evaluate.custom_dataset` reads the file."""

from collections.abc import Collection
from pathlib import Path

from eocore.data.formats.entries import read_entries
from eocore.data.formats.images import read_image_refs
from eocore.errors import ConfigError
from eocore.evaluate.benchmarks.catalogue import Benchmark
from eocore.evaluate.benchmarks.grounding import SEGMENT
from eocore.evaluate.custom_dataset import PROMPTS
from eocore.evaluate.settings import SETTINGS
from eocore.evaluate.tasks import TASKS

CUSTOM = "custom:"


def custom_benchmark(name: str) -> Benchmark:
    """The benchmark of `custom:TASK:FILE.jsonl`, named custom_TASK_FILE (FILE without folder and suffix); its settings are what any entry
    has images for, and each applies to the entries that have them all.

    Raises:
        ConfigError: another form, or an unknown task.
        DataError: the file is missing.
        AnnotationError: an entry breaks the form.
    """
    _, _, rest = name.partition(":")
    task, colon, file = rest.partition(":")
    if not colon or task not in PROMPTS or not file.endswith((".jsonl", ".json")):
        raise ConfigError(
            f"'{name}': expected custom:TASK:FILE.jsonl, with TASK one of {', '.join(item for item in TASKS if item in PROMPTS)}."
        )
    path = Path(file).resolve()
    entries = read_entries(path)
    present = [{ref.role for ref in read_image_refs(entry, path.parent)} for entry in entries]
    settings: dict[str, list[str]] = {}
    for roles in sorted(set(map(frozenset, present)), key=lambda roles: ("multispectral" in roles, sorted(roles))):  # it decides `fused`
        settings.update(settings_of(roles))
    shown = sorted(set().union(*present))
    if shown and not settings:
        raise ConfigError(
            f"{path}: no sensor setting shows its images ({', '.join(shown)}). Name their roles after one of {SETTINGS}, or rgb; a system "
            "may register others."
        )
    return Benchmark(
        name=f"custom_{task}_{path.stem}",
        named=f"{CUSTOM}{task}:{path}",
        title=f"{path.name} ({task})",
        task=task,
        prompt=PROMPTS[task],
        mask_prompt=SEGMENT if task == "grounding" else "",
        settings={name: settings[name] for name in SETTINGS if name in settings} or {"optical": ["rgb"]},
        dataset={"type": "CustomDataset", "annotations": str(path), "task": task, "prompt": "$prompt"},
    )


def settings_of(modalities: Collection[str]) -> dict[str, list[str]]:
    """The settings that records with these modalities can be shown under; a role that a setting is named after is shown alone under it."""
    single = {"optical": "rgb", "multispectral": "multispectral", "sar": "sar"}
    settings = {name: [modality] for name, modality in single.items() if modality in modalities}
    settings |= {role: [role] for role in modalities if role in SETTINGS}
    optical = [name for name in ("multispectral", "rgb") if name in modalities][:1]
    if optical and "sar" in modalities:
        settings["fused"] = [*optical, "sar"]
    return settings
