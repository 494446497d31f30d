"""Checks that an environment holds what its extras promise: tools/setup_env.sh calls it before and after it installs."""

import argparse
import contextlib
import importlib
import importlib.util
import io
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
BASE = (
    *("torch", "transformers", "safetensors", "numpy", "PIL", "mmengine", "peft"),
    *("rasterio", "pycocotools.mask", "scipy", "shapely", "rich"),
)
OWN = ("eocore", "earthmind", "ms_clip", "aerith", "aerithvlm", "earthfm")
BY_EXTRA = {
    "train": ("deepspeed", "tensorboard", "matplotlib"),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "eval": ("sklearn", "matplotlib", "pandas", "tabulate"),
    "mmcv": ("mmcv.transforms",),
    "sam2": ("hydra", "iopath", "sam2.build_sam"),
    "open_clip": ("ftfy", "regex"),
    "earthfm": ("olmoearth_pretrain_minimal",),
    "search": ("faiss",),
    "notebooks": ("nbclient", "ipykernel"),
    "ray": ("ray",),
    "video": ("av",),
    "dev": ("pytest", "hypothesis", "mypy"),
}


def unknown_extras(extras: list[str]) -> list[str]:
    """Those of `extras` that pyproject.toml does not name."""
    return [extra for extra in extras if extra not in known_extras()]


def known_extras() -> list[str]:
    """The extras of pyproject.toml."""
    return list(tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"])


def broken_imports(extras: list[str]) -> list[str]:
    """One line for each library that cannot be imported, with the reason."""
    names = [*BASE, *OWN, *(name for extra in extras for name in BY_EXTRA.get(extra, ()))]
    problems = []
    for name in dict.fromkeys(names):
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # DeepSpeed greets at import
                importlib.import_module(name)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            problems.append(f"{name} cannot be imported: {type(error).__name__}: {error}")
    return problems


def unwanted_libraries() -> list[str]:
    """One line if torchvision is there: a build that does not fit torch breaks the import of transformers."""
    if importlib.util.find_spec("torchvision") is None:
        return []
    return [f"torchvision is installed, which nothing here needs; remove it: {sys.executable} -m pip uninstall -y torchvision"]


def known_holes() -> list[str]:
    """One line for each library older than its first version without a known hole."""
    try:
        from eocore.dependencies import vulnerable
    except ImportError:
        return []  # broken_imports says so
    return vulnerable()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extras", default="", help="extras of pyproject.toml, with commas between")
    parser.add_argument("--names-only", action="store_true", help="check only that the extras exist; import nothing")
    arguments = parser.parse_args()
    extras = [extra for extra in arguments.extras.split(",") if extra]
    unknown = unknown_extras(extras)
    if unknown:
        sys.exit(f"ERROR: pyproject.toml has no extra {', '.join(unknown)}; there are {', '.join(known_extras())}.")
    if arguments.names_only:
        return
    with contextlib.suppress(ImportError):  # broken_imports says so
        importlib.import_module("eocore.notices").silence_notices()
    problems = unwanted_libraries() + broken_imports(extras) + known_holes()
    if problems:
        sys.exit("ERROR: " + "\nERROR: ".join(problems))
    print(f"  works: Python {sys.version.split()[0]}, torch {version('torch')}, transformers {version('transformers')}")


if __name__ == "__main__":
    main()
