"""A causal language model that reads embeddings of images: training on a batch, and greedy answers of a batch."""

from abc import abstractmethod
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationMixin, PretrainedConfig

from eocore.portable.language_holder import LanguageModelHolder, put_embeddings
from eocore.portable.packed_attention import boundary_arguments, known_masks, question_arguments
from eocore.portable.position_limit import check_prompt_length, limit_answers
from eocore.portable.prompt_batching import PromptBatch
from eocore.portable.running_batch import ReadPrompts, read_prompts


class ImageLanguageModel(LanguageModelHolder, GenerationMixin):
    """Base of models that put a fixed number of embeddings of each image into the text of a causal language model.

    A system adds what makes the embeddings (`encode_images`). The vocabulary has no token for them: at a placeholder stands any id, whose
    embedding is replaced, so that any causal language model of transformers serves as it is.

    Args:
        config: with `text_config`, of the language model.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)

    @abstractmethod
    def encode_images(self, images: Any) -> Tensor:
        """(N, Q, D) embeddings of N images, Q each, in the width of the language model."""

    def embed(self, input_ids: Tensor, placeholders: Tensor, *, tokens: Tensor | None) -> Tensor:
        """(R, S, D) embeddings of the text with those of images at the placeholders.

        Args:
            input_ids: (R, S).
            placeholders: (I,) flat positions.
            tokens: (N, Q, D) of the images in the order of the placeholders; None = there are none.

        Raises:
            ValueError: placeholders and embeddings are not equally many.
        """
        embeddings = self.get_input_embeddings()(input_ids)
        found = embeddings.new_zeros(0, embeddings.shape[-1]) if tokens is None else tokens.flatten(0, 1)
        return put_embeddings(embeddings, placeholders, tokens=found)

    def read(self, embeddings: Tensor, batch: PromptBatch) -> Tensor:
        """(M, V) logits of the supervised tokens of a batch.

        Args:
            embeddings: (R, S, D) from `embed`.
            batch: of `collate_prompts`, not padded in front.

        Raises:
            QuestionsError: the attention cannot keep independent questions apart.
        """
        text, device = self.language_model.config, embeddings.device
        arguments = boundary_arguments(batch.sequence_boundaries, device) | known_masks(text)
        arguments |= question_arguments(batch.question_starts, batch.sequence_boundaries, config=text, device=device)
        decoder = self.language_model.get_decoder()
        states = decoder(inputs_embeds=embeddings, position_ids=batch.position_ids, use_cache=False, **arguments).last_hidden_state
        logits: Tensor = self.get_output_embeddings()(states.flatten(0, 1)[batch.supervised.positions])
        return logits

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        placeholders: Tensor | None = None,
        images: Any = None,
        **options: Any,
    ) -> Any:
        """The language model's `generate`, with the images encoded once and put into the prompt; the prompt comes back with the answer.

        Args:
            input_ids: (R, S) prompts, padded in front.
            attention_mask: (R, S), 0 in the padding; None = there is none.
            placeholders: (I,) flat positions of embeddings of images.
            images: as `encode_images` takes them; None = the prompts show none.
            **options: of transformers' `generate`. This model's generation config counts where they are silent.

        Raises:
            SampleTooLongError: a prompt has more tokens than the language model has positions.
            ValueError: placeholders and embeddings are not equally many.
        """
        device = next(self.language_model.parameters()).device
        prompts = input_ids.to(device)
        check_prompt_length(self.config.text_config, prompts, attention_mask=attention_mask)
        mask = torch.ones_like(prompts) if attention_mask is None else attention_mask.to(device)
        positions = prompts.new_zeros(0) if placeholders is None else placeholders.to(device)
        tokens = None if images is None else self.encode_images(images)
        # one config: transformers wants either it or single options
        settings = deepcopy(options.pop("generation_config", None) or self.generation_config)
        others = settings.update(**options)
        others |= {"inputs_embeds": self.embed(prompts, positions, tokens=tokens), "attention_mask": mask}
        limit = limit_answers(self.config.text_config, prompts, options=others, settings=settings)
        made = self.language_model.generate(prompts, generation_config=settings, **others)
        if limit is not None:
            limit.warn()
        return made

    @torch.no_grad()
    def read_rows(self, prompts: PromptBatch, images: Any = None) -> ReadPrompts:
        """Prompts that are padded in front, read, for a `RunningBatch`.

        Args:
            prompts: of `collate_prompts`.
            images: as `encode_images` takes them; None = the prompts show none.

        Raises:
            SampleTooLongError, ValueError: as `generate`.
        """
        device = next(self.language_model.parameters()).device
        ids, mask = prompts.input_ids.to(device), prompts.attention_mask.to(device)
        check_prompt_length(self.config.text_config, ids, attention_mask=mask)
        tokens = None if images is None else self.encode_images(images)
        embeddings = self.embed(ids, prompts.placeholders.to(device), tokens=tokens)
        return read_prompts(self.language_model.get_decoder(), embeddings, input_ids=ids, attention_mask=mask)
