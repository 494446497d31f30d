"""How an imported model joins its sensors: as its files say, or as the caller says, because no file of the second release says it."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from earthmind.checkpoints.layouts import EARTHMIND, TRAINING, Source
from earthmind.model.configuration_earthmind import FUSIONS
from earthmind.model.hca_fusion import UPSTREAM
from eocore.checkpoints.key_map import Mapped
from eocore.errors import ConfigError
from eocore.text import did_you_mean

QUERIES = "fusion.queries"
DEAD_QUERIES = ("hca_queries", "mllm.hca_queries", "mllm.model.hca_queries")
"""What the second release's training saves and nothing reads."""


def fusion_fields(wanted: str | None, sources: Sequence[Source]) -> dict[str, Any]:
    """Fields of `EarthMindConfig` that the caller's choice decides; {} without one.

    Weights of an upstream release are read as released; a model that is new here reads the user's words alone.

    Args:
        wanted: of `ImportRequest`.
        sources: of the import.

    Raises:
        ConfigError: there is no such fusion.
    """
    if wanted is None:
        return {}
    if wanted not in FUSIONS:
        raise ConfigError(f"--fusion {wanted} is unknown.{did_you_mean(wanted, FUSIONS)} Choices: {', '.join(FUSIONS)}.")
    released = any(source.layout in (EARTHMIND, TRAINING) for source in sources)
    return {"fusion": wanted, "hca": dict(UPSTREAM) if wanted == "hca" and released else None}


def set_aside_queries(mapped: Sequence[Mapped], fusion: str | None) -> None:
    """Takes the queries of the mutual attention out of the sources where the model has another fusion."""
    if fusion in (None, "mutual_attention"):
        return
    for source in mapped:
        if QUERIES in source.tensors:
            source.unused["queries of the first release's fusion"] = {QUERIES: source.tensors.pop(QUERIES).header}


def fusion_notes(wanted: str | None, sources: Sequence[Source], *, fusion: str, unused: Collection[str]) -> Iterator[str]:
    """What the caller should know of the fusion.

    Args:
        wanted: of `ImportRequest`.
        sources: of the import.
        fusion: of the model.
        unused: our names of tensors that were set aside.
    """
    released = [source for source in sources if source.layout in (EARTHMIND, TRAINING)]
    if fusion == "hca" and QUERIES in unused:
        yield (
            "The file holds local_query, so it was trained with the first release's fusion and has never seen tokens fused by hca: it "
            "answers about one image as before; about a pair only after training (configs/earthmind/earthmind_4b_pairs.py)."
        )
    if wanted is not None or fusion == "hca" or not released:
        return
    names = {name for source in released for name in source.weights.headers}
    found = next((name for name in DEAD_QUERIES if name in names), None)
    if found is not None:
        yield f"{found} hints at the second release. If it is one, import it with --fusion hca; now pairs are joined by {fusion}."
    elif not names.intersection(("local_query", "mllm.local_query")):
        yield (
            f"No local_query: the second release's weights have none, nor has Sa2VA. If they are the second release's (EarthMind4B_multi), "
            f"import them with --fusion hca; now pairs are joined by {fusion}."
        )
