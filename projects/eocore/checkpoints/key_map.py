"""Key maps: how the tensors of an external checkpoint become the parameters of a model here, and back.

A map is a list of rules in plain sight. Names in rules are literal but for placeholders, the same on both sides:
`{i}`, `{j}`, `{k}` a number; `{leaf}` weight or bias; `{rest}` anything.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from eocore.checkpoints.weight_files import Header, Headers, LazyTensor, Weights
from eocore.errors import CheckpointError, ConfigError

PLACEHOLDER = re.compile(r"\{(\w+)\}")
PATTERNS = {"i": r"\d+", "j": r"\d+", "k": r"\d+", "leaf": "weight|bias", "rest": ".+"}

Kind = Literal["rename", "split", "join", "copy", "unused", "transpose", "scalar", "unscalar"]
RESHAPED: dict[str, int] = {"transpose": 2, "scalar": 0, "unscalar": 1}
"""Kind of rule that keeps the values and changes the shape -> dimensions of the source."""


@dataclass(frozen=True)
class Rule:
    """How one or several tensors are called on both sides. Made by `rename`, `split`, `join`, `copy`, `transpose`, `scalar` and `unused`.

    Attributes:
        kind: what happens.
        source: patterns of the external names.
        ours: patterns of our names.
        part: for unused tensors: what they belong to.
    """

    kind: Kind
    source: tuple[str, ...]
    ours: tuple[str, ...] = ()
    part: str = ""


def rename(source: str, ours: str) -> Rule:
    """One tensor, as it is."""
    return Rule("rename", (source,), (ours,))


def split(source: str, ours: Sequence[str]) -> Rule:
    """One tensor cut into equal pieces along its first dimension, such as a fused query, key and value."""
    return Rule("split", (source,), tuple(ours))


def join(source: Sequence[str], ours: str) -> Rule:
    """Several tensors joined along their first dimension."""
    return Rule("join", tuple(source), (ours,))


def copy(source: str, ours: Sequence[str]) -> Rule:
    """One tensor that is stored under several names here; on the way back the first counts."""
    return Rule("copy", (source,), tuple(ours))


def transpose(source: str, ours: str) -> Rule:
    """One matrix, turned."""
    return Rule("transpose", (source,), (ours,))


def scalar(source: str, ours: str) -> Rule:
    """One number that has no dimension in the source and one here."""
    return Rule("scalar", (source,), (ours,))


def unused(source: str, part: str) -> Rule:
    """Tensors that nothing here computes with; `part` says to a reader what they are."""
    return Rule("unused", (source,), part=part)


@dataclass
class Mapped:
    """One source under our names.

    Attributes:
        origin: what the source is, for tables.
        tensors: our name -> tensor.
        unused: part -> headers of the source's tensors that belong to it.
        unexpected: headers of tensors that no rule knows.
    """

    origin: str
    tensors: dict[str, LazyTensor] = field(default_factory=dict)
    unused: dict[str, dict[str, Header]] = field(default_factory=dict)
    unexpected: dict[str, Header] = field(default_factory=dict)


class KeyMap:
    """Rules between an external layout and ours.

    Args:
        layout: what the external layout is called.
        rules: the first one that knows a name decides.

    Raises:
        ConfigError: a rule has a placeholder on one side alone, or one that does not exist.
    """

    def __init__(self, layout: str, rules: Sequence[Rule]) -> None:
        self.layout, self.rules = layout, tuple(rules)
        for rule in self.rules:
            _check(rule)
        self._patterns = [[_compiled(source) for source in rule.source] for rule in self.rules]

    def reversed(self) -> "KeyMap":
        """The map from our names to the external ones; unused parts have no way back."""
        back: dict[Kind, Kind] = {
            "rename": "rename",
            "split": "join",
            "join": "split",
            "copy": "rename",
            "transpose": "transpose",
            "scalar": "unscalar",
            "unscalar": "scalar",
        }
        rules = []
        for rule in self.rules:
            if rule.kind == "copy":
                rules += [rename(rule.ours[0], rule.source[0]), *(unused(name, f"copy of {rule.ours[0]}") for name in rule.ours[1:])]
            elif rule.kind != "unused":
                rules.append(Rule(back[rule.kind], rule.ours, rule.source))
        return KeyMap(self.layout, rules)

    def apply(self, weights: Weights) -> Mapped:
        """The tensors of a source under our names; values are read when asked for.

        Raises:
            CheckpointError: a tensor cannot be cut into equal pieces, pieces to be joined are missing or do not fit, or two tensors of the
                source would get one name.
        """
        return self.apply_tensors({name: weights.lazy(name) for name in weights.headers}, origin=f"{self.layout} ({weights.path.name})")

    def apply_tensors(self, tensors: Mapping[str, LazyTensor], *, origin: str) -> Mapped:
        """As `apply`, of tensors that need not come from one file."""
        mapped = Mapped(origin)
        pieces: dict[str, dict[int, str]] = {}
        joins: dict[str, Rule] = {}
        for name, tensor in tensors.items():
            found = self._find(name)
            if found is None:
                mapped.unexpected[name] = tensor.header
                continue
            rule, number, values = found
            ours = [_filled(pattern, values) for pattern in rule.ours]
            if rule.kind == "unused":
                mapped.unused.setdefault(rule.part, {})[name] = tensor.header
            elif rule.kind == "join":
                pieces.setdefault(ours[0], {})[number] = name
                joins[ours[0]] = rule
            else:
                _add(mapped, _renamed(name, tensor, ours=ours, kind=rule.kind))
        for name, parts in pieces.items():
            _require_all(origin, name, parts=parts, rule=joins[name])
            _add(mapped, {name: _joined(name, [(parts[number], tensors[parts[number]]) for number in sorted(parts)])})
        return mapped

    def _find(self, name: str) -> tuple[Rule, int, dict[str, str]] | None:
        """The first rule that knows `name`, which of its patterns did, and what its placeholders stand for."""
        for rule, patterns in zip(self.rules, self._patterns, strict=True):
            for number, pattern in enumerate(patterns):
                if match := pattern.fullmatch(name):
                    return rule, number, match.groupdict()
        return None


def our_headers(model: torch.nn.Module) -> dict[str, Header]:
    """Headers of what a model's state holds, tied tensors once under their first name."""
    seen: dict[int, str] = {}
    tied = set(getattr(model, "all_tied_weights_keys", {}))
    headers = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name not in tied and id(tensor) not in seen:
            seen[id(tensor)] = name
            headers[name] = Header(tuple(tensor.shape), tensor.dtype)
    return headers


