"""Errors in words for the user of a page: nothing of the server's disk, nothing of its code, no options of commands."""

import re

from eocore.errors import EOError
from eocore.serve.service import Service
from eocore.serve.sessions import without_paths

UNFORESEEN = "Something went wrong on the server ({kind}); its log says more. Try again, or tell who runs it."
OPTION = re.compile(r"--([a-z][a-z-]*)")
OF_COMMANDS = re.compile(r"--[a-z]|\btools/|\beocore/|\beo [a-z]+-[a-z]+")
"""What only those know who run the server."""
SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")


def told(error: Exception, service: Service) -> str:
    """What is shown of an error.

    Args:
        error: any.
        service: whose folders are not named.
    """
    if not isinstance(error, EOError):
        return UNFORESEEN.format(kind=type(error).__name__)
    return without_commands(str(without_paths(error, service.options.uploads.resolve(), service.options.uploads)))


def without_commands(text: str) -> str:
    """A message without its advice for command lines: later sentences that name options or files of the program are left out.

    Args:
        text: its first sentence says what is wrong, as those of all errors do.
    """
    first, *others = SENTENCE_END.split(text)
    kept = [sentence for sentence in others if not OF_COMMANDS.search(sentence)]
    return " ".join([OPTION.sub(lambda found: found[1].replace("-", " "), first), *kept])
