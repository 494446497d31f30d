"""A run over many items: what has no answer yet is answered, then the tables are written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.evaluate.protocols import LoadsWeights
from eocore.log import get_logger
from eocore.predict.answer_log import AnswerLog, Line
from eocore.predict.answer_tables import write_csv, write_geojson
from eocore.predict.items import Item
from eocore.predict.many import Asking, answer_items
from eocore.progress import Progress

TABLES: Mapping[str, Callable[..., None]] = {"csv": write_csv, "geojson": write_geojson}
"""Format -> what writes it beside the JSON lines that are written in any case."""


@dataclass(frozen=True)
class RunOptions:
    """Where answers go.

    Attributes:
        out: folder.
        formats: some of `eocore.predict.inputs.FORMATS`.
        overwrite: throw away what an earlier run has written.
    """

    out: Path
    formats: Sequence[str] = ()
    overwrite: bool = False


def predict_many(predictor: Any, items: Sequence[Item], *, asking: Asking, choices: Mapping[str, Any], options: RunOptions) -> list[Line]:
    """Answers what has no answer yet, and returns the lines of all items in their order.

    Args:
        predictor: of a system; its weights are read when there is something to answer.
        items: to answer.
        asking: how.
        choices: what answers depend on, see `AnswerLog`.
        options: where they go.

    Raises:
        DataError: the folder holds answers for other choices.
        OutputError: another run is working in the folder, or it cannot be written.
    """
    log = AnswerLog(options.out, choices)
    left = log.open(items, overwrite=options.overwrite)
    if len(left) < len(items):
        get_logger().info("%d of %d items are answered already", len(items) - len(left), len(items))
    if left and isinstance(predictor, LoadsWeights):
        predictor.load()
    try:
        with Progress("answering", len(left), unit="items") as progress:
            for batch in answer_items(predictor, left, asking=asking) if left else ():
                log.add(batch)
                progress.advance(len(batch))
    finally:
        lines = log.close(items)
    for name in options.formats:
        if name in TABLES:
            TABLES[name](options.out / f"answers.{name}", lines, question=asking.question.text)
    return lines
