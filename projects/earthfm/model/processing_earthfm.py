"""Images and conversations -> model inputs; the same object serves training, prediction and pipelines."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transformers import BatchFeature

from eocore.portable.chat_processor import ChatProcessor
from eocore.portable.chat_templates import Piece
from eocore.portable.image_slots import SLOT, shows_image
from eocore.portable.messages import Image, Text, Turn, as_turns, with_images
from eocore.portable.position_limit import SampleTooLongError, too_long
from eocore.portable.prompt_batching import EncodedPrompt, collate_prompts, to_inputs
from eocore.portable.vision_layout import SampleError

from .batching import Batch, Sample
from .image_preparation import ImagePreparer
from .processor_options import ProcessorOptions
from .sensor_inputs import SensorInputs, join_samples


class EarthFmProcessor(ChatProcessor):
    """Prepares images of Sentinel-2, Sentinel-1 and Landsat, and texts.

    Args:
        tokenizer: of the language model.
        options: what becomes of images; None = v1 nano as upstream.
        chat_template: jinja text of the chat template; None takes the one that `options.template` names.
    """

    options_class = ProcessorOptions

    def __init__(self, tokenizer: Any = None, options: ProcessorOptions | None = None, *, chat_template: str | None = None) -> None:
        super().__init__(tokenizer, options, chat_template=chat_template)
        self.options: ProcessorOptions
        self.images = ImagePreparer(self.options)

    def __call__(self, images: Any = None, text: Any = None, **ignored: Any) -> BatchFeature:
        """`input_ids`, `attention_mask` (R, S), `placeholders` and `images`, as the model's `generate` takes them.

        Args:
            images: of each prompt: what `inputs` takes.
            text: one prompt or a list, as `apply_chat_template` writes them.
            **ignored: arguments of transformers' processors that choose the form of outputs.

        Raises:
            ValueError: an image does not fit the model, or there is not one (or one mapping of roles) for each prompt.
        """
        texts = [text] if isinstance(text, str) else list(text or [])
        given = list(images) if isinstance(images, list | tuple) else [images]
        if not texts or len(given) != len(texts) or any(image is None for image in given):
            raise ValueError(
                f"{len(given)} images (or mappings of role to image) for {len(texts)} prompts; this model answers about images: give one "
                "for each."
            )
        samples = [
            Sample(self._encoded(self._prompt_pieces(prompt, has_images=True), sample_id=f"prompt {number}"), self.inputs(image))
            for number, (prompt, image) in enumerate(zip(texts, given, strict=True))
        ]
        batch = self.collate(samples, left_pad=True)
        return BatchFeature({**to_inputs(batch.prompts), "images": batch.images})

    def encode(
        self,
        images: Any,
        turns: Sequence[Turn | tuple[str, str]],
        *,
        independent: bool = False,
        for_generation: bool = False,
        max_length: int | None = None,
        sample_id: str = "",
    ) -> Sample:
        """One sample.

        Args:
            images: what `inputs` takes.
            turns: messages, or (role, text); a question last where an answer is to be generated.
            independent: each question is asked anew.
            for_generation: end with the opening of an answer.
            max_length: most tokens; None = any number.
            sample_id: for messages.

        Raises:
            SampleTooLongError: it has more tokens.
            SampleError: texts that frame turns, or masks and regions, which this model does not know.
            ValueError: an image does not fit the model.
        """
        prompt = self.measure(turns, independent=independent, for_generation=for_generation, max_length=max_length, sample_id=sample_id)
        return Sample(prompt, self.inputs(images))

    def measure(
        self,
        turns: Sequence[Turn | tuple[str, str]],
        *,
        independent: bool = False,
        for_generation: bool = False,
        max_length: int | None = None,
        sample_id: str = "",
    ) -> EncodedPrompt:
        """The text of a sample as `encode` makes it, found without a pixel; arguments and errors as there."""
        led = [self._led(turn) for turn in with_images(as_turns(turns))]
        self._check_parts(led, sample_id)
        self._check_answers(led, sample_id)
        pieces = self._render(led, independent, for_generation=for_generation)
        prompt = self._encoded(pieces, sample_id=sample_id)
        if max_length is not None and len(prompt.input_ids) > max_length:
            raise SampleTooLongError(too_long(sample_id, len(prompt.input_ids), limit=max_length))
        return prompt

    def collate(
        self, samples: Sequence[Sample], *, row_length: int | None = None, full_rows: bool = False, left_pad: bool = False
    ) -> Batch:
        """One batch; see `collate_prompts`."""
        prompts = [sample.prompt for sample in samples]
        rows = collate_prompts(prompts, pad_token_id=self.pad_token_id, row_length=row_length, full_rows=full_rows, left_pad=left_pad)
        faults = tuple(fault for sample in samples for fault in sample.faults)
        return Batch(rows, join_samples([sample.images for sample in samples]), faults)

    def inputs(self, images: Any) -> SensorInputs:
        """Normalised images of one sample (B = 1); see `ImagePreparer`."""
        return self.images(images)

    def apply_chat_template(self, conversation: Any, chat_template: str | None = None, **choices: Any) -> Any:
        """As in transformers; texts get the lead that they are trained with."""
        return super().apply_chat_template(self._led_messages(conversation), chat_template, **choices)

    def decode_answer(self, token_ids: Any) -> str:
        """The answer's text, without the end mark, padding and lead."""
        return super().decode_answer(token_ids).strip()

    def _encoded(self, pieces: Sequence[Piece], *, sample_id: str) -> EncodedPrompt:
        """The prompt with the images before all text, wherever they were put. Raise SampleError if they are not shown."""
        if not shows_image(pieces):
            raise SampleError(f"{sample_id}: no turn shows the image, which this model always reads.")
        texts = [piece for piece in pieces if not isinstance(piece.slot, Image)]
        starts = any(piece.begins_question for piece in texts)
        first = replace(SLOT, begins_question=False) if starts else SLOT
        return self.encode_pieces([first, *texts], num_embeddings=self.options.num_queries, sample_id=sample_id)

    def _led(self, turn: Turn) -> Turn:
        """The turn with the lead before its first text."""
        lead, parts = self.options.lead, list(turn.parts)
        number = next((index for index, part in enumerate(parts) if isinstance(part, Text)), None)
        if number is not None and lead:
            text = parts[number]
            assert isinstance(text, Text)
            parts[number] = replace(text, text=lead + text.text.lstrip())
        return replace(turn, parts=tuple(parts))

    def _led_messages(self, conversation: Any) -> Any:
        if isinstance(conversation, list | tuple):
            return [self._led_messages(message) for message in conversation]
        content = conversation["content"]
        if isinstance(content, str):
            return {**conversation, "content": self.options.lead + content.lstrip()}
        parts, led = [], False
        for part in content:
            if part.get("type") == "text" and not led:
                part, led = {**part, "text": self.options.lead + part["text"].lstrip()}, True
            parts.append(part)
        return {**conversation, "content": parts}

    def _check_parts(self, turns: Sequence[Turn], sample_id: str) -> None:
        """Raise SampleError if a turn holds a mask or a region."""
        strange = sorted({type(part).__name__ for turn in turns for part in turn.parts} - {"Text", "Image"})
        if strange:
            raise SampleError(f"{sample_id}: a turn holds {', '.join(strange)}, which this model cannot read or draw; it answers in text.")
