"""Files of several moments, and videos: which image was taken when, and the scenes that are read from them."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eocore.data.io.image_listing import list_images
from eocore.data.io.readers import MAX_BYTES
from eocore.data.io.scene_sets import read_scenes
from eocore.data.io.video_files import SUFFIXES, frame_refs, frame_seconds, is_video
from eocore.data.records import ImageRef, is_time
from eocore.errors import ConfigError, DataError
from eocore.log import get_logger
from eocore.portable.sample_error import SampleError
from eocore.portable.series import AFTER, BEFORE, check_order, day_of, sort_key
from eocore.predict.image_files import DISPLAY_SENSORS, ImageFile, image_refs, tell_empty_bands
from eocore.predict.inputs import INPUTS, OPTICAL
from eocore.sensors.scene import Scene
from eocore.text import did_you_mean

_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?!\d)")
"""A date in a file name, with or without dashes or underscores, as products and downloads have it."""
_SENSED_FIRST = re.compile(r"S1[A-D]_|S2[A-D]_MSI|L[COTEM]0\d_L[12]")
"""Names of products whose first date is that of the image; others that follow are of its end, its processing or its product."""


@dataclass(frozen=True)
class DatedFile:
    """An image of one moment: the input it is given as, its file, and its time."""

    input: str
    file: ImageFile
    time: str


def find_series(sources: Sequence[str], dates: Sequence[str], *, options: Mapping[str, ImageFile]) -> list[DatedFile]:
    """The images of a series in the order of their dates.

    Args:
        sources: folders or image files, each with its input in front ("sar=FOLDER"; without one, the images are "optical").
        dates: of all files in their order, those of a folder sorted by name; none = each date is read from the file's name, and a
            folder is sorted by them.
        options: input -> what is said of its files (`paths` does not count).

    Raises:
        ConfigError: an input is unknown, a date is missing, none, or not as many as files.
        DataError: a file or folder is missing, a folder holds no image, there is one image alone, or dates of one input are equal or out
            of order.
    """
    files = [file for source in sources for file in _files_of(source, by_date=not dates)]
    if dates and len(dates) != len(files):
        listed = ", ".join(Path(path).name for _, path in files[:6]) + (", ..." if len(files) > 6 else "")
        raise ConfigError(
            f"--dates: {_number(len(dates), 'date')} for {_number(len(files), 'image')} ({listed}). Give one for each, in order."
        )
    times = [_given(date) for date in dates] or [_named(path) for _, path in files]
    if not dates:
        _tell_several_dates([path for _, path in files])
    _tell_other_dates([path for _, path in files], times)
    dated = [
        DatedFile(name, replace(options.get(name, ImageFile(())), paths=(path,)), time)
        for (name, path), time in zip(files, times, strict=True)
    ]
    if len(set(times)) < 2:
        raise DataError(
            f"--series: {_number(len(files), 'image')} of 1 date; a series has at least two. Ask about images of one date by "
            "--optical, --sar and so on."
        )
    for name in dict.fromkeys(one.input for one in dated):
        _check([one.time for one in dated if one.input == name], what=f"--series, {name} images")
    return sorted(dated, key=lambda one: sort_key(one.time))


def find_pair(before: Sequence[str], after: Sequence[str], *, dates: Sequence[str], options: Mapping[str, ImageFile]) -> list[DatedFile]:
    """The images before and after.

    Args:
        before, after: files or product folders, each with its input in front; without one, the images are "optical".
        dates: of both; none = "before" and "after".
        options: see `find_series`.

    Raises:
        ConfigError: one of both is missing, or there are not two dates.
        DataError: the dates are equal or out of order.
    """
    if not before or not after:
        raise ConfigError("--before and --after belong together: give an image for each.")
    if dates and len(dates) != 2:
        raise ConfigError(f"--dates: {_number(len(dates), 'date')}, but --before and --after are two moments. Give both dates, or none.")
    times = [_given(date) for date in dates] or [BEFORE, AFTER]
    _check(times, what="--before, --after")
    named = [(*_split(source), time) for sources, time in ((before, times[0]), (after, times[1])) for source in sources]
    if dates:
        _tell_other_dates([path for _, path, _ in named], [time for _, _, time in named])
    return [DatedFile(name, replace(options.get(name, ImageFile(())), paths=(path,)), time) for name, path, time in named]


def read_series(files: Sequence[DatedFile], *, max_bytes: int | None = None) -> dict[str, Scene]:
    """The scenes of one place, by role and time, such as "multispectral 2024-05-31", in order.

    Args:
        files: in the order of their times.
        max_bytes: refuse to read more than this for one image; None = MAX_BYTES of the readers.

    Raises:
        DataError: a file cannot be read, or the images show different places.
        BandError: a sensor cannot be told from a file, or does not fit it.
        ConfigError: two images of one moment have one role.
    """
    refs: dict[str, ImageRef] = {}
    for one in files:
        (found,) = image_refs({one.input: one.file}).values()
        ref = replace(found, time=one.time)
        if ref.label in refs:
            raise ConfigError(
                f"{ref.paths[0]}: another {ref.role} image of {one.time} is given ({refs[ref.label].paths[0]}). Give each its own date."
            )
        refs[ref.label] = ref
    _tell_duplicates(refs)
    scenes = read_scenes(tuple(refs.values()), root_of=lambda _: None, source="the series", max_bytes=max_bytes or MAX_BYTES)
    for scene in scenes:
        tell_empty_bands(scene)
    return dict(zip(refs, scenes, strict=True))


def read_video(path: str, *, max_frames: int, max_bytes: int | None = None) -> tuple[dict[str, Scene], dict[str, float]]:
    """Frames of a video at even distances, as pictures of the moments "frame 1", "frame 2", ..., and when each is shown [s]; see
    `eocore.data.io.video_files`.

    Args:
        path: of the file.
        max_frames: most that are shown.
        max_bytes: refuse to read more than this for one frame; None = MAX_BYTES of the readers.

    Raises:
        ConfigError: PyAV is not installed.
        DataError: the file is missing, no video (by its name too), damaged, or has no frame.
    """
    if not is_video(path):
        raise DataError(f"--video {path!r}: expected a video file, by its name one of {', '.join(SUFFIXES)}. Rename or convert it.")
    refs = frame_refs(ImageRef("rgb", DISPLAY_SENSORS[3], (path,)), max_frames)
    scenes = read_scenes(refs, root_of=lambda _: None, source=path, max_bytes=max_bytes or MAX_BYTES)
    if len(refs) == 1:  # a picture, of no moment among others
        return {"rgb": replace(scenes[0], time="")}, {"rgb": frame_seconds(refs[0])}
    return {ref.label: scene for ref, scene in zip(refs, scenes, strict=True)}, {ref.label: frame_seconds(ref) for ref in refs}


def _split(source: str) -> tuple[str, str]:
    name, equals, path = source.partition("=")
    if not equals or os.path.exists(source):
        return OPTICAL, source
    if name not in INPUTS or not path:
        meant = "" if name in INPUTS else did_you_mean(name, INPUTS)
        raise ConfigError(f"{source}: expected [INPUT=]PATH, with INPUT one of {', '.join(INPUTS)}.{meant}")
    return name, path


def _files_of(source: str, *, by_date: bool) -> list[tuple[str, str]]:
    """Input and path of each image that `source` names: names of missions sort before their dates, so that names alone are no order."""
    name, path = _split(source)
    folder = Path(path)
    if "://" not in path and not os.path.exists(path):
        raise DataError(f"--series {path!r}: there is no such file or folder. Correct the path.")
    if not folder.is_dir() or folder.name in list_images(folder.parent):  # a product as delivered is a folder too
        return [(name, path)]
    found = [str(folder / file) for file in list_images(folder)]
    if not found:
        raise DataError(f"{path}: no image files or product folders in it. Name another folder.")
    return [(name, file) for file in (sorted(found, key=_named) if by_date else found)]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)


def _given(date: str) -> str:
    if not is_time(date):
        raise ConfigError(f"--dates {date}: expected ISO 8601 dates or date-times, such as 2024-05-31.")
    return date


def _days_of(path: str) -> list[str]:
    """The unlike dates in a file's name, in order."""
    days = ["-".join(parts) for parts in _DAY.findall(Path(path).name)]
    return list(dict.fromkeys(day for day in days if is_time(day)))


