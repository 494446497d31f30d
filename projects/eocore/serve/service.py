"""What page and endpoint ask: the served models, in one async object.

```python
async with Service(ServeOptions(models=(Path("work_dirs/model"),))) as service:
    images = {"optical": ImageFile(("scene.tif",))}
    request = GenerateRequest(model="model", turns=(ChatTurn("user", "Segment the water."),), images=images)
    async for event in service.generate(request):
        ...  # TextDelta, MaskMark, Masks, Done; leaving the loop early and closing the iterator cancels the answer
```
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from eocore.errors import AccessError, ConfigError, DataError, EOError, TimeLimitError
from eocore.evaluate.protocols import TEMPLATES
from eocore.predict.image_files import ImageFile
from eocore.serve.messages import Happened, Kind, Result, TextsRequest, WorkerSpec
from eocore.serve.options import ServeOptions
from eocore.serve.pool import ModelPool
from eocore.serve.requests import Event, GenerateRequest, ImagesRequest, ModelCard
from eocore.serve.scheduler import BatchingOptions, ContinuousScheduler
from eocore.serve.sessions import SessionStore, without_paths

TELL_S = 15.0
"""Between two lines about a model that is being loaded [s]."""


class Service:
    """The models of a server, asked from one event loop. Errors are those of `eocore.errors`.

    Args:
        options: what is served.
        tell: is called with lines about the models while they are loaded.

    Attributes:
        options: as given.
        sessions: the files that clients have sent.
    """

    def __init__(self, options: ServeOptions, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self.options, self._tell = options, tell
        self.sessions = SessionStore(options.uploads, options.limits)
        self._pools = {folder.resolve().name: self._pool(folder) for folder in options.models}
        self._image_roots = [options.uploads.resolve()]

    async def start(self) -> None:
        """Starts the workers and waits until every model is in memory.

        Raises:
            ConfigError, CheckpointError: a folder is no model, or damaged; or it was not loaded in time.
        """
        self.sessions.open()
        if self._pools:
            self._tell(f"loading {', '.join(self._pools)}")
        for pool in self._pools.values():
            pool.start()
        await asyncio.gather(*(self._wait_ready(pool) for pool in self._pools.values()))

    async def _wait_ready(self, pool: ModelPool) -> None:
        """Until a model is in memory, telling how long it takes."""
        began = time.monotonic()
        waiting = asyncio.ensure_future(pool.wait_ready(self.options.workers.start_s))
        try:
            while not (await asyncio.wait([waiting], timeout=TELL_S))[0]:
                self._tell(f"  {pool.name}: still loading after {time.monotonic() - began:.0f} s")
            card = await waiting
            self._tell(f"  {pool.name} ({card.system}): in memory after {time.monotonic() - began:.0f} s")
        finally:
            waiting.cancel()

    async def close(self) -> None:
        """Ends the workers and deletes all sessions' files."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        self.sessions.close()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def models(self) -> list[ModelCard]:
        """The served models, in the order in which they were named; those that have never been in memory are left out."""
        return [replace(pool.card, is_ready=pool.is_ready) for pool in self._pools.values() if pool.card is not None]

    def model(self, name: str) -> ModelCard:
        """One of them. Raises ConfigError where there is none of that name."""
        pool = self._of(name)
        assert pool.card is not None  # `start` has waited for it
        return replace(pool.card, is_ready=pool.is_ready)

    def worker_pids(self, name: str) -> list[int]:
        """Process ids of a model's workers. Raises ConfigError where there is no such model."""
        return self._of(name).pids

    def allow_images_below(self, folder: Path) -> None:
        """Requests may also name images below this folder: those that an index shows."""
        self._image_roots.append(folder.resolve())

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Event, None]:
        """The answer, piece by piece. Closing the iterator cancels it.

        Raises:
            ConfigError: there is no such model, it does not answer in text, or an option is wrong.
            DataError: an image cannot be read, or does not fit the model.
            AccessError: an image lies outside of the folders that may be read.
            BusyError, TimeLimitError, WorkerLostError: see `eocore.errors`.
        """
        limits = self.options.limits
        self._check_texts([turn.text for turn in request.turns])
        if not 1 <= request.max_new_tokens <= limits.new_tokens:
            raise ConfigError(f"{request.max_new_tokens} tokens are asked for; this server writes 1 to {limits.new_tokens}.")
        async with aclosing(self._ask("generate", request, images=request.images)) as heard:
            async for item in heard:
                if isinstance(item, Happened):
                    yield item.event

    async def embed_images(self, model: str, images: Sequence[Mapping[str, ImageFile]]) -> np.ndarray:
        """(N, D) float32 vectors of N samples, each of images by input. Raises as `generate`."""
        self._check_count(len(images))
        return np.stack(await asyncio.gather(*(self._embed_image(model, files) for files in images)))

    async def embed_texts(self, model: str, texts: Sequence[str]) -> np.ndarray:
        """(M, D) float32 vectors of M texts. Raises as `generate`."""
        self._check_count(len(texts))
        self._check_texts(texts)
        return await self._array("embed_texts", TextsRequest(model, tuple(texts)))

    async def class_scores(
        self, model: str, images: Mapping[str, ImageFile], *, classes: Sequence[str], templates: Sequence[str] = TEMPLATES
    ) -> dict[str, float]:
        """Class -> score of one sample, higher = more likely: of a model that embeds, the cosine. Raises as `generate`."""
        self._check_count(len(classes))
        self._check_texts([*classes, *templates])
        if len(set(classes)) < len(classes):
            raise ConfigError("a class is named twice. Name each once.")
        request = ImagesRequest(model=model, images=images, classes=tuple(classes), templates=tuple(templates))
        scores = await self._array("class_scores", request)
        return dict(zip(classes, map(float, scores), strict=True))

    async def pixel_scores(self, model: str, images: Mapping[str, ImageFile], *, texts: Sequence[str]) -> np.ndarray:
        """(M, H, W) float32: how well each text fits each pixel of the first image, as it is read. Raises as `generate`."""
        self._check_count(len(texts))
        self._check_texts(texts)
        return await self._array("pixel_scores", ImagesRequest(model=model, images=images, texts=tuple(texts)))

    async def _embed_image(self, model: str, files: Mapping[str, ImageFile]) -> np.ndarray:
        return await self._array("embed_images", ImagesRequest(model=model, images=files))

    async def _array(self, kind: Kind, request: TextsRequest | ImagesRequest) -> np.ndarray:
        images = request.images if isinstance(request, ImagesRequest) else {}
        async with aclosing(self._ask(kind, request, images=images)) as heard:
            async for item in heard:
                if isinstance(item, Result):
                    found: np.ndarray = item.value
                    return found
        raise AssertionError("a request without a result")

    async def _ask(self, kind: Kind, request: Any, *, images: Mapping[str, ImageFile]) -> AsyncGenerator[Any, None]:
        pool = self._of(request.model)
        for file in images.values():
            self._check_paths(file)
        limit_s = self.options.limits.request_s
        async with aclosing(pool.ask(kind, request)) as heard:
            try:
                async for item in _until(heard, end=asyncio.get_running_loop().time() + limit_s, limit_s=limit_s):
                    yield item
            except EOError as error:
                raise without_paths(error, *self._image_roots) from error

    def _of(self, name: str) -> ModelPool:
        if name not in self._pools:
            raise ConfigError(f"no model '{name[:100]}' is served here. Served: {', '.join(self._pools) or 'none'}.")
        return self._pools[name]

    def _check_paths(self, file: ImageFile) -> None:
        for path in file.paths:
            if file.remote or not any(Path(path).resolve().is_relative_to(root) for root in self._image_roots):
                raise AccessError("an image lies outside of the folders that this server reads. Send it as a file.")

    def _check_texts(self, texts: Sequence[str]) -> None:
        total, limit = sum(map(len, texts)), self.options.limits.text_chars
        if total > limit:
            raise ConfigError(f"{total} characters of text; this server takes up to {limit} in one request. Ask in parts.")
        if any(not is_whole(text) for text in texts):
            raise DataError("a text holds half of a UTF-16 pair, which is no character. Send it as UTF-8.")

    def _check_count(self, count: int) -> None:
        limit = self.options.limits.texts
        if not 1 <= count <= limit:
            raise ConfigError(f"{count} inputs; this server takes 1 to {limit} in one request.")

    def _pool(self, folder: Path) -> ModelPool:
        workers, limits = self.options.workers, self.options.limits
        devices = workers.devices or (None,)
        specs = [
            WorkerSpec(
                folder,
                device=devices[number % len(devices)],
                readers=workers.readers,
                threads=workers.threads,
                max_pixels=int(limits.megapixels * 1e6),
                joins=workers.joins,
                dtype=workers.dtype,
                image_memory_mib=workers.image_memory_mib,
            )
            for number in range(workers.count)
        ]
        batching = BatchingOptions(max_batch=workers.max_batch, max_waiting=limits.waiting, wait_s=workers.batch_wait_s)
        return ModelPool(specs, scheduler=ContinuousScheduler(batching), read_ahead=2 * workers.max_batch)


def is_whole(text: str) -> bool:
    """Whether a text is characters alone: JSON can escape halves of UTF-16 pairs, which no tokenizer reads."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


async def _until(heard: AsyncIterator[Any], *, end: float, limit_s: float) -> AsyncGenerator[Any, None]:
    """What is heard before `end` [s of the loop's clock]. Raises TimeLimitError after it."""
    while True:
        try:
            async with asyncio.timeout_at(end):
                item = await anext(heard)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise TimeLimitError(f"the request was not answered within {limit_s:g} s. Ask for less, or later.") from None
        yield item
