"""Open lists of names: what a system or a user adds to, and what errors list."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from eocore.errors import ConfigError
from eocore.text import did_you_mean

Entry = TypeVar("Entry")


class Choices(Mapping[str, Entry], Generic[Entry]):
    """Name -> entry, in the order of registration.

    Args:
        what: one entry in words, for messages.
        entries: those that are there from the start.
    """

    def __init__(self, what: str, entries: Mapping[str, Entry] | None = None) -> None:
        self._what = what
        self._entries = dict(entries or {})

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __str__(self) -> str:
        return ", ".join(self)

    def register(self, name: str, entry: Entry) -> None:
        """Adds an entry; the same entry under the same name again changes nothing.

        Raises:
            ConfigError: the name has another entry.
        """
        if self._entries.setdefault(name, entry) != entry:
            raise ConfigError(f"{self._what} '{name}' is registered already, as {self._entries[name]!r:.120}. Give it another name.")

    def find(self, name: str) -> Entry:
        """The entry of a name.

        Raises:
            ConfigError: there is none; names the choices.
        """
        if name not in self._entries:
            raise ConfigError(f"no {self._what} '{name}'.{did_you_mean(name, self)} Choices: {self}.")
        return self._entries[name]

    def position(self, name: str) -> int:
        """Index of a name in the order of registration."""
        return list(self).index(name)
