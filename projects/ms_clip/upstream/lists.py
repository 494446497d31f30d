"""What the upstream commands take as a list: a folder of images, a text file, a YAML file, or the words themselves."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import yaml

from eocore.data.image_sources import IMAGE_SUFFIXES
from eocore.errors import ConfigError, DataError
from eocore.text import some_of

YAML_SUFFIXES = (".yaml", ".yml")
PICTURES = tuple(suffix for suffix in IMAGE_SUFFIXES if suffix != ".json")


def image_paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """Image files: those of a folder, by name; those that a .txt (one a line) or .yaml (key `images`) names; or a list of files.

    Names in a list file are relative to it where they are not found from here.

    Raises:
        DataError: there is none, one does not exist, or one is named twice.
    """
    if not isinstance(given, str | Path):
        return _existing([Path(path) for path in given], source="the list")
    path = Path(given)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        if not found:
            raise DataError(f"{path} holds no image; their names end in {', '.join(PICTURES)}.")
        return found
    if path.suffix.lower() in (".txt", *YAML_SUFFIXES):
        named = [Path(name) for name in read_list(path, key="images")]
        return _existing([name if name.exists() else path.parent / name for name in named], source=str(path))
    return _existing([path], source="--images")


def _existing(paths: list[Path], *, source: str) -> list[Path]:
    missing = [str(path) for path in paths if not path.exists()]
    if missing or not paths:
        told = f"{len(missing)} of {len(paths)} images of {source} do not exist: {some_of(missing)}" if paths else f"{source} is empty"
        raise DataError(f"{told}. Nothing was computed; correct the names.")
    twice = [str(path) for path, times in Counter(path.resolve() for path in paths).items() if times > 1]
    if twice:
        raise DataError(
            f"{source} names {some_of(twice)} more than once, so its rows would be doubled. Nothing was computed; name each once."
        )
    return paths


def read_list(path: Path, *, key: str) -> list[str]:
    """The entries of a .txt file, one a line, or of a .yaml file under `key`; empty lines do not count.

    Raises:
        DataError: the file is missing, cannot be read, has no such key, or holds no entry.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file. Name a .txt file with one entry a line, or a .yaml file with a list '{key}'.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = yaml.safe_load(text) if path.suffix.lower() in YAML_SUFFIXES else text.splitlines()
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}. Save it as UTF-8.") from error
    entries = content.get(key) if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(isinstance(entry, str | int | float) for entry in entries):
        raise DataError(f"{path}: expected a list '{key}' of texts. Correct the file.")
    found = [str(entry).strip() for entry in entries if str(entry).strip()]
    if not found:
        raise DataError(f"{path} holds no entry. Nothing was computed.")
    return found


def choose_list(words: Sequence[str], file: str | Path | None, *, key: str, options: tuple[str, str]) -> list[str]:
    """The words of the command line, or those of a file; each once.

    Raises:
        ConfigError: neither or both are given, or an entry twice.
        DataError: as `read_list`.
    """
    if bool(words) == (file is not None):
        raise ConfigError(f"give {options[0]} or {options[1]}: {'both are given' if words else 'neither is'}.")
    found = [word.strip() for word in words] if file is None else read_list(Path(file), key=key)
    twice = sorted({word for word in found if found.count(word) > 1})
    if twice or not all(found):
        raise ConfigError(f"{options[0] if file is None else file}: {', '.join(twice) or 'an empty text'} is named twice or says nothing.")
    return found


def table_path(given: str | Path) -> Path:
    """The CSV file that a name stands for: .csv is added to what does not end in it, whatever else the name holds."""
    path = Path(given)
    return path if path.suffix.lower() == ".csv" else path.with_name(f"{path.name}.csv")
