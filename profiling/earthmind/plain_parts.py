"""The parts of the comparison with the plain stack, by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eocore.errors import ConfigError
from profiling.earthmind.plain_comparison import Effort, Row, compare_answers, compare_mix, compare_training
from profiling.earthmind.plain_memory import compare_equal_memory


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is computed together.

    Attributes:
        batches: questions about images of their own.
        same_image: questions about one image.
        row_length: most tokens of a packed row of the mix.
    """

    batches: Sequence[int]
    same_image: int
    row_length: int


def compare_parts(
    config: Mapping[str, Any],
    names: Sequence[str],
    *,
    only: Sequence[str] | None,
    effort: Effort,
    sizes: Sizes,
) -> list[Row]:
    """The rows of all parts, or of some.

    Args:
        config: of the task.
        names: sample kinds.
        only: names of parts; None = all.
        effort: of measuring.
        sizes: of batches and rows.

    Raises:
        ConfigError: there is no such part, or the plain stack cannot run a kind.
    """
    parts: dict[str, Callable[[], list[Row]]] = {
        "train": lambda: compare_training(config, names, effort=effort),
        "mix": lambda: [compare_mix(config, row_length=sizes.row_length, effort=effort)],
        "equal-memory": lambda: compare_equal_memory(config, names, effort=effort),
        "answers": lambda: compare_answers(config, names, batches=sizes.batches, same_image=sizes.same_image, effort=effort),
    }
    unknown = [part for part in only or () if part not in parts]
    if unknown:
        raise ConfigError(f"no part {', '.join(unknown)} of this comparison. Choices: {', '.join(parts)}.")
    return [row for part in only or parts for row in parts[part]()]
