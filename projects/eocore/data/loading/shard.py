"""Which part of an endless order of batches a process takes."""

from dataclasses import dataclass

from eocore.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Which batches of an endless order are wanted: those of `rank` among `world_size`, from global batch `start_step` on.

    Attributes:
        rank, world_size: this process and the number of them.
        seed: of order and of per-sample randomness.
        start_step: number of global batches that an earlier run has used up.

    Raises:
        ConfigError: a number is out of range.
    """

    rank: int = 0
    world_size: int = 1
    seed: int = 0
    start_step: int = 0

    def __post_init__(self) -> None:
        if self.world_size < 1:
            raise ConfigError(f"shard of the data: world_size must be at least 1, found {self.world_size}.")
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(f"shard of the data: rank {self.rank} is not one of {self.world_size} ranks.")
        if self.start_step < 0:
            raise ConfigError(f"shard of the data: start_step must be at least 0, found {self.start_step}.")


WHOLE = Shard()
"""All of it, from the start, in the order of seed 0."""
