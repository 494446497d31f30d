"""The configs that come with the project: where they lie, and how one is found by its name from anywhere."""

from pathlib import Path, PurePosixPath

from eocore.checkout import CHECKOUT
from eocore.errors import ConfigError
from eocore.text import nearest

_INSTALLED = Path(__file__).resolve().parent / "configs"
CONFIGS = _INSTALLED if _INSTALLED.is_dir() or CHECKOUT is None else CHECKOUT / "configs"
"""Beside this file in an installed package, where the build copies them (setup.py); at the top of the repository in a checkout."""

BASES = "_base_"
"""Folder of the parts that configs are made of; they cannot be run by themselves."""


def find_shipped(name: str, *, parts: bool = False) -> Path | None:
    """The shipped config of that name, or None where there is none.

    Args:
        name: a stem (`earthmind_4b_sft`), with as many folders before it as it takes to be clear (`schedules/earthmind_sft`,
            `configs/earthmind/earthmind_4b_sft`), with or without `.py`.
        parts: look among the files of `_base_` too.

    Raises:
        ConfigError: several have that name.
    """
    wanted = PurePosixPath(name.removesuffix(".py")).parts
    found = [path for path in _shipped(parts=parts) if path.with_suffix("").parts[-len(wanted) :] == wanted]
    if len(found) > 1:
        choices = ", ".join(path.relative_to(CONFIGS.name).with_suffix("").as_posix() for path in found)
        raise ConfigError(f"'{name}' is the name of {len(found)} shipped configs, so none is chosen. Write one of: {choices}.")
    return CONFIGS.parent / found[0] if found else None


def nearest_shipped(name: str, *, parts: bool = False) -> Path | None:
    """The shipped config whose stem is most like that of `name`, None where none is near; `parts` as for `find_shipped`."""
    by_stem = {path.stem: path for path in _shipped(parts=parts)}
    near = nearest(PurePosixPath(name).name.removesuffix(".py"), by_stem)
    return CONFIGS.parent / by_stem[near[0]] if near else None


def _shipped(*, parts: bool) -> list[Path]:
    """Paths of the shipped configs, from the folder that holds CONFIGS."""
    files = sorted(path.relative_to(CONFIGS.parent) for path in CONFIGS.rglob("*.py"))
    return [path for path in files if parts or BASES not in path.parts]