def _check(rule: Rule) -> None:
    for pattern in (*rule.source, *rule.ours):
        names = set(PLACEHOLDER.findall(pattern))
        strange = sorted(names - set(PATTERNS))
        if strange:
            raise ConfigError(f"key map: '{pattern}' has the placeholder {strange[0]}; choices: {', '.join(PATTERNS)}.")
        if rule.kind != "unused" and names != set(PLACEHOLDER.findall(rule.source[0])):
            raise ConfigError(
                f"key map: '{rule.source[0]}' and '{pattern}' have different placeholders, so the name could not be filled in."
            )


def _compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression of a pattern; a placeholder that is duplicated means the same text twice."""
    seen: set[str] = set()
    text = ""
    for index, part in enumerate(PLACEHOLDER.split(pattern)):
        if index % 2 == 0:
            text += re.escape(part)
        else:
            text += f"(?P={part})" if part in seen else f"(?P<{part}>{PATTERNS[part]})"
            seen.add(part)
    return re.compile(text)


def _filled(pattern: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: values[found[1]], pattern)


def _add(mapped: Mapped, tensors: Mapping[str, LazyTensor]) -> None:
    twice = sorted(mapped.tensors.keys() & tensors.keys())
    if twice:
        raise CheckpointError(
            f"{mapped.origin}: two of its tensors mean our {twice[0]}; one would be lost. "
            "This is no checkpoint of one model: save one state."
        )
    mapped.tensors.update(tensors)


def _renamed(name: str, tensor: LazyTensor, *, ours: Sequence[str], kind: Kind) -> dict[str, LazyTensor]:
    if kind in RESHAPED:
        return {ours[0]: _reshaped(name, tensor, kind=kind)}
    if kind != "split":
        return dict.fromkeys(ours, tensor)
    rows = tensor.header.shape[0] if tensor.header.shape else 0
    if rows == 0 or rows % len(ours):
        raise CheckpointError(
            f"{name} has shape {list(tensor.header.shape)}; its first dimension is cut into {len(ours)} equal pieces "
            f"({', '.join(ours)}) and cannot be. The file is not of this layout or is damaged."
        )
    header = Header((rows // len(ours), *tensor.header.shape[1:]), tensor.header.dtype)

    def piece(number: int) -> LazyTensor:
        return LazyTensor(header, lambda: tensor.read().chunk(len(ours))[number])

    return {our: piece(number) for number, our in enumerate(ours)}


def _reshaped(name: str, tensor: LazyTensor, *, kind: Kind) -> LazyTensor:
    """The matrix turned, or the number with another number of dimensions."""
    shape, dimensions = tensor.header.shape, RESHAPED[kind]
    if len(shape) != dimensions or (kind == "unscalar" and shape != (1,)):
        raise CheckpointError(
            f"{name} has shape {list(shape)}, expected {dimensions} dimensions. The file is not of this layout or is damaged."
        )
    if kind == "transpose":
        return LazyTensor(Header(shape[::-1], tensor.header.dtype), lambda: tensor.read().T.contiguous())
    target = (1,) if kind == "scalar" else ()
    return LazyTensor(Header(target, tensor.header.dtype), lambda: tensor.read().reshape(target))


def _require_all(origin: str, name: str, *, parts: Mapping[int, str], rule: Rule) -> None:
    missing = [pattern for number, pattern in enumerate(rule.source) if number not in parts]
    if missing:
        raise CheckpointError(
            f"{origin}: {name} is joined from {len(rule.source)} tensors, of which {', '.join(missing)} are not there; found "
            f"{', '.join(parts.values())}. The file is incomplete: fetch it again."
        )


def _joined(name: str, parts: Sequence[tuple[str, LazyTensor]]) -> LazyTensor:
    headers: Headers = {source: tensor.header for source, tensor in parts}
    tails = {(header.shape[1:], header.dtype) for header in headers.values()}
    if len(tails) != 1 or any(not header.shape for header in headers.values()):
        shapes = ", ".join(f"{source} {list(header.shape)}" for source, header in headers.items())
        raise CheckpointError(f"{name} is joined from {shapes}, which do not fit together. The file is not of this layout or is damaged.")
    ((tail, dtype),) = tails
    rows = sum(header.shape[0] for header in headers.values())

    def read() -> Tensor:
        return torch.cat([tensor.read() for _, tensor in parts])

    return LazyTensor(Header((rows, *tail), dtype), read)
