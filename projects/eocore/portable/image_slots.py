"""Where the images of a sample are shown in a prompt that came as text."""

from collections.abc import Sequence
from dataclasses import replace

from eocore.portable.chat_templates import Piece, Template
from eocore.portable.messages import IMAGE_PLACEHOLDER, Image, Turn
from eocore.portable.vision_layout import SampleError

SLOT = Piece(IMAGE_PLACEHOLDER, False, False, slot=Image())


def with_one_image(pieces: Sequence[Piece], *, has_images: bool) -> list[Piece]:
    """The pieces of a prompt with one slot for all images, the first; without images, with none.

    A chat shows each image by a placeholder of its own, with a line break after it; all are seen where the first stands.
    """
    whole: list[Piece] = []
    num_found = 0
    for number, piece in enumerate(pieces):
        if isinstance(piece.slot, Image):
            num_found += 1
            if num_found == 1 and has_images:
                whole.append(piece)
            continue
        if num_found > 1 and isinstance(pieces[number - 1].slot, Image):
            piece = replace(piece, text=piece.text.lstrip("\n"))
        if whole and _is_words(whole[-1]) and _is_words(piece):
            whole[-1] = replace(whole[-1], text=whole[-1].text + piece.text)
        else:
            whole.append(piece)
    return whole


def with_leading_image(pieces: Sequence[Piece], template: Template) -> list[Piece]:
    """The pieces of a prompt with a slot for all images at the beginning of the first question, on a line of its own."""
    start = next((number + 1 for number, piece in enumerate(pieces) if piece.trusted and piece.text.endswith(template.user_start)), 0)
    led, after = Piece("\n", False, False), list(pieces[start:])
    if after and _is_words(after[0]):
        led, after = replace(after[0], text=f"\n{after[0].text}"), after[1:]
    return [*pieces[:start], SLOT, led, *after]


def shows_image(pieces: Sequence[Piece]) -> bool:
    """Whether an image has a slot among the pieces."""
    return any(isinstance(piece.slot, Image) for piece in pieces)


def check_one_position(turns: Sequence[Turn], num_images: int, *, sample_id: str) -> None:
    """Raise SampleError if a part shows one image of several, for a model that shows all images of a sample at one position."""
    indices = {part.index for turn in turns for part in turn.parts if isinstance(part, Image)} - {None}
    if indices and (indices != {0} or num_images != 1):
        raise SampleError(
            f"{sample_id}: the messages show the images {sorted(indices, key=str)} one by one, but this model shows all {num_images} at "
            "one position. Use Image() without an index."
        )


def _is_words(piece: Piece) -> bool:
    return piece.slot is None and not piece.trusted
