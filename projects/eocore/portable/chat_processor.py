"""What processors of models that answer in text share: conversations and prompts become token ids with placeholders for images."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from transformers import ProcessorMixin

from eocore.portable.answer_text import AnswerText
from eocore.portable.chat_templates import Piece, choose_template, defuse_messages, parse_prompt, render, render_questions
from eocore.portable.image_slots import shows_image, with_leading_image, with_one_image
from eocore.portable.kept_turns import check_turns_kept
from eocore.portable.messages import SEG_PLACEHOLDER, Turn
from eocore.portable.prompt_batching import EncodedPrompt
from eocore.portable.text_splicing import PromptTokens, TextSplicer
from eocore.portable.vision_layout import SampleError

AS_TEXT = {"tokenize": False, "return_dict": False, "return_assistant_tokens_mask": False, "continue_final_message": False}
"""Choices of `apply_chat_template` with which it returns the prompt as text."""


class ChatOptions(Protocol):
    """What every system's options hold."""

    @property
    def template(self) -> str:
        """Name of the chat template, a .jinja file beside this one."""


class ChatProcessor(ProcessorMixin):
    """Base of processors.

    Attributes:
        options_class: dataclass of the system's options, with `template`; in processor_config.json its fields stand side by side.
        prompt_tokens: the special tokens that prompts are put together from.
        answer_tokens: special tokens that an answer may hold.
        seg_token: that stands for a mask in an answer.

    Args:
        tokenizer: that holds the special tokens.
        options: of the system; None = all at their defaults.
        chat_template: jinja text of the chat template; None takes the one that `options.template` names.
    """

    options_class: ClassVar[type]
    prompt_tokens: ClassVar[PromptTokens] = PromptTokens()
    answer_tokens: ClassVar[Collection[str]] = ()
    seg_token: ClassVar[str] = SEG_PLACEHOLDER

    def __init__(self, tokenizer: Any = None, options: Any = None, *, chat_template: str | None = None) -> None:
        self.options = self.options_class() if options is None else options
        self.chat_format = choose_template(self.options.template, chat_template)
        super().__init__(tokenizer, chat_template=self.chat_format.text)
        tokenizer.padding_side = "left"  # where pipelines fill up prompts of unequal length: answers continue at the end
        self._splicer = TextSplicer(tokenizer, self.prompt_tokens, marks=self.chat_format.control_tokens)
        self._answers = AnswerText(tokenizer, self.end_of_turn)

    @classmethod
    def from_args_and_dict(cls, args: Sequence[Any], processor_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """As in transformers, which calls it with the parts and with processor_config.json, where the options stand side by side."""
        return_unused = kwargs.pop("return_unused_kwargs", False)
        given = {**processor_dict, **kwargs}
        names = {field.name for field in fields(cls.options_class)}
        options = cls.options_class(**{name: value for name, value in given.items() if name in names})
        made = cls(next(iter(args), None), options, chat_template=given.get("chat_template"))
        unused = {name: value for name, value in given.items() if name not in names and name != "chat_template"}
        return (made, unused) if return_unused else made

    def to_dict(self) -> dict[str, Any]:
        """As in transformers; the options stand side by side."""
        written = {name: value for name, value in super().to_dict().items() if name != "options"}
        return {**written, **asdict(self.options)}

    @property
    def end_of_turn(self) -> str:
        """What ends an answer in the chosen template."""
        return self.chat_format.assistant_end

    @property
    def pad_token_id(self) -> int:
        """Id that fills rows up."""
        return self._answers.pad_token_id

    def stop_settings(self) -> dict[str, Any]:
        """Arguments of `generate` that end an answer: token ids, and a stop string where the end mark is several tokens."""
        return self._answers.stop_settings(self._splicer.text_ids(self.end_of_turn, trusted=True).tolist())

    def apply_chat_template(self, conversation: Any, chat_template: str | None = None, **choices: Any) -> Any:
        """As in transformers, with special tokens in the messages made words (see `chat_templates.BREAK`); answers keep theirs.

        Raises:
            ValueError: the template refuses or would leave out a turn, such as a system turn, or a part of one.
        """
        write = partial(super().apply_chat_template, chat_template=chat_template, **{**choices, **AS_TEXT})
        check_turns_kept(conversation, write, template=self.chat_format if chat_template is None else None)
        guarded = defuse_messages(conversation, self._splicer.guarded, answer_tokens=self.answer_tokens)
        return super().apply_chat_template(guarded, chat_template, **choices)

    def post_process_image_text_to_text(self, generated_outputs: Any, skip_special_tokens: bool = True, **kwargs: Any) -> Any:
        """As in transformers, without the padding of a batch: each text is what it would be alone."""
        return self._answers.decode_rows(generated_outputs, skip_special_tokens=skip_special_tokens, **kwargs)

    def read_answer(self, token_ids: Tensor, counted_id: int = -1) -> tuple[str, int]:
        """The answer's text, without the end mark and padding, and how often one token (L,) stands in it."""
        return self._answers.read(token_ids, counted_id)

    def decode_answer(self, token_ids: Tensor) -> str:
        """The answer's text, without the end mark and padding; special tokens of answers are kept."""
        return self.read_answer(token_ids)[0]

    def encode_pieces(self, pieces: Sequence[Piece], *, num_embeddings: int, sample_id: str) -> EncodedPrompt:
        """Token ids, labels and placeholders of a prompt whose one image has so many embeddings, 0 where it shows none.

        Raises:
            SampleError: the image is not shown once, or text and placeholders cannot be told apart.
        """
        blocks = [("", torch.arange(num_embeddings))] if num_embeddings else []
        text = self._splicer.splice(pieces, blocks, regions=(), sample_id=sample_id)
        return EncodedPrompt(sample_id, text.input_ids, text.labels, text.placeholders, text.question_starts)

    def _render(
        self, turns: Sequence[Turn], independent: bool, *, for_generation: bool = False, repeat_images: bool = False
    ) -> list[Piece]:
        """Pieces of a conversation, or of independent questions. Raises SampleError where an answer frames turns."""
        if independent and for_generation:
            raise SampleError("independent questions are for training; ask each by itself for an answer.")
        if independent:
            return render_questions(turns, self.chat_format, seg_token=self.seg_token, repeat_images=repeat_images)
        return render(turns, self.chat_format, add_generation_prompt=for_generation, seg_token=self.seg_token)

    def _prompt_pieces(self, prompt: str, *, has_images: bool) -> list[Piece]:
        """Pieces of a prompt that came as text, with one slot for the images where there are any."""
        pieces = with_one_image(parse_prompt(prompt, self.chat_format), has_images=has_images)
        return with_leading_image(pieces, self.chat_format) if has_images and not shows_image(pieces) else pieces

    def _check_answers(self, turns: Sequence[Turn], sample_id: str) -> None:
        """Raise SampleError if an answer holds what frames the turns."""
        tokens = self.prompt_tokens
        frames = (tokens.image_start, tokens.image_end, tokens.region_start, tokens.region_end)
        marks = {*self.chat_format.control_tokens, *frames, self.tokenizer.eos_token} - {None, ""}
        answers = [turn.words for turn in turns if turn.role == "assistant"]
        found = sorted(mark for text in answers for mark in marks if mark in text)
        if found:
            raise SampleError(
                f"{sample_id}: an answer holds {', '.join(found)}, which frames turns and images; the model would learn to speak for the "
                "user, or to see what is not there. Remove it."
            )
