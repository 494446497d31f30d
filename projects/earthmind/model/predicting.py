"""Questions about images."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eocore.portable.generation_options import require_options
from eocore.portable.messages import Part, Turn, as_turns, with_images

from .answering import Answer, size_of
from .moments import Images
from .processing_earthmind import EarthMindProcessor

_LOADING = threading.Lock()


@dataclass(frozen=True)
class Question:
    """A question about one set of images.

    Attributes:
        images: modality -> scene, Pillow image or uint8 array; or the moments of a series, in order, each with such.
        text: the question, in words with placeholders or as parts.
        past: the questions and answers before it, as messages or (role, text).
        regions: (H, W) bool in image coordinates, one for each `<region>` of the texts.
        region_moments: number of the moment whose image each region lies on; needed in a series alone.
    """

    images: Images
    text: str | Sequence[Part]
    past: Sequence[Turn | tuple[str, str]] = ()
    regions: Sequence[np.ndarray] = ()
    region_moments: Sequence[int] | None = None

    def turns(self) -> tuple[Turn, ...]:
        """All turns; the images are put in front of the first where no question shows them."""
        asked = ("user", self.text) if isinstance(self.text, str) else Turn("user", tuple(self.text))
        turns = as_turns([*self.past, asked])
        return with_images(turns) if self.images else turns


class PredictionMixin:
    """What a model with `answer` can be asked. No question leaves anything on the model, so several threads may ask at once."""

    _processor: EarthMindProcessor | None = None
    name_or_path: str
    config: Any
    answer: Any
    longest_prompt: Any

    @property
    def processor(self) -> EarthMindProcessor:
        """The processor saved beside this model, loaded once whatever thread asks first.

        Raises:
            ValueError: the model was not loaded from a folder.
        """
        with _LOADING:
            if self._processor is None:
                if not self.name_or_path:
                    raise ValueError(
                        "this model was not loaded from a folder, so no processor was saved beside it. Hand one in as processor=..."
                    )
                self._processor = EarthMindProcessor.from_pretrained(self.name_or_path, config=self.config)
            return self._processor

    def predict(
        self,
        images: Images,
        text: str,
        *,
        past: Sequence[Turn | tuple[str, str]] = (),
        processor: EarthMindProcessor | None = None,
        max_new_tokens: int = 256,
        generation: dict[str, Any] | None = None,
    ) -> Answer:
        """Answer one question about one set of images; masks come on the pixel grid of the image they are drawn on.

        Those of a series all come on that of the first moment's.

        Args:
            images: modality -> scene, Pillow image or uint8 array; or the moments of a series, in order.
            text: the question; `<image>` is put in front of the first one where it is missing.
            past: (role, text) of earlier questions and answers about the same images; their masks are not drawn again.
            processor: the processor; None takes the one saved beside the model.
            max_new_tokens: longest answer.
            generation: further arguments of `answer`.
        """
        questions = [Question(images, text, past)]
        return self.predict_batch(questions, processor=processor, max_new_tokens=max_new_tokens, generation=generation)[0]

    def predict_batch(
        self,
        questions: Sequence[Question | tuple[Images, str]],
        *,
        processor: EarthMindProcessor | None = None,
        max_new_tokens: int = 256,
        generation: dict[str, Any] | None = None,
    ) -> list[Answer]:
        """Answers to several questions, computed together; a pair holds what `predict` takes.

        Raises:
            SampleTooLongError: a prompt has more tokens than the language model has positions.
            SampleError: images, texts and regions of a question do not fit together.
        """
        options = require_options(generation)
        processor = processor or self.processor
        samples, sizes = [], []
        longest = self.longest_prompt(options.get("long"))
        for question in (Question(*asked) if isinstance(asked, tuple) else asked for asked in questions):
            sample = processor.encode(
                question.images,
                question.turns(),
                regions=question.regions,
                region_moments=question.region_moments,
                for_generation=True,
                max_length=longest,
            )
            samples.append(sample)
            shown = question.images or {}
            first = shown if isinstance(shown, Mapping) else shown[0].images
            sizes.append(next((size_of(first[name]) for name in processor.drawn_on(first)), (1, 1)))
        batch = processor.collate(samples, left_pad=True)
        answers: list[Answer] = self.answer(batch, processor, sizes=sizes, max_new_tokens=max_new_tokens, **options)
        return answers
