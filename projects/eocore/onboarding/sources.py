"""How a config names the images of samples: a pattern where names agree, else an index of files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eocore.data.image_sources import stem_of
from eocore.errors import ConfigError
from eocore.onboarding.entries import Sample
from eocore.onboarding.images import TOP, FoundImage
from eocore.onboarding.sensors import SensorChoice


@dataclass(frozen=True)
class NamedImages:
    """What annotations and config say of images.

    Attributes:
        names: of the images of each sample, in the samples' order.
        sources: role -> fields of `eocore.data.image_sources.ImageSource`; `index` is left to who writes it.
        indexes: role -> name -> path below the root, where patterns do not tell.
    """

    names: list[str]
    sources: dict[str, dict[str, Any]]
    indexes: dict[str, dict[str, str]] = field(default_factory=dict)


def check_roles(sensors: Mapping[str, SensorChoice]) -> None:
    """Raise ConfigError if two groups have one role: a model takes one image of each."""
    owners: dict[str, str] = {}
    for label, choice in sensors.items():
        other = owners.setdefault(choice.role, label)
        if other != label:
            raise ConfigError(
                f"{label} and {other} are both {choice.role} images of a sample, of which a model reads one. Leave one out (--leave-out "
                f"{label}), or give it another role (--role {label}=NAME) that the model knows."
            )


def name_images(samples: Sequence[Sample], sensors: Mapping[str, SensorChoice], *, root: Path) -> NamedImages:
    """Names of the samples' images, and where the config finds them.

    Args:
        samples: at least one.
        sensors: group -> what its images are read as, the anchor's group first.
        root: folder of the paths.
    """
    if len(sensors) == 1:
        (choice,) = sensors.values()
        return NamedImages([sample.anchor.path for sample in samples], {choice.role: _source(root, choice, pattern="{name}")})
    patterns = {label: _pattern(label, samples, root=root) for label in sensors}
    if all(patterns.values()):
        sources = {}
        for label, choice in sensors.items():
            folder, pattern = patterns[label] or ("", "")
            optional = any(label not in sample.images for sample in samples)
            sources[choice.role] = _source(root / folder, choice, pattern=pattern) | ({"optional": True} if optional else {})
        return NamedImages([sample.anchor.name for sample in samples], sources)
    return _indexed(samples, sensors, root=root)


def _source(root: Path, choice: SensorChoice, **more: Any) -> dict[str, Any]:
    bands = {"bands": list(choice.bands)} if choice.bands else {}
    return {"root": str(root), **more, "sensor": choice.sensor, **bands}


def _pattern(label: str, samples: Sequence[Sample], *, root: Path) -> tuple[str, str] | None:
    """(folder, pattern) by which the name of each sample's anchor finds its image of a group, and none where it has none; or nothing."""
    found = {_rest(sample.images[label], sample.anchor.name) for sample in samples if label in sample.images}
    if len(found) != 1:
        return None
    folder, ending = found.pop()
    if ending is None or any(sample.anchor.name != stem_of(sample.anchor.name) for sample in samples) or "{" in ending or "*" in ending:
        return None
    absent = [sample.anchor.name for sample in samples if label not in sample.images]
    if any((root / folder / f"{name}{ending}").exists() for name in absent):
        return None
    return ("" if folder == TOP else folder), "{stem}" + ending


def _rest(image: FoundImage, name: str) -> tuple[str, str | None]:
    """(folder, what follows `name` in the file's name); None where the file's name does not begin with it."""
    base = os.path.basename(image.path)
    return image.folder, base.removeprefix(name) if base.startswith(name) else None


def _indexed(samples: Sequence[Sample], sensors: Mapping[str, SensorChoice], *, root: Path) -> NamedImages:
    known: dict[tuple[tuple[str, str], ...], str] = {}
    indexes: dict[str, dict[str, str]] = {choice.role: {} for choice in sensors.values()}
    names = []
    for sample in samples:
        key = tuple((label, image.path) for label, image in sample.images.items())
        if key not in known:
            taken = sum(name.partition("+")[0] == sample.anchor.path for name in known.values())
            known[key] = sample.anchor.path + (f"+{taken}" if taken else "")
            for label, image in sample.images.items():
                indexes[sensors[label].role][known[key]] = image.path
        names.append(known[key])
    incomplete = {role for role, index in indexes.items() if len(index) < len(known)}
    sources = {
        choice.role: _source(root, choice, **({"optional": True} if choice.role in incomplete else {})) for choice in sensors.values()
    }
    return NamedImages(names, sources, indexes)
