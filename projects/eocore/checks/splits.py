"""Tiles that two datasets share: what is trained on must not be tested on."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from eocore.checks.facts import DatasetFacts
from eocore.sensors.scene import Scene

PIXELS, GROUND = "pixels", "ground"
TRAINING, EVALUATION = "task", "evaluation"
"""Sections of a config with the datasets of each split."""


def tile_keys(scene: Scene) -> list[str]:
    """What identifies a tile: a digest of its pixels, and the ground it covers where that is known."""
    digest = hashlib.blake2b(np.ascontiguousarray(scene.pixels).tobytes(), digest_size=16).hexdigest()
    keys = [f"{PIXELS} {digest}"]
    if scene.georeference is not None:
        crs = hashlib.blake2b(scene.georeference.crs.encode(), digest_size=8).hexdigest()
        location = ",".join(f"{number:.6g}" for number in scene.georeference.transform[:6])
        keys.append(f"{GROUND} {scene.role} {crs} {location} {scene.size}")
    return keys


def describe_shared_tiles(facts: Sequence[DatasetFacts]) -> list[str]:
    """A warning for each pair of a dataset that is trained on and one that is evaluated on with common tiles.

    Tiles of one location count only where the tiles of each dataset lie apart: images made without real coordinates often share one.
    """
    trained = [fact for fact in facts if TRAINING in fact.sections]
    tested = [fact for fact in facts if EVALUATION in fact.sections]
    both = [fact.name for fact in tested if TRAINING in fact.sections]
    found = [f"'{name}' is both trained on and evaluated on: its scores tell what was memorised." for name in both]
    for fact in tested:
        for other in (other for other in trained if other is not fact):
            shared = {kind: _shared(fact, other, kind=kind) for kind in (PIXELS, GROUND)}
            kind = PIXELS if shared[PIXELS] else GROUND
            if shared[kind]:
                example = shared[kind][0]
                what = "hold the same pixels as" if kind == PIXELS else "show the same ground as"
                found.append(
                    f"{len(shared[kind]):,} images of '{fact.name}', which is evaluated on, {what} images of '{other.name}', which is "
                    f"trained on (such as {fact.tiles[example]} and {other.tiles[example]}): scores would tell what was memorised. Split "
                    "by tile."
                )
    return found


def _shared(fact: DatasetFacts, other: DatasetFacts, *, kind: str) -> list[str]:
    """Keys of a kind that both have."""
    if kind == GROUND and not (_lies_apart(fact) and _lies_apart(other)):
        return []
    return [key for key in fact.tiles if key.startswith(f"{kind} ") and key in other.tiles]


def _lies_apart(fact: DatasetFacts) -> bool:
    """Whether different images of a dataset lie in different locations, mostly."""
    kinds = Counter(key.partition(" ")[0] for key in fact.tiles)
    return 2 * kinds[GROUND] > kinds[PIXELS]
