"""Messages of typed parts, and the notation in which formats and users write them as text.

Texts are read into parts once, by the parser of their format or at the entrance of a processor. Afterwards a `Text` is words, whatever it
holds: no placeholder is looked for in it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

IMAGE_PLACEHOLDER, REGION_PLACEHOLDER, SEG_PLACEHOLDER = "<image>", "<region>", "[SEG]"
"""How upstream formats write an image and a region in a question, and a mask in an answer. Source: LLaVA, Osprey, LISA."""

REGION_INTRODUCTION = "There are {count} part regions in the picture: {regions}."
"""The upstream visual prompt, which names every region before the first question. Source: EarthMind v1, rs_region_cap.py."""

ROLES: tuple[Literal["user"], Literal["assistant"]] = ("user", "assistant")
SYSTEM: Literal["system"] = "system"
"""The role of a turn that tells the model how to answer, before the first question; not every chat template has one."""
_PLACEHOLDERS = {"user": (IMAGE_PLACEHOLDER, REGION_PLACEHOLDER), "assistant": (SEG_PLACEHOLDER,)}


@dataclass(frozen=True, slots=True)
class Text:
    """Words, as they are."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """Where an image is shown. `index`: which image of the sample; None = all of them together, as formats with one `<image>` mean it."""

    index: int | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """Where a region of the image is shown. `index`: which region of the sample."""

    index: int


@dataclass(frozen=True, slots=True)
class Seg:
    """Where an answer refers to a mask. `index`: which mask of the sample."""

    index: int


Part = Text | Image | Region | Seg


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: Literal["user", "assistant", "system"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The message in the notation of upstream formats."""
        return written(self.parts)

    @property
    def words(self) -> str:
        """The texts of the message alone, without the line break that a leading image leaves."""
        return "".join(part.text for part in self.parts if isinstance(part, Text)).removeprefix("\n")


def read_parts(text: str, role: str, *, regions: int = 0, masks: int = 0) -> tuple[Part, ...]:
    """The parts of a message in the notation of upstream formats.

    Args:
        text: the message.
        role: "user" (`<image>`, `<region>`), "assistant" (`[SEG]`) or "system" (words alone).
        regions, masks: how many stand in the messages before: regions and masks are numbered in their order.
    """
    if role == SYSTEM:
        return (Text(text),) if text else ()
    parts: list[Part] = []
    for piece in re.split("(" + "|".join(map(re.escape, _PLACEHOLDERS[role])) + ")", text):
        if role == "user" and piece == IMAGE_PLACEHOLDER:
            parts.append(Image())
        elif role == "user" and piece == REGION_PLACEHOLDER:
            parts.append(Region(regions))
            regions += 1
        elif role == "assistant" and piece == SEG_PLACEHOLDER:
            parts.append(Seg(masks))
            masks += 1
        elif piece:
            parts.append(Text(piece))
    return tuple(parts)


def read_turns(texts: Iterable[str]) -> tuple[Turn, ...]:
    """A conversation in the notation of upstream formats, question and answer in turn, the question first."""
    return as_turns([(ROLES[number % 2], text) for number, text in enumerate(texts)])


def as_turns(messages: Sequence[Turn | tuple[str, str]]) -> tuple[Turn, ...]:
    """Messages of parts, where some may still be (role, text) in the notation of upstream formats.

    Raises:
        ValueError: a role is none of "user", "assistant" and "system", or a system turn is not the first.
    """
    turns: list[Turn] = []
    regions = masks = 0
    for number, message in enumerate(messages):
        if hasattr(message, "parts"):
            message = _own(message)
        else:
            role, text = message
            known = next((one for one in (*ROLES, SYSTEM) if one == role), None)
            if known is None:
                raise ValueError(f"turn {number}: role '{role}' is unknown; choices: {', '.join((*ROLES, SYSTEM))}.")
            message = Turn(known, read_parts(text, role, regions=regions, masks=masks))
        if message.role == SYSTEM and number:
            raise ValueError(
                f"turn {number} is a system turn; a conversation has one at most, at its beginning. Put what it says into the first turn."
            )
        regions += sum(isinstance(part, Region) for part in message.parts)
        masks += sum(isinstance(part, Seg) for part in message.parts)
        turns.append(message)
    return tuple(turns)


def _own(turn: Any) -> Turn:
    """The turn in the classes of this module.

    transformers loads the files of a checkpoint once for the model and once more for a processor that is loaded by itself; a turn that the
    one makes is then of other classes than the other's.
    """
    if isinstance(turn, Turn):
        return turn
    kinds = {kind.__name__: kind for kind in (Text, Image, Region, Seg)}
    parts = (kinds[type(part).__name__](*(getattr(part, name.name) for name in fields(part))) for part in turn.parts)
    return Turn(turn.role, tuple(parts))


def joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts with neighbouring texts made one, since a tokenizer may read them otherwise apart; empty texts are left out."""
    whole: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and whole and isinstance(whole[-1], Text):
            whole[-1] = Text(whole[-1].text + part.text)
        elif not isinstance(part, Text) or part.text:
            whole.append(part)
    return tuple(whole)


def about_images(*parts: Part) -> tuple[Part, ...]:
    """A question with all images in front of it, on a line of their own."""
    return joined([Image(), Text("\n"), *parts])


def introduced_regions(count: int, *, first: int = 0, introduction: str = REGION_INTRODUCTION) -> tuple[Part, ...]:
    """A sentence that names regions and shows each behind its name: "region1", "region2", ...

    Args:
        count: how many.
        first: index of the first among the regions of the sample.
        introduction: the sentence; `{count}` becomes their number, `{regions}` the names.
    """
    before, after = introduction.replace("{count}", str(count)).split("{regions}")
    named: list[Part] = []
    for number in range(count):
        named += [Text(f"{', ' if number else ''}region{number + 1}"), Region(first + number)]
    return joined([Text(before), *named, Text(after)])


def shows_images(turns: Iterable[Turn]) -> bool:
    """Whether an image has a part in the turns."""
    return any(isinstance(part, Image) for turn in turns for part in turn.parts)


def with_images(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns, with all images in front of the first that is no system turn, where no part shows one."""
    start = next((number for number, turn in enumerate(turns) if turn.role != SYSTEM), None)
    if start is None or shows_images(turns):
        return tuple(turns)
    first = turns[start]
    return (*turns[:start], Turn(first.role, about_images(*first.parts)), *turns[start + 1 :])


def without_images(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts without images and the line break after each."""
    kept: list[Part] = []
    after_image = False
    for part in parts:
        if isinstance(part, Text) and after_image:
            part = Text(part.text.removeprefix("\n"))
        after_image = isinstance(part, Image)
        if not after_image:
            kept.append(part)
    return joined(kept)


def shifted(turn: Turn, *, regions: int, masks: int) -> Turn:
    """The turn of a conversation that comes after so many `regions` and `masks` of others."""
    moved: list[Part] = []
    for part in turn.parts:
        if isinstance(part, Region):
            part = Region(part.index + regions)
        elif isinstance(part, Seg):
            part = Seg(part.index + masks)
        moved.append(part)
    return Turn(turn.role, tuple(moved))


def written(parts: Iterable[Part]) -> str:
    """The parts in the notation of upstream formats."""
    return "".join(map(_written, parts))


def _written(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    return IMAGE_PLACEHOLDER if isinstance(part, Image) else REGION_PLACEHOLDER if isinstance(part, Region) else SEG_PLACEHOLDER
