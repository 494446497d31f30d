"""A converted MS-CLIP that embeds images and texts, and so scores classes."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eocore.errors import DataError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.evaluate.protocols import PixelScale, Sample
from eocore.models import folders
from eocore.predict.precision import load_dtype, settle
from eocore.sensors.scene import Scene
from eocore.system import PredictorOptions
from eocore.train.device import check_device, local_device
from ms_clip.datasets.preparation import prepare_pixels
from ms_clip.model.modeling_ms_clip import MsClipModel
from ms_clip.model.processing_ms_clip import MsClipProcessor
from ms_clip.pretrained import read_processor

TEXTS_AT_ONCE = 256
"""Texts that go through the model together: prompts of many classes and templates are thousands."""


class Embedder:
    """Implements Embeds (and with it Scores), PreparesImages, ScoresPixels and DeclaresRoles of the contract for a model, wherever it comes
    from.

    Attributes:
        pixel_scale: cosines tell which of several texts fits better.
        processor: of the model.
        model: in eval mode when it is asked.
    """

    pixel_scale: PixelScale = "relative"
    processor: Any
    model: Any

    @property
    def roles(self) -> tuple[str, ...]:
        """Of the images that the model reads."""
        roles: tuple[str, ...] = self.processor.options.roles
        return roles

    def prepare_image(self, sample: Sample) -> Tensor:
        """(C, S, S) of a sample. Raises DataError where it does not fit the model."""
        record, scenes = sample
        return prepare_pixels(self.processor, record, scenes=scenes)

    @torch.no_grad()
    def embed_images(self, images: Sequence[Any]) -> np.ndarray:
        """(N, D) float32 of length 1; see `eocore.evaluate.protocols.Embeds`."""
        pixels = torch.stack([image if isinstance(image, Tensor) else self.prepare_image(image) for image in images])
        return unit_vectors(self.model.encode_image(pixels.to(self.model.device)).float().cpu().numpy())

    @property
    def window_side(self) -> int:
        """Of the images that the model sees without enlarging them [px]."""
        side: int = self.processor.options.image_size
        return side

    @torch.no_grad()
    def pixel_scores(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[np.ndarray]:
        """Cosines of patches and texts, interpolated between the centres of patches; see `eocore.evaluate.protocols.ScoresPixels`.

        Raises:
            DataError: a text is empty or too long, a sample does not fit the model, or a part of it would be cut off.
        """
        for _, scenes in samples:
            self._check_whole(scenes[0])
        pixels = torch.stack([self.prepare_image(sample) for sample in samples])
        features = self.model.dense_features(pixels.to(self.model.device))
        vectors = torch.from_numpy(self.embed_texts(texts)).to(features)
        cosines = (features @ vectors.T).permute(0, 3, 1, 2).float().cpu()
        return [
            functional.interpolate(layers[None], size=scenes[0].size, mode="bilinear", align_corners=False)[0].numpy()
            for layers, (_, scenes) in zip(cosines, samples, strict=True)
        ]

    def _check_whole(self, scene: Scene) -> None:
        """Raise DataError if the processor would show the model a part of the image alone, whose scores would be laid over all of it."""
        options = self.processor.options
        if scene.size[0] != scene.size[1] or (options.fit == "crop" and scene.size[0] != options.image_size):
            wanted = f"{options.image_size} px (fit='crop')" if options.fit == "crop" else "as many rows as columns"
            raise DataError(
                f"{scene.path}: a window of {scene.size[0]} x {scene.size[1]} px, but this model sees {wanted} and the rest would be cut "
                "off. Give windows of that side (--side)."
            )

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(M, D) float32 of length 1. Raises DataError where a text is empty or too long."""
        if not all(text.strip() for text in texts):
            raise DataError("a text is empty, so it means nothing that images could be compared with. Leave it out.")
        vectors = [self._embed(texts[start : start + TEXTS_AT_ONCE]) for start in range(0, len(texts), TEXTS_AT_ONCE)]
        return unit_vectors(np.concatenate(vectors))

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        try:
            tokens = self.processor.tokens(texts)
        except ValueError as error:
            raise DataError(str(error)) from error
        inputs: Mapping[str, Tensor] = {name: value.to(self.model.device) for name, value in tokens.items()}
        vectors: np.ndarray = self.model.encode_text(inputs["input_ids"], inputs["attention_mask"]).float().cpu().numpy()
        return vectors


class ModelPredictor(Embedder):
    """The same of a model that is in memory, such as one in training; its mode and weights stay as they are.

    Args:
        model: on its device.
        processor: of the model.
    """

    def __init__(self, model: MsClipModel, processor: MsClipProcessor) -> None:
        self.model, self.processor = model, processor


class MsClipPredictor(Embedder):
    """A converted model; implements LoadsWeights besides.

    Args:
        folder: of a converted model.
        options: how it is loaded.

    Raises:
        CheckpointError: the folder is not a converted model.
    """

    def __init__(self, folder: Path, options: PredictorOptions) -> None:
        folders.check_model_folder(folder)
        self.folder, self.options = folder, options

    @cached_property
    def processor(self) -> MsClipProcessor:
        """Of the model; the folder's own Python files are not run."""
        return read_processor(self.folder)

    @cached_property
    def model(self) -> Any:
        """The model on its device, in eval mode."""
        device = check_device(self.options.device) if self.options.device else str(local_device())
        dtype = load_dtype(self.options, device)
        return settle(folders.load_model(MsClipModel, self.folder, dtype=dtype).to(device).eval(), self.options)

    def load(self) -> None:
        """Reads the weights. Raises CheckpointError where the folder is damaged."""
        self.model  # noqa: B018  (a property that loads)
