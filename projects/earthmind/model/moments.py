"""The moments of a sample: which images it shows together, and on which of them each region and [SEG] lies."""

from collections.abc import Mapping, Sequence
from typing import Any

from eocore.portable.band_rendering import as_scene
from eocore.portable.messages import Seg, Text, Turn
from eocore.portable.series import Moment, MomentNames, check_order, name_moment, names_after
from eocore.portable.vision_layout import SampleError

from .processor_options import MODALITIES, ProcessorOptions
from .special_tokens import SEG_TOKEN

Images = Mapping[str, Any] | Sequence[Moment]
"""Images of one moment by modality, or the moments of a series."""


def read_moments(images: Images, options: ProcessorOptions, *, sample_id: str, as_is: bool = False) -> list[Moment]:
    """The moments that a sample shows, each with scenes in the order of their tokens; none without images.

    Args:
        images: as they were given.
        options: of the processor.
        sample_id: for messages.
        as_is: they are scenes, or shapes of such, already.

    Raises:
        SampleError: a modality is unknown, a moment has no image, moments are not in order (see `series.check_order`), or images of
            a series have shapes that cannot be of one place.
        TypeError, ValueError: a moment or an image is none; see `band_rendering.as_scene`.
    """
    given = _as_given(images)
    if len(given) == 1 and not given[0].images:
        return []
    check_order([moment.time for moment in given], source=sample_id or "the question")
    moments = []
    for moment in given:
        unknown = sorted(set(moment.images) - set(MODALITIES))
        if unknown:
            raise SampleError(f"{sample_id}: modalities {unknown} are unknown; choices: {', '.join(MODALITIES)}.")
        if not moment.images:
            raise SampleError(f"{sample_id}: the moment '{moment.time}' has no image. Give one, or leave the moment out.")
        names = [name for name in options.modality_order if name in moment.images]
        moments.append(Moment(moment.time, {name: moment.images[name] if as_is else as_scene(moment.images[name]) for name in names}))
    if not as_is and len(moments) > 1:  # of one moment the upstream calls take sensors of any shapes
        _check_shapes(moments, sample_id=sample_id)
    return moments


def _as_given(images: Images) -> list[Moment]:
    """The moments as they were given. Raises TypeError where `images` are neither images by modality nor moments."""
    if isinstance(images, Mapping):
        return [Moment("", images)]
    listed = list(images) if isinstance(images, Sequence) else [images]
    # those of a checkpoint's own code are of another class
    unlike = [
        one for one in listed if not (isinstance(getattr(one, "time", None), str) and isinstance(getattr(one, "images", None), Mapping))
    ]
    if unlike:
        found = f"a moment of the time {unlike[0].time!r}" if hasattr(unlike[0], "time") else f"a {type(unlike[0]).__name__}"
        raise TypeError(
            f"images: found {found}, expected a dict of images by modality, such as {{'rgb': image}}, or a list of "
            "Moment(time, {'rgb': image}), with the time as text such as '2024-05-31', 'before' or 'image 1'."
        )
    return [Moment(one.time, one.images) for one in listed]


def _check_shapes(moments: Sequence[Moment], *, sample_id: str) -> None:
    """Raise SampleError if images of a series have shapes that cannot be of one place, up to a pixel of the coarser."""
    sizes = {f"{moment.time} {name}".strip(): tuple(image.pixels.shape[-2:]) for moment in moments for name, image in moment.images.items()}
    (first, (height, width)), *others = sizes.items()
    for name, (down, across) in others:
        if abs(height * across - width * down) > max(height, width, down, across):
            raise SampleError(
                f"{sample_id or 'the question'}: the image '{first}' is {height} x {width} px (height x width), '{name}' {down} x "
                f"{across}: shapes that cannot show one place, so what is seen in one would be matched with another place of the other. "
                "Cut them to one extent."
            )


def lead_texts(moments: Sequence[Moment], options: ProcessorOptions) -> list[str]:
    """What introduces the images of each moment of a series; blocks of single sensors name these themselves."""
    by_sensor = options.token_order == "modality"
    names = [f"{moment.time} " if by_sensor else name_moment(moment.time, moment.images) for moment in moments]
    return [f"\n{name}" if number else name for number, name in enumerate(names)]


def region_leads(moments: Sequence[Moment], of_regions: Sequence[int] | None, *, count: int, sample_id: str) -> list[tuple[int, str]]:
    """Of each region, the number of its moment and the text in front of it, which names that moment in a series.

    Args:
        moments: of the sample.
        of_regions: number of each region's moment; None where there is one moment alone.
        count: of the regions.
        sample_id: for messages.

    Raises:
        SampleError: it is not said which image of several a region lies on.
    """
    if len(moments) < 2 or not count:
        return [(0, "")] * count
    if of_regions is None or len(of_regions) != count or not all(0 <= number < len(moments) for number in of_regions):
        found = "nothing says" if of_regions is None else f"region_moments={list(of_regions)} does not say"
        raise SampleError(
            f"{sample_id}: {count} regions in a series of {len(moments)} moments, but {found} on whose image each lies. Give "
            f"region_moments: a number from 0 to {len(moments) - 1} for each."
        )
    return [(number, f"{moments[number].time} ") for number in of_regions]


def seg_moments(turns: Sequence[Turn], times: Sequence[str]) -> list[int]:
    """Number of the moment that each [SEG] of the answers is drawn on; see `MomentNames`."""
    found: list[int] = []
    names = MomentNames(tuple(times))
    for turn in turns:
        if turn.role == "user":
            names = names_after(times, turn.words)
        before = ""
        for part in turn.parts:
            if isinstance(part, Seg):
                found.append(names.of_seg(before))
            elif isinstance(part, Text):
                before += part.text
    return found


def moments_of_answer(text: str, names: MomentNames, *, count: int) -> list[int]:
    """Number of the moment of each of the `count` [SEG] tokens that an answer holds."""
    parts = text.split(SEG_TOKEN)
    return [names.of_seg("".join(parts[: number + 1])) for number in range(count)]


def check_seg_moments(found: Sequence[int], stated: Sequence[int] | None, *, moments: Sequence[Moment], sample_id: str) -> None:
    """Raise SampleError if a mask lies on another image than the text makes its [SEG] look for.

    Args:
        found: by the text, from `seg_moments`.
        stated: by the annotation; None = nothing is said.
        moments: of the sample.
        sample_id: for messages.
    """
    for number, (by_text, stated_one) in enumerate(zip(found, stated or (), strict=False)):
        if by_text != stated_one:
            raise SampleError(
                f"{sample_id}: mask {number} lies on the image of {moments[stated_one].time}, but by the text its {SEG_TOKEN} is drawn on "
                f"that of {moments[by_text].time}, so the model would be trained on another image than it draws on. Name the moment in the "
                "question or in the answer before the mask, or correct the mask's image."
            )