def _day_of(path: str) -> str:
    """The first date in a file's name; "" where it holds none."""
    return next(iter(_days_of(path)), "")


def _named(path: str) -> str:
    """The date in a file's name. Raises ConfigError where there is none."""
    time = _day_of(path)
    if not time:
        raise ConfigError(
            f"{path}: its name holds no date, and the images of a series are told apart by theirs. Give --dates, one for each image "
            "in their order, such as --dates 2024-05-31 2024-06-15."
        )
    return time


def _tell_several_dates(paths: Sequence[str]) -> None:
    """Warn where names hold several dates and are not those of products, of which the first is known to count."""
    unsure = [path for path in paths if len(_days_of(path)) > 1 and not _SENSED_FIRST.match(Path(path).name)]
    if unsure:
        first = unsure[0]
        get_logger().warning(
            "the names of %d of %d files hold several dates, of which the first is taken: %s is taken for an image of %s (it names %s). "
            "Give --dates if another one counts.",
            *(len(unsure), len(paths), Path(first).name, _day_of(first), ", ".join(_days_of(first))),
        )


def _tell_duplicates(refs: Mapping[str, ImageRef]) -> None:
    """Warn where one file is given for several moments: nothing can have changed between them."""
    labels: dict[tuple[str, ...], list[str]] = {}
    for label, ref in refs.items():
        labels.setdefault(tuple(os.path.realpath(path) for path in ref.paths), []).append(label)
    for paths, same in labels.items():
        if len(same) > 1:
            get_logger().warning("%s is given %d times (%s): the model sees no change between them", paths[0], len(same), ", ".join(same))


def _tell_other_dates(paths: Sequence[str], times: Sequence[str]) -> None:
    """Warn where a file is given another date than its name holds: files of a folder come by name, which may be no order of dates."""
    days = [_days_of(path) for path in paths]
    other = [(Path(path).name, time) for path, own, time in zip(paths, days, times, strict=True) if own and day_of(time) not in own]
    if other:
        listed = ", ".join(f"{name} is given {time}" for name, time in other[:3]) + (", ..." if len(other) > 3 else "")
        get_logger().warning(
            "--dates: %d of %d files have another date in their names (%s). The files of a folder are taken in the order of their names; "
            "name the files themselves to give them in another order, or leave --dates out to have the dates read from the names.",
            len(other),
            len(paths),
            listed,
        )


def _check(times: Sequence[str], *, what: str) -> None:
    try:
        check_order(times, source=what)
    except SampleError as error:
        raise DataError(str(error)) from error
