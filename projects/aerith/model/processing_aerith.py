"""Images and text -> model inputs; the same object serves training and prediction."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature

from eocore.portable.band_rendering import DISPLAY_UNIT, as_scene
from eocore.portable.chat_processor import ChatProcessor
from eocore.portable.chat_templates import Piece
from eocore.portable.image_slots import check_one_position
from eocore.portable.image_tiling import resize
from eocore.portable.messages import Turn, as_turns
from eocore.portable.position_limit import SampleTooLongError, too_long
from eocore.portable.prompt_batching import EncodedPrompt, to_inputs
from eocore.portable.prompt_images import images_per_prompt
from eocore.portable.vision_layout import SampleError

from .batching import Batch, Images, Sample, collate
from .processor_options import ROLES, ProcessorOptions

NUM_COLOURS = 3


class AerithProcessor(ChatProcessor):
    """Prepares questions about pictures, each whole: it is resized to the square that a tower sees, never cut, so that boxes do not shift.

    Args:
        tokenizer: any; no token of it stands for an image.
        options: sizes and the name of the chat template; None = those of the full size.
        chat_template: jinja text of the chat template; None takes the one that `options.template` names.
    """

    options_class = ProcessorOptions

    def __init__(self, tokenizer: Any = None, options: ProcessorOptions | None = None, *, chat_template: str | None = None) -> None:
        super().__init__(tokenizer, options, chat_template=chat_template)

    def encode(
        self,
        images: Mapping[str, Any],
        turns: Sequence[Turn | tuple[str, str]],
        *,
        independent: bool = False,
        for_generation: bool = False,
        max_length: int | None = None,
        sample_id: str = "",
    ) -> Sample:
        """One sample, ready for `collate`.

        Args:
            images: {"rgb": picture}, or none.
            turns: messages, or (role, text) in the notation of `messages`; the image is shown once, in the first question.
            independent: each question sees the image and itself alone.
            for_generation: end with the opening of an answer.
            max_length: most tokens; longer is an error, nothing is cut.
            sample_id: for messages.

        Raises:
            SampleError: text and image do not fit together, or the image is no picture. SampleTooLongError: it is too long.
        """
        turns = as_turns(turns)
        pictures = self._pictures(images, sample_id)
        check_one_position(turns, len(pictures.clip), sample_id=sample_id)
        self._check_answers(turns, sample_id)
        pieces = self._render(turns, independent, for_generation=for_generation)
        sample = self._assemble(pieces, pictures, sample_id=sample_id)
        _check_length(sample.prompt, max_length, for_generation=for_generation)
        return sample

    def measure(
        self,
        num_images: int,
        turns: Sequence[Turn],
        *,
        independent: bool = False,
        max_length: int | None = None,
        sample_id: str = "",
    ) -> EncodedPrompt:
        """The text of a sample as `encode` makes it, found without a pixel: what sizes are read from.

        Args:
            num_images: of the sample, 0 or 1.
            turns, independent, max_length, sample_id: as `encode`.

        Raises:
            SampleError, SampleTooLongError: as `encode`, as far as no pixel is needed to see it.
        """
        check_one_position(turns, num_images, sample_id=sample_id)
        self._check_answers(turns, sample_id)
        count = self.options.tokens_per_image * num_images
        prompt = self.encode_pieces(self._render(turns, independent), num_embeddings=count, sample_id=sample_id)
        _check_length(prompt, max_length, for_generation=False)
        return prompt

    def collate(self, samples: Sequence[Sample], **layout: Any) -> Batch:
        """One batch of encoded samples; see `batching.collate`, whose further arguments it takes."""
        return collate(samples, pad_token_id=self.pad_token_id, **layout)

    def __call__(self, images: Any = None, text: Any = None, **ignored: Any) -> BatchFeature:
        """Inputs of `generate` for prompts in the chat format (what `apply_chat_template` hands in), or for plain text.

        Args:
            images: one picture, a list, or a list of lists, one a prompt; each prompt shows one at most.
            text: prompt or prompts, each with `<image>` where its image belongs, or in front of it.
            **ignored: arguments by which transformers chooses the form of outputs; they are always padded tensors.

        Raises:
            SampleError: prompts and images do not fit together.
        """
        prompts = [text] if isinstance(text, str) else list(text)
        samples = []
        for prompt, shown in zip(prompts, images_per_prompt(images, len(prompts)), strict=True):
            named = shown if isinstance(shown, Mapping) else {"rgb": shown[0]} if len(shown) == 1 else dict(enumerate(shown))
            pictures = self._pictures(named, "prompt")
            pieces = self._prompt_pieces(prompt, has_images=bool(len(pictures.clip)))
            samples.append(self._assemble(pieces, pictures, sample_id="prompt"))
        batch = self.collate(samples, left_pad=True)
        return BatchFeature({**to_inputs(batch.prompts), "images": batch.images if len(batch.images.clip) else None})

    def _assemble(self, pieces: Sequence[Piece], pictures: Images, *, sample_id: str) -> Sample:
        count = self.options.tokens_per_image * len(pictures.clip)
        return Sample(self.encode_pieces(pieces, num_embeddings=count, sample_id=sample_id), pictures)

    def _pictures(self, images: Mapping[Any, Any], sample_id: str) -> Images:
        """Both towers' images of a sample, N = 0 without one."""
        first, second = self.options.clip_size, self.options.dinov3_size
        if not images:
            clip, dinov3 = (torch.zeros(0, NUM_COLOURS, side, side, dtype=torch.uint8) for side in (first, second))
            return Images(clip, dinov3)
        pixels = colours(images, sample_id)
        return Images(resized(pixels, first)[None], resized(pixels, second)[None])


def colours(images: Mapping[Any, Any], sample_id: str) -> np.ndarray:
    """(3, H, W) uint8 of the one picture of a sample.

    Args:
        images: by role.
        sample_id: for messages.

    Raises:
        SampleError: there is another image, none, or it is no picture in colours.
    """
    if set(images) != set(ROLES):
        raise SampleError(
            f"{sample_id}: the model reads one picture of the role {ROLES[0]}, found {', '.join(map(str, images)) or 'none'}. Give it "
            "that one."
        )
    scene = as_scene(images[ROLES[0]])
    if scene.unit != DISPLAY_UNIT or len(scene.pixels) != NUM_COLOURS:
        raise SampleError(
            f"{sample_id}: the model reads pictures of red, green and blue, found {', '.join(scene.bands)} [{scene.unit}]. Render the "
            "bands as a picture first."
        )
    return np.asarray(scene.pixels).astype(np.uint8)


def resized(pixels: np.ndarray, side: int) -> Tensor:
    """(3, side, side) uint8 of the whole picture: positions keep their place on a 0..1 scale, whatever the picture's shape."""
    return torch.from_numpy(np.array(resize(pixels, (side, side))))


def _check_length(prompt: EncodedPrompt, max_length: int | None, *, for_generation: bool) -> None:
    """Raise SampleTooLongError if a sample's prompt has more than `max_length` tokens."""
    count, name = len(prompt.input_ids), prompt.sample_id
    if max_length is None or count <= max_length:
        return
    if for_generation:
        raise SampleTooLongError(too_long(name or "the prompt", count, limit=max_length))
    raise SampleTooLongError(
        f"{name}: {count} tokens ({len(prompt.placeholders)} of them the image), at most {max_length} are allowed; nothing was "
        "cut. Raise task.max_length, or shorten the conversation."
    )
