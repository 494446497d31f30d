"""Values on a command line: `--cfg-options KEY=VALUE`, where a value is what Python would read, or plain words."""

import argparse
import ast
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

PLAIN = (str, int, float, bool, type(None))
BRACKETS = {"[": "]", "(": ")", "{": "}"}
HOW = "Write it as Python does, between quotes for the shell: KEY=\"['a', 'b']\", KEY=\"{'a': 1}\", KEY=\"'text, with a comma'\""


class OverrideAction(argparse.Action):
    """Collects KEY=VALUE words into a mapping, over several mentions of the option, too; the last value of a key counts."""

    @override
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Adds `values`; a word that cannot be read ends the program with the usage and one line."""
        found = dict(getattr(namespace, self.dest, None) or {})
        for word in [values] if isinstance(values, str) else values or []:
            key, equals, text = word.partition("=")
            if not equals or not key.strip():
                parser.error(f"{option_string} {word}: expected KEY=VALUE without spaces around the sign, such as training.max_iters=10.")
            try:
                found[key.strip()] = read_value(text)
            except ValueError as error:
                parser.error(f"{option_string} {word}: {error}. {HOW}")
        setattr(namespace, self.dest, found)


def read_value(text: str) -> Any:
    """The value a text stands for.

    Python's notation of numbers, texts in quotes, lists, tuples, dicts, True, False and None counts first. Beyond it: true and false in
    any case; words without quotes; `a,b` as a list, also within brackets (`[a, b]`): what is what mmengine's own parser reads.

    Raises:
        ValueError: brackets or quotes do not match, or a dict is not written as Python does.
    """
    text = text.strip()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return _read_words(text)
    if not _is_plain(value):
        return text
    # 1,2 without brackets is a list, as it always was here; (1,2) is a tuple.
    return list(value) if isinstance(value, tuple) and not text.startswith("(") else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str | int) and _is_plain(entry) for key, entry in value.items())
    return all(map(_is_plain, value)) if isinstance(value, list | tuple) else isinstance(value, PLAIN)


def _read_words(text: str) -> Any:
    """What is not Python's notation."""
    if text.startswith("{"):
        raise ValueError("a dict that cannot be read")
    parts = _split(text)
    if text[:1] in ("[", "(") and len(parts) == 1 and text[-1] == BRACKETS[text[0]]:
        inner = [read_value(part) for part in _split(text[1:-1])]
        return tuple(inner) if text[0] == "(" else inner
    if len(parts) > 1:
        return [read_value(part) for part in parts]
    if text[:1] in ("'", '"'):
        raise ValueError("a quote that does not end the value it begins")
    return _read_word(text)


def _read_word(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):  # 007, inf
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets and no quotes; none of an empty text.

    Raises:
        ValueError: brackets or quotes do not match.
    """
    parts, waiting, quote = [""], [], ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"" and not parts[-1].strip(" [({"):  # an apostrophe inside a word quotes nothing
            quote = letter
        elif letter in BRACKETS:
            waiting.append(BRACKETS[letter])
        elif letter in BRACKETS.values() and (not waiting or waiting.pop() != letter):
            raise ValueError(f"'{letter}' closes no bracket")
        if letter == "," and not quote and not waiting:
            parts.append("")
        else:
            parts[-1] += letter
    if waiting or quote:
        raise ValueError(f"'{(waiting or [quote])[-1]}' is missing")
    parts = [part.strip() for part in parts]
    return parts if parts[-1] else parts[:-1]


def add_long(parser: argparse.ArgumentParser) -> None:
    """What is done with long inputs."""
    what = "how long inputs are shortened: compress (models with compression tokens), pool, choose or drop, such as compress:8, or off"
    parser.add_argument("--long", metavar="METHOD[:RATIO]", help=f"{what} (default: as the model was made; docs/long_inputs.md)")


def with_long(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of generation of a command line that has --long."""
    given: dict[str, Any] = dict(getattr(arguments, "generation", {}))
    return given if arguments.long is None else {**given, "long": arguments.long}
