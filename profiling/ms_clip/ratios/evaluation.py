"""Zero-shot classification of image files: batched, against one at a time."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eocore.config import load_config
from eocore.evaluate.embedding_scores import class_prompts
from eocore.predict.image_files import tell_sensor
from eocore.predict.inputs import OPTICAL
from eocore.registry import RATIOS
from eocore.synthetic.chips import CHIP_CLASSES, write_chips
from ms_clip.task import MsClipTask
from ms_clip.upstream.embedding import Reading as FileReading
from ms_clip.upstream.embedding import embed_texts, read_pixels
from ms_clip.upstream.inference import SCALE, classify_images
from ms_clip.upstream.models import Loaded, Tokenize
from ms_clip.upstream.templates import find_templates
from profiling.measures.timing import time_in_turn
from profiling.ratios.ratio import Effort, Goal, Ratio, Reading, compare

TINY = Path(__file__).resolve().parents[3] / "configs" / "ms_clip" / "ms_clip_tiny_synthetic.py"
CLASSES = list(CHIP_CLASSES.values())


@RATIOS.register_module(name="C4")
class BatchedClassification(Ratio):
    """Chips of the synthetic world in ten classes, by the tiny model with random weights, from GeoTIFFs to the table.

    Args:
        chips: files, classified together.
        alone: of them, so many are classified by a call each, which takes long.
        batch_size: of ours.
        task: fields of the config's task that are to be otherwise, dotted.
    """

    what = "zero-shot classes of a chip from its file: one at a time | batched, the next being read meanwhile"

    def __init__(self, *, chips: int = 2000, alone: int = 50, batch_size: int = 64, task: Mapping[str, Any] | None = None) -> None:
        self.chips, self.alone, self.batch_size, self.task = chips, min(alone, chips), batch_size, task or {}

    def measure(self, effort: Effort) -> list[Reading]:
        """Time of a chip: of a call for each file, and of a loop that embeds the classes once, against one call for all files."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_chips(root, {"train": 40, "test": self.chips})
            paths = sorted((root / "test" / "multispectral").rglob("*.tif"))
            loaded = self._model(root)
            together = FileReading(batch_size=self.batch_size)
            works: dict[str, Callable[[], list[str]]] = {
                "calls": partial(classify_one_by_one, loaded, paths[: self.alone]),
                "loop": partial(loop_over_files, loaded, paths),
                "ours": lambda: classify_images(loaded, paths, class_names=CLASSES, reading=together)["Class"].tolist(),
            }
            differing = sum(one != other for one, other in zip(works["loop"](), works["ours"](), strict=True))
            times = time_in_turn(works, repeats=effort.repeats, warm_up=0)
        ours, count = times["ours"].best / self.chips, f"{self.chips} chips, {differing} classified otherwise"
        calls = Goal(quantity="a call each", goal=4.0, limit="the texts of all classes, embedded for each file")
        loop = Goal(quantity="classes embedded once", goal=None, limit="cores: reading and the vision tower do the same work on both sides")
        return [
            compare(calls, "s", reference=times["calls"].best / self.alone, ours=ours, note=f"{self.alone} by a call each"),
            compare(loop, "s", reference=times["loop"].best / self.chips, ours=ours, note=count),
        ]

    def _model(self, root: Path) -> Loaded:
        captions = str(root / "train" / "captions.csv")
        own = {"task.tokenizer.path": str(root / "tokenizer"), "task.tokenizer.corpus": [captions], "task.data.annotations": captions}
        fields = load_config(TINY, {**own, **self.task}).task.to_dict()
        torch.manual_seed(0)
        task = MsClipTask(**{name: value for name, value in fields.items() if name != "type"})
        return Loaded(task.model.eval(), task.processor.pixels, Tokenize(task.processor))


def classify_one_by_one(loaded: Loaded, paths: list[Path]) -> list[str]:
    """The class of each file, by a call for each."""
    return [classify_images(loaded, [path], class_names=CLASSES)["Class"].item() for path in paths]


@torch.no_grad()
def loop_over_files(loaded: Loaded, paths: list[Path]) -> list[str]:
    """The class of each file, by a loop that embeds the classes before it and opens, reads and embeds one file after the other."""
    vectors = np.stack([embed_texts(loaded, texts).mean(0) for texts in class_prompts(CLASSES, find_templates("msclip")).texts])
    classes, found = vectors / np.linalg.norm(vectors, axis=1, keepdims=True), []
    for path in paths:
        pixels = read_pixels(loaded, path, sensor=tell_sensor(OPTICAL, (str(path),)))
        scores = SCALE * classes @ loaded.model.encode_image(pixels[None])[0].numpy()
        found.append(CLASSES[int(scores.argmax())])
    return found
