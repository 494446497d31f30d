"""What augmentation wants done to the images of a record after they are read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from eocore.sensors.scene import Scene

if TYPE_CHECKING:
    from eocore.data.io.readers import SceneHeader
    from eocore.data.records import ImageRef, Record


class SceneChange(Protocol):
    """A change with all its numbers drawn: the same again for each image of a record, and for each reading."""

    def header(self, header: "SceneHeader") -> "SceneHeader":
        """The header of what `scene` returns."""

    def scene(self, scene: Scene) -> Scene:
        """The changed image; another where the change is not for its sensor."""


@dataclass(frozen=True)
class Augmentation:
    """What augmentation did to a record, and what is left to do to its images.

    Attributes:
        changes: of its images, in order.
        kept: why a change that was drawn was left out, such as words that it would make wrong; for counts.
        before: the record before the first change; None where nothing was changed.
        header_of: the header of an image as read; None = from its file, by the path alone.
    """

    changes: tuple[SceneChange, ...] = ()
    kept: tuple[str, ...] = ()
    before: "Record | None" = None
    header_of: "Callable[[ImageRef], SceneHeader] | None" = field(default=None, compare=False, repr=False)


NOT_AUGMENTED = Augmentation()


def with_change(record: "Record", changed: "Record", *, change: SceneChange) -> "Record":
    """`changed`, what a transform made of `record`'s words, with a change of its images to come."""
    done = record.augmentation
    return replace(changed, augmentation=replace(done, changes=(*done.changes, change), before=done.before or record))


def kept_as_is(record: "Record", reason: str) -> "Record":
    """The record without the change that was drawn, with the reason."""
    return replace(record, augmentation=replace(record.augmentation, kept=(*record.augmentation.kept, reason)))


def with_headers(record: "Record", header_of: "Callable[[ImageRef], SceneHeader]") -> "Record":
    """The record for transforms that ask for sizes of its images."""
    return replace(record, augmentation=replace(record.augmentation, header_of=header_of))


def change_scenes(scenes: Iterable[Scene], changes: Sequence[SceneChange]) -> tuple[Scene, ...]:
    """The scenes of a record after its changes."""
    return tuple(_changed(scene, changes) for scene in scenes)


def _changed(scene: Scene, changes: Sequence[SceneChange]) -> Scene:
    for change in changes:
        scene = change.scene(scene)
    return scene


def change_headers(headers: Iterable["SceneHeader"], changes: Sequence[SceneChange]) -> list["SceneHeader"]:
    """The headers of `change_scenes`."""
    found = list(headers)
    for change in changes:
        found = [change.header(header) for header in found]
    return found
