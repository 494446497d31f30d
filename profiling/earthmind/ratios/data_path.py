"""Ratios of the data path: placeholders of vision tokens, images opened, memory that a loader process takes with the time."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from earthmind.model.batching import Sample
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.processor_options import ProcessorOptions
from earthmind.model.special_tokens import IMAGE_END, IMAGE_START, IMAGE_TOKEN, PROMPT_TOKENS, SPECIAL_TOKENS
from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.portable.band_rendering import grounding_image
from eocore.portable.chat_templates import Piece, get_template, render
from eocore.portable.image_tiling import resize
from eocore.portable.messages import IMAGE_PLACEHOLDER
from eocore.portable.messages import Image as ImagePart
from eocore.portable.text_splicing import TextSplicer
from eocore.registry import RATIOS
from profiling.measures.timing import time_in_turn
from profiling.ratios.ratio import SIDES, Effort, Goal, Pair, Ratio, Reading, Side, compare

TOKENS_PER_TILE = 256
TEMPLATE = "phi3_chat"
SENTENCES = ("What is the land along the river used for?", "Please segment the ships in this image.", "Sure, here it is.")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with the special tokens, as fast as any of its kind; it takes what a real one takes for placeholders."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=["<pad>", "<eos>"], initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(list(SENTENCES) * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
    tokenizer.add_special_tokens({"additional_special_tokens": [*SPECIAL_TOKENS, *get_template(TEMPLATE).control_tokens]})
    return tokenizer


@RATIOS.register_module(name="G11")
class PlaceholderIds(Pair):
    """Token ids of an image's block in the prompt: all placeholders tokenised as text, or put in as ids.

    Args:
        tiles: of the image; the upstream code cuts up to 13.
    """

    what = "placeholders of vision tokens: tokenised as text | put in as ids"
    goals = (Goal(quantity="time", goal=50.0, limit="grows with the tiles"),)
    tolerance = 0.0

    def __init__(self, *, tiles: int = 13) -> None:
        self.num_placeholders = tiles * TOKENS_PER_TILE
        self.tokenizer = byte_tokenizer()

    def prepare(self, side: Side) -> Callable[[], Tensor]:
        """The ids (L,) of the block."""

        def tokenise() -> Tensor:
            block = IMAGE_START + IMAGE_TOKEN * self.num_placeholders + IMAGE_END
            return torch.tensor(self.tokenizer(block, add_special_tokens=False).input_ids)

        splicer = TextSplicer(self.tokenizer, PROMPT_TOKENS, marks=get_template(TEMPLATE).control_tokens)
        positions, piece = torch.arange(self.num_placeholders), Piece(IMAGE_PLACEHOLDER, supervised=False, trusted=False, slot=ImagePart())

        def splice() -> Tensor:
            return splicer.splice([piece], [("", positions)], regions=[], sample_id="G11").input_ids

        return tokenise if side == "reference" else splice


@RATIOS.register_module(name="G12")
class SamplePreparation(Ratio):
    """From a JPEG to the tiles of a sample: decoded twice with SAM 2's image always made, or decoded once and that image made for masks.

    Args:
        side: of the image [px]; 800 px give 2 x 2 tiles and a thumbnail.
    """

    what = "sample from a JPEG: opened twice, SAM 2 image always | once, where masks are"

    def __init__(self, *, side: int = 800) -> None:
        self.side = side
        self.processor = EarthMindProcessor(byte_tokenizer(), ProcessorOptions(template=TEMPLATE))
        self.mask = np.zeros((side, side), bool)
        self.mask[side // 4 : side // 2, side // 4 : side // 2] = True

    def measure(self, effort: Effort) -> list[Reading]:
        """Time with a mask, and without."""
        readings = []
        with tempfile.TemporaryDirectory() as folder:
            ref = ImageRef("rgb", "rgb_uint8", (str(_photograph(Path(folder) / "image.jpg", self.side)),))
            for name, masks, goal in (("time, masks", [self.mask], 1.1), ("time, no masks", [], 1.3)):
                works: dict[str, Callable[[], object]] = {side: self._work(side, ref, masks=masks) for side in SIDES}
                times = time_in_turn(works, repeats=effort.repeats, warm_up=effort.warm_up)
                limit = "the one decoding and the tiles"
                readings.append(
                    compare(Goal(quantity=name, goal=goal, limit=limit), "s", reference=times["reference"].best, ours=times["ours"].best)
                )
        return readings

    def _work(self, side: Side, ref: ImageRef, *, masks: list[np.ndarray]) -> Callable[[], object]:
        turns = [("user", f"{IMAGE_PLACEHOLDER}\n{SENTENCES[1]}"), ("assistant", "[SEG]" * len(masks) or SENTENCES[2])]

        def ours() -> Sample:
            return self.processor.encode({"rgb": read_scene(ref)}, turns, masks=masks)

        def reference() -> Any:
            size = (self.processor.options.grounding_size, self.processor.options.grounding_size)
            drawn_on = resize(
                grounding_image(read_scene(ref), self.processor.options.presentation["rgb"]), size, resample=Image.Resampling.BILINEAR
            )
            return drawn_on, self.processor.encode({"rgb": read_scene(ref)}, turns, masks=masks, with_grounding=False)

        return ours if side == "ours" else reference


def _photograph(path: Path, side: int) -> Path:
    """A JPEG that costs about as much to decode as an aerial picture: smooth shapes with grain."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 8, (side, side, 3))
    Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(path, quality=90)
    return path


