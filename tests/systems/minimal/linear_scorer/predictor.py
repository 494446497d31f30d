"""A converted linear scorer: class scores for an evaluation, the most likely class for one image."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eocore.errors import ConfigError
from eocore.evaluate.protocols import ClassPrompts, Sample
from eocore.models.folders import load_model
from eocore.predict.answers import Prediction
from eocore.sensors.scene import Scene
from eocore.system import PredictorOptions

from .model.modeling_linear import LinearScorer
from .model.processing_linear import LinearProcessor


class LinearPredictor:
    """Implements `eocore.evaluate.protocols.Scores`, `PreparesImages` and `LoadsWeights`."""

    def __init__(self, folder: Path, options: PredictorOptions) -> None:
        self.folder = folder

    @cached_property
    def model(self) -> Any:
        """The model, in eval mode."""
        return load_model(LinearScorer, self.folder, dtype=torch.float32).eval()

    def load(self) -> None:
        """Reads the weights."""
        self.model  # noqa: B018  (a property that loads)

    @cached_property
    def processor(self) -> LinearProcessor:
        """The model's."""
        found: LinearProcessor = LinearProcessor.from_pretrained(self.folder)
        return found

    def prepare_image(self, sample: Sample) -> Any:
        """(1, 3, S, S) of the first image."""
        return self.processor([sample[1][0]])

    def class_scores(self, images: Sequence[Any], prompts: ClassPrompts) -> np.ndarray:
        """(N, C), columns as the prompts name the classes."""
        known = self.model.config.classes
        unknown = sorted(set(prompts.classes) - set(known))
        if unknown:
            raise ConfigError(f"the model does not know {', '.join(unknown)}; its classes: {', '.join(known)}.")
        with torch.no_grad():
            scores = self.model(torch.cat(list(images)))
        return scores[:, [known.index(name) for name in prompts.classes]].numpy()

    def predict(self, scenes: Mapping[str, Scene], text: str, *, max_new_tokens: int) -> Prediction:
        """The class of the image, whatever the question."""
        image = self.prepare_image((None, tuple(scenes.values())))
        scores = self.class_scores([image], ClassPrompts(tuple(self.model.config.classes), ()))
        return Prediction(self.model.config.classes[int(scores.argmax())], np.zeros((0, 1, 1), bool), "", scenes)


class TrainingPredictor(LinearPredictor):
    """The same with a model in training."""

    def __init__(self, model: LinearScorer, processor: LinearProcessor) -> None:
        self.model, self.processor = model, processor

    def load(self) -> None:
        """There is nothing to read."""
