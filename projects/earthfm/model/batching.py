"""Encoded samples, and batches of them."""

from typing import Any, NamedTuple

from eocore.portable.prompt_batching import EncodedPrompt, PromptBatch

from .sensor_inputs import SensorInputs


class Sample(NamedTuple):
    """One encoded sample.

    Attributes:
        prompt: its text.
        images: its images (B = 1).
        faults: broken samples that this one stands for (see `eocore.data.loading.error_policy`).
    """

    prompt: EncodedPrompt
    images: SensorInputs
    faults: tuple[Any, ...] = ()

    @property
    def sample_id(self) -> str:
        """For messages."""
        return self.prompt.sample_id

    @property
    def input_ids(self) -> Any:
        """(L,) tokens, by whose number samples are sorted."""
        return self.prompt.input_ids


class Batch(NamedTuple):
    """Samples of one step.

    Attributes:
        prompts: rows of text.
        images: of all samples, in their order.
        faults: broken samples that others stand for.
    """

    prompts: PromptBatch
    images: SensorInputs
    faults: tuple[Any, ...] = ()
