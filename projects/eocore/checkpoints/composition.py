"""One model from one or several sources: what is mapped, what is not used, what is new, and what does not fit."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from eocore.checkpoints.key_map import Mapped
from eocore.checkpoints.weight_files import Header, LazyTensor
from eocore.errors import CheckpointError
from eocore.models.freeze import matches

MAPPED, UNUSED, NEW = "mapped", "not used", "newly initialised"
MISSING, UNEXPECTED, MISMATCHED = "missing", "unexpected", "other shape"
REPLACED = "replaced by "
MAX_NAMES = 20
"""Groups of names that an error lists."""


@dataclass(frozen=True)
class Row:
    """A line of the table: `count` tensors of `numel` values of one part, and what becomes of them."""

    outcome: str
    part: str
    origin: str
    count: int
    numel: int


@dataclass
class Composition:
    """A model's parameters and where each comes from.

    Attributes:
        state: our name -> tensor, in the model's order; new ones are not in it.
        origins: our name -> source it is taken from.
        new: parameters that no source gives and that may be newly initialised.
        unused: (source, part) -> headers of tensors that are not used.
        missing: parameters that no source gives, though one should.
        unexpected: source -> headers of tensors that no rule knows or that this model has no parameter for.
        mismatched: our name -> (shape found, shape expected).
    """

    state: dict[str, LazyTensor] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    new: dict[str, Header] = field(default_factory=dict)
    unused: dict[tuple[str, str], dict[str, Header]] = field(default_factory=dict)
    missing: dict[str, Header] = field(default_factory=dict)
    unexpected: dict[str, dict[str, Header]] = field(default_factory=dict)
    mismatched: dict[str, tuple[Header, Header]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """True where every tensor has its parameter and every parameter its source."""
        return not (self.missing or self.unexpected or self.mismatched)

    def rows(self) -> list[Row]:
        """The table's lines: parts of the model first, then what is not used, then what does not fit."""
        taken: dict[tuple[str, str], dict[str, Header]] = {}
        for name, tensor in self.state.items():
            if name not in self.mismatched:
                taken.setdefault((self.origins[name], _part(name)), {})[name] = tensor.header
        groups: list[tuple[str, str, str, Mapping[str, Header]]] = [
            (MAPPED, part, origin, headers) for (origin, part), headers in taken.items()
        ]
        groups += [(NEW, part, "", headers) for part, headers in _by_part(self.new)]
        groups += [(UNUSED, part, origin, headers) for (origin, part), headers in self.unused.items()]
        groups += [(MISSING, part, "", headers) for part, headers in _by_part(self.missing)]
        groups += [(UNEXPECTED, part, origin, headers) for origin, found in self.unexpected.items() for part, headers in _by_part(found)]
        found_shapes = {name: found for name, (found, _) in self.mismatched.items()}
        groups += [(MISMATCHED, part, "", headers) for part, headers in _by_part(found_shapes)]
        return [
            Row(outcome, part, origin, len(headers), sum(header.numel for header in headers.values()))
            for outcome, part, origin, headers in groups
        ]

    def table(self) -> str:
        """The rows as aligned text."""
        cells = [("", "part", "tensors", "parameters", "source")]
        cells += [(row.outcome, row.part, f"{row.count:,}", f"{row.numel:,}", row.origin) for row in self.rows()]
        widths = [max(len(line[column]) for line in cells) for column in range(5)]
        return "\n".join(
            f"{kind:<{widths[0]}}  {part:<{widths[1]}}  {count:>{widths[2]}}  {numel:>{widths[3]}}  {origin}".rstrip()
            for kind, part, count, numel, origin in cells
        )

    def require_whole(self) -> None:
        """Nothing; raises CheckpointError with the table and the names where something does not fit."""
        if self.is_whole:
            return
        num_unexpected = sum(map(len, self.unexpected.values()))
        counts = ((len(self.mismatched), "of another shape"), (num_unexpected, "unexpected"), (len(self.missing), "missing"))
        found = ", ".join(f"{count} {what}" for count, what in counts if count)
        raise CheckpointError(
            f"the weights do not fit the model: {found}. Nothing was written.\n{self.table()}\n{self._names()}\n"
            "The config beside the weights is not theirs, a file was changed, or the layout is one that is not known yet."
        )

    def _names(self) -> str:
        """The names that do not fit, equal ones but for numbers in one line."""
        lines = [
            f"{MISMATCHED}: {name} is {list(found.shape)}, the model has {list(expected.shape)}"
            for name, (found, expected) in list(self.mismatched.items())[:MAX_NAMES]
        ]
        unexpected = {name: header for found in self.unexpected.values() for name, header in found.items()}
        for what, headers in ((UNEXPECTED, unexpected), (MISSING, self.missing)):
            groups = list(_alike(headers))
            lines += [f"{what}: {group}" for group in groups[:MAX_NAMES]]
            if len(groups) > MAX_NAMES:
                lines.append(f"{what}: and {len(groups) - MAX_NAMES} more kinds of names")
        return "\n".join(lines)


def compose(sources: Sequence[Mapped], wanted: Mapping[str, Header], *, new: Sequence[str] = ()) -> Composition:
    """Puts a model together; nothing is read yet.

    Args:
        sources: a later one replaces an earlier one where both hold a parameter; the table says so.
        wanted: headers of the model's own state.
        new: patterns (as `freeze.matches` takes them) of parameters that may be newly initialised where no source gives them.
    """
    made = Composition()
    given = _gather(sources, made)
    for name, (tensor, origin) in given.items():
        if name not in wanted:
            made.unexpected.setdefault(origin, {})[name] = tensor.header
    for name, header in wanted.items():
        if name in given:
            made.state[name], made.origins[name] = given[name]
            if made.state[name].header.shape != header.shape:
                made.mismatched[name] = (made.state[name].header, header)
        else:
            may_be_new = any(matches(name, pattern) for pattern in new)
            (made.new if may_be_new else made.missing)[name] = header
    return made


def _gather(sources: Sequence[Mapped], made: Composition) -> dict[str, tuple[LazyTensor, str]]:
    """Our name -> tensor and its source, the last source's; notes in `made` what is not taken."""
    given: dict[str, tuple[LazyTensor, str]] = {}
    for source in sources:
        for part, headers in source.unused.items():
            made.unused[source.origin, part] = dict(headers)
        if source.unexpected:
            made.unexpected[source.origin] = dict(source.unexpected)
        for name, tensor in source.tensors.items():
            if name in given:
                earlier, origin = given[name]
                made.unused.setdefault((origin, f"{REPLACED}{source.origin}"), {})[name] = earlier.header
            given[name] = (tensor, source.origin)
    return given


def _part(name: str) -> str:
    return name.split(".")[0]


def _by_part(headers: Mapping[str, Header]) -> Iterator[tuple[str, dict[str, Header]]]:
    parts: dict[str, dict[str, Header]] = {}
    for name, header in headers.items():
        parts.setdefault(_part(name), {})[name] = header
    yield from parts.items()


def _alike(headers: Mapping[str, Header]) -> Iterator[str]:
    """Names with `#` for every number, how many each stands for, and the shapes."""
    groups: dict[tuple[str, tuple[int, ...]], int] = {}
    for name, header in headers.items():
        key = (re.sub(r"\d+", "#", name), header.shape)
        groups[key] = groups.get(key, 0) + 1
    return (f"{name} {list(shape)}" + (f" ({count} times)" if count > 1 else "") for (name, shape), count in groups.items())