@RATIOS.register_module(name="G15")
class WorkerMemory(Ratio):
    """Memory that a loader process takes the longer it runs: prompts written back into the data, or not.

    Args:
        samples: over which it is measured.
        settled: samples before them. What is remembered fills up in these: known texts, and words of the tokenizer.
        tiles: of each image.
    """

    what = "loader process, memory kept of a sample: prompt written back | nothing"

    def __init__(self, *, samples: int = 20_000, settled: int = 20_000, tiles: int = 13) -> None:
        self.samples, self.settled, self.tiles = samples, settled, tiles

    def measure(self, effort: Effort) -> list[Reading]:
        """Slope of the resident memory over the samples, least squares."""
        slopes = {side: self._slope(side) for side in SIDES}
        note = f"{self.samples} samples of {self.tiles} tiles in one loader process, after {self.settled}"
        reading = Reading(
            quantity="memory",
            unit="bytes a sample",
            reference=slopes["reference"],
            ours=slopes["ours"],
            reached=slopes["ours"],
            goal=100.0,
            limit="0",
            at_least=False,
            note=note,
        )
        return [reading]

    def _slope(self, side: Side) -> float:
        # a process of its own: a forked one would fill up what this one has freed, and its memory would not grow
        loader: DataLoader = DataLoader(
            _Prompts(side, self.settled + self.samples, tiles=self.tiles),
            batch_size=None,
            num_workers=1,
            shuffle=False,
            multiprocessing_context="spawn",
        )
        held = np.array([memory for memory in loader], dtype=np.float64)[self.settled :]
        return float(np.polyfit(np.arange(len(held)), held, 1)[0])


class _Prompts(Dataset[int]):
    """Prepares the text of the sample asked for, and gives what this process then holds [bytes]."""

    def __init__(self, side: Literal["reference", "ours"], samples: int, *, tiles: int) -> None:
        self.side, self.num_placeholders = side, tiles * TOKENS_PER_TILE
        self.messages = [f"{IMAGE_PLACEHOLDER}\n{SENTENCES[0]} ({number})" for number in range(samples)]
        self.tokenizer = byte_tokenizer()
        self.splicer = TextSplicer(self.tokenizer, PROMPT_TOKENS, marks=get_template(TEMPLATE).control_tokens)

    def __len__(self) -> int:
        return len(self.messages)

    def __getitem__(self, index: int) -> int:
        if self.side == "reference":
            block = IMAGE_START + IMAGE_TOKEN * self.num_placeholders + IMAGE_END
            self.messages[index] = self.messages[index].replace(IMAGE_PLACEHOLDER, block)
        else:
            pieces = render([("user", self.messages[index]), ("assistant", SENTENCES[2])], get_template(TEMPLATE))
            self.splicer.splice(pieces, [("", torch.arange(self.num_placeholders))], regions=[], sample_id=str(index))
        return _resident_bytes()


def _resident_bytes() -> int:
    """Resident set of this process. Source: proc(5), /proc/[pid]/statm."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
