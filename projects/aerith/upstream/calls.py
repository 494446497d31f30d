"""The class that AerithVLM's README calls: `AerithVLM.from_pretrained(DIR)`, `.eval()`, `.generate(image, prompt)`.

Source: vendetta127/AerithVLM at fb464cc, README; no code of it was published.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from aerith.checkpoints.upstream_folder import write_upstream
from aerith.model.processor_options import ROLES
from aerith.predictor import AerithPredictor
from eocore.errors import AlignmentError
from eocore.system import PredictorOptions

Picture = Image.Image | np.ndarray
MAX_NEW_TOKENS = 128
"""Longest answer unless another is asked for; upstream states none."""


class AerithVLM:
    """A model that answers questions about pictures.

    Args:
        predictor: of the model.
    """

    def __init__(self, predictor: AerithPredictor) -> None:
        self.predictor = predictor

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str | None = None, generation: Mapping[str, Any] | None = None) -> Self:
        """The model of a folder, its weights read.

        Args:
            folder: a converted model, or one of the promised folders (`aerith.checkpoints.upstream_folder`). Nothing is downloaded.
            device: as torch names it; None = the GPU if there is one.
            generation: how text is generated, as `tools/predict.py --generation` takes it; greedily without.

        Raises:
            CheckpointError: the folder is no such model, or damaged.
            ConfigError: a generation option is unknown or does not fit the others, or there is no such device.
        """
        predictor = AerithPredictor(Path(folder), PredictorOptions(device=device, generation=generation or {}))
        predictor.load()
        return cls(predictor)

    def eval(self) -> Self:
        """Itself; the model only answers, so that it is in evaluation mode always."""
        return self

    def generate(
        self, image: Picture | Sequence[Picture | None] | None, prompt: str | Sequence[str], *, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> Any:
        """The answer to a question about a picture: a str. The answers to several, all in one batch: a list of str.

        Args:
            image: picture of Pillow or (H, W, 3) uint8; None = the question is of text alone; or a list of these, one a prompt.
            prompt: question, which begins with `[CLS]`, `[VQA]`, `[CAP]` or `[VG]`; or a list. Several about one picture, or one about
                several, are allowed.
            max_new_tokens: longest answer.

        Raises:
            AlignmentError: there are several pictures and another number of prompts.
            DataError: the model cannot take a picture or a prompt.
        """
        single = isinstance(prompt, str) and (image is None or isinstance(image, Picture))
        pictures, prompts = _paired(image, prompt)
        questions = [({} if shown is None else {ROLES[0]: shown}, text) for shown, text in zip(pictures, prompts, strict=True)]
        answers = self.predictor.chat(questions, max_new_tokens=max_new_tokens) if questions else []
        return answers[0] if single else answers

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Writes one of the promised folders; its LoRA is merged, so that language_model/ holds it and llama_lora_adapter/ is not there.

        Raises:
            CheckpointError: `folder` is taken.
            OutputError: the disk is full, or it may not be written to.
        """
        model, processor = self.predictor.parts
        write_upstream(model, processor, out=Path(folder), overwrite=overwrite)


def _paired(image: Any, prompt: str | Sequence[str]) -> tuple[list[Any], list[str]]:
    """As many pictures as prompts. Raises AlignmentError where one of them is neither single nor as many as the others."""
    pictures = [image] if image is None or isinstance(image, Picture) else list(image)
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if isinstance(prompt, str):
        prompts *= len(pictures)
    elif image is None or isinstance(image, Picture):
        pictures *= len(prompts)
    if len(pictures) != len(prompts):
        raise AlignmentError(
            f"{len(pictures)} pictures and {len(prompts)} prompts; each prompt is asked about one picture. Give as many of both, or one of "
            "either."
        )
    return pictures, prompts
