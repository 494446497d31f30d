"""Questions about images, in this project's calls and in the published ones."""

import threading
from collections.abc import Sequence
from typing import Any

from eocore.portable.chat_templates import IMAGE_PLACEHOLDER
from eocore.portable.generation_options import require_options

from .answering import Answer, size_of
from .processing_earthmind import EarthMindProcessor

_LOADING = threading.Lock()


class PredictionMixin:
    """What a model with `answer` can be asked. No question leaves anything on the model, so several threads may ask at once."""

    _processor: EarthMindProcessor | None = None
    name_or_path: str
    config: Any
    answer: Any

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
        images: dict[str, Any],
        text: str,
        *,
        processor: EarthMindProcessor | None = None,
        max_new_tokens: int = 256,
        generation: dict[str, Any] | None = None,
    ) -> Answer:
        """Answer one question about one set of images; masks come on the pixel grid of the image they are drawn on.

        Args:
            images: modality -> scene, Pillow image or uint8 array.
            text: the question; `<image>` is put in front where it is missing.
            processor: the processor; None takes the one saved beside the model.
            max_new_tokens: longest answer.
            generation: further arguments of `answer`.
        """
        return self.predict_batch([(images, text)], processor=processor, max_new_tokens=max_new_tokens, generation=generation)[0]

    def predict_batch(
        self,
        questions: Sequence[tuple[dict[str, Any], str]],
        *,
        processor: EarthMindProcessor | None = None,
        max_new_tokens: int = 256,
        generation: dict[str, Any] | None = None,
    ) -> list[Answer]:
        """Answers to several questions, computed together; each pair holds what `predict` takes."""
        options = require_options(generation)
        processor = processor or self.processor
        samples, sizes = [], []
        for images, text in questions:
            asked = f"{IMAGE_PLACEHOLDER}\n{text}" if images and IMAGE_PLACEHOLDER not in text else text
            samples.append(processor.encode(images, [("user", asked)], for_generation=True))
            sizes.append(next((size_of(images[name]) for name in processor.drawn_on(images)), (1, 1)))
        batch = processor.collate(samples, left_pad=True)
        answers: list[Answer] = self.answer(batch, processor, sizes=sizes, max_new_tokens=max_new_tokens, **options)
        return answers

    def predict_forward(self, image: Any = None, text: str = "", tokenizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        """The published single-image call: {"prediction": text, "prediction_masks": [(1, H, W) bool, ...]}."""
        return self._published({} if image is None else {"rgb": image}, text, tokenizer, kwargs)

    def predict_forward_multi(
        self, image: Any = None, rgb_image: Any = None, text: str = "", tokenizer: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """The published SAR + RGB call; returns what `predict_forward` returns."""
        return self._published(
            {name: picture for name, picture in (("rgb", rgb_image), ("sar", image)) if picture is not None}, text, tokenizer, kwargs
        )

    def _published(self, images: dict[str, Any], text: str, tokenizer: Any, settings: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(settings) - {"max_new_tokens"})
        if unknown:
            raise TypeError(f"arguments {unknown} are not supported; choices: image, rgb_image, text, tokenizer, max_new_tokens.")
        if tokenizer is not None and len(tokenizer) != len(self.processor.tokenizer):
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens, the one saved with the model {len(self.processor.tokenizer)}: "
                "ids would mean other words. "
                "Load it from the model's own folder."
            )
        answer = self.predict(images, text, **settings)
        return {"prediction": answer.text, "prediction_masks": [mask[None] for mask in answer.masks]}
