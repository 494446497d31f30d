"""What the front process and a worker say to each other through their pipe."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from eocore.errors import EOError, UnforeseenError, describe_unforeseen
from eocore.log import get_logger
from eocore.serve.requests import Event, GenerateRequest, ImagesRequest, ModelCard

Kind = Literal["generate", "embed_images", "embed_texts", "class_scores", "pixel_scores"]


@dataclass(frozen=True)
class TextsRequest:
    """Texts whose vectors are wanted."""

    model: str
    texts: tuple[str, ...]


AnyRequest = GenerateRequest | ImagesRequest | TextsRequest


@dataclass(frozen=True)
class Task:
    """A request on its way to a model.

    Attributes:
        number: of the request.
        kind: what is wanted.
        request: of that kind.
    """

    number: int
    kind: Kind
    request: Any


@dataclass(frozen=True)
class Prepare:
    """To a worker: read this request's images; it will be run later."""

    task: Task


@dataclass(frozen=True)
class Run:
    """To a worker: answer these requests, all of which are prepared. They join those that are being answered; where they cannot, they are
    of one kind and of equal options.
    """

    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Cancel:
    """To a worker: nobody waits for this request any more."""

    number: int


@dataclass(frozen=True)
class Stop:
    """To a worker: end."""


@dataclass(frozen=True)
class Ready:
    """From a worker: its model is in memory."""

    card: ModelCard


@dataclass(frozen=True)
class Prepared:
    """From a worker: this request can be run.

    Attributes:
        number: of it.
        joins: whether it can join others that are being answered.
    """

    number: int
    joins: bool = False


@dataclass(frozen=True)
class Happened:
    """From a worker: an event of an answer."""

    number: int
    event: Event


@dataclass(frozen=True, eq=False)
class Result:
    """From a worker: what was asked for, where that is an array; an answer ends with `Done` instead."""

    number: int
    value: Any


@dataclass(frozen=True)
class Failure:
    """An error that travels: of whatever class, only name and text, so that nothing else is unpickled.

    Attributes:
        name: of a class of `eocore.errors`.
        text: of the error.
    """

    name: str
    text: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """The failure that `error` becomes; one that nobody foresaw keeps its trace in this process's log alone."""
        if isinstance(error, EOError):
            return cls(next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == EOError.__module__), str(error))
        get_logger().error("a request failed: %s", describe_unforeseen(error), exc_info=error)
        return cls(UnforeseenError.__name__, f"the model failed ({type(error).__name__}); the server's log says more.")

    def error(self) -> EOError:
        """The error again."""
        return _error_classes().get(self.name, UnforeseenError)(self.text)


@cache
def _error_classes() -> dict[str, type[EOError]]:
    """Those of `eocore.errors`, by name."""
    found, left = {}, [EOError]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        if kind.__module__ == EOError.__module__:
            found[kind.__name__] = kind
    return found


@dataclass(frozen=True)
class Failed:
    """From a worker: the request cannot be answered; None = the worker itself cannot work."""

    number: int | None
    failure: Failure


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker is made of.

    Attributes:
        model: folder.
        device: as torch names it; None = the GPU if there is one.
        readers: threads that read images.
        threads: of torch; None = its own choice.
        max_pixels: of one image or window.
        generation: options of every answer.
        joins: whether requests join others that are being answered, where the model can.
        dtype, image_memory_mib: see `eocore.system.PredictorOptions`.
    """

    model: Path
    device: str | None = None
    readers: int = 2
    threads: int | None = None
    max_pixels: int = 64_000_000
    generation: dict[str, Any] = field(default_factory=dict)
    joins: bool = True
    dtype: str | None = None
    image_memory_mib: int = 0
