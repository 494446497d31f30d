"""One answer of a batch whose rows come and go: what ends it, and how its tokens are chosen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteriaList

from eocore.portable.position_limit import num_positions


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """What is asked of one answer.

    Attributes:
        max_new_tokens: longest answer.
        settings: options of `generation_options.OPTIONS`, and what ends an answer; the model's generation config counts where they are
            silent.
        seed: of drawn tokens, whatever else is in the batch; None = they are drawn from torch's generator of the process.
        processors: change the scores (1, V) of the next token further, given the ids (1, L) so far.
        hear: is called with each token; the answer ends with the token for which it returns True.
    """

    max_new_tokens: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    processors: Sequence[Callable[[Tensor, Tensor], Tensor]] = ()
    hear: Callable[[int], bool] = lambda token: False


class AnswerRow:
    """An answer under way.

    Args:
        model: with a language model and a generation config, as transformers' `GenerationMixin`.
        prompt: ids of the prompt, without padding.
        options: what is asked.

    Attributes:
        tokens: of the answer so far.
        states: (D,) of its watched tokens, see `RunningBatch`.
        is_cut: it ended at the model's last position.
        error: what was raised when a token was chosen or heard; the answer ended with it.
    """

    def __init__(self, model: Any, prompt: Sequence[int], *, options: RowOptions) -> None:
        self.prompt, self.options = list(prompt), options
        self.tokens: list[int] = []
        self.states: list[Tensor] = []
        self.has_ended = self.is_cut = False
        self.error: Exception | None = None
        positions = num_positions(model.config.text_config)
        self._left = options.max_new_tokens if positions is None else min(options.max_new_tokens, positions - len(self.prompt))
        self._prepare(model)

    @property
    def takes_likeliest(self) -> bool:
        """Whether each token is the one with the highest score."""
        return not self._draws and not self._processors

    def choose(self, scores: Tensor) -> int:
        """The next token, from scores (V,) float32."""
        scores = scores[None]
        if self._processors:
            ids = self._ids(scores.device)
            for process in self._processors:
                scores = process(ids, scores)
        if not self._draws:
            return int(scores.argmax())
        return int(torch.multinomial(scores.softmax(-1), 1, generator=self._generator))

    def put(self, token: int) -> None:
        """Takes the next token, and finds out whether it is the last."""
        self.tokens.append(token)
        ended = self.options.hear(token) or token in self._ends
        if not ended and self._criteria:
            ended = bool(self._criteria(self._ids(self._device), None).any())
        is_full = len(self.tokens) >= self._left
        self.has_ended, self.is_cut = ended or is_full, is_full and not ended and self._left < self.options.max_new_tokens

    def fail(self, error: Exception) -> None:
        """Ends it."""
        self.error, self.has_ended = error, True

    def _prepare(self, model: Any) -> None:
        """Has transformers make what its `generate` would of the options."""
        settings = {name: value for name, value in self.options.settings.items() if name != "tokenizer"}
        config, _ = model._prepare_generation_config(None, **settings)
        self._device = model.language_model.device
        model._prepare_special_tokens(config, True, device=self._device, batch_size=1)
        config.max_length = config.min_length = None  # counted here
        ends, length = config._eos_token_tensor, len(self.prompt)
        made = model._get_logits_processor(config, input_ids_seq_length=length, device=self._device, model_kwargs={})
        self._processors = [*made, *self.options.processors]
        self._ends = frozenset() if ends is None else frozenset(ends.tolist())
        config._eos_token_tensor = None
        criteria = model._get_stopping_criteria(config, StoppingCriteriaList(), tokenizer=self.options.settings.get("tokenizer"))
        self._criteria: StoppingCriteriaList = criteria
        self._draws, seed = bool(config.do_sample), self.options.seed
        self._generator = None if seed is None else torch.Generator(self._device).manual_seed(seed)

    def _ids(self, device: torch.device) -> Tensor:
        return torch.tensor([self.prompt + self.tokens], device=device)
