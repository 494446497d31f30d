"""The endpoint's addresses."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any, Literal, TypeVar

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.datastructures import UploadFile

from eocore.errors import ConfigError, DataError
from eocore.predict.image_files import ImageFile
from eocore.serve.api.answers import Completion
from eocore.serve.api.inputs import named, put_image, read_images, request_session
from eocore.serve.api.schema import ChatBody, EmbeddingsBody, ImageInput, ImageUrl
from eocore.serve.mask_files import geotiff, mask_features
from eocore.serve.requests import ChatTurn, Event, GenerateRequest, MaskMark, Masks, ModelCard, TextDelta
from eocore.serve.service import Service
from eocore.serve.sessions import Session

DEFAULT_TOKENS = 256
"""Longest answer where a request does not say, and the server's limit is not lower."""
CHUNK = 2**20
GONE = 499
"""Status in the log of a request whose client has left. Source: nginx."""
SEGMENT_FIELDS = ("model", "prompt", "format", "sensor", "max_tokens")
Found = TypeVar("Found")


def make_router(service: Service) -> APIRouter:
    """The addresses below /v1."""
    router = APIRouter(prefix="/v1")

    @router.get("/models", summary="Models that are served")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [describe_model(card) for card in service.models()]}

    @router.get("/models/{name}", summary="One model")
    async def model(name: str) -> dict[str, Any]:
        return describe_model(service.model(name))

    @router.post("/chat/completions", summary="An answer about text and images, whole or streamed", response_model=None)
    async def chat(body: ChatBody, request: Request) -> Response:
        return await answer_chat(service, body, request=request)

    @router.post("/embeddings", summary="Vectors of texts and images", response_model=None)
    async def embeddings(body: EmbeddingsBody, request: Request) -> Response:
        return JSONResponse(await until_left(embed(service, body), request))

    @router.post("/segment", summary="Masks of what a prompt names", response_model=None, openapi_extra=SEGMENT_SCHEMA)
    async def segment(request: Request) -> Response:
        return await until_left(segment_form(service, request), request)

    return router


def describe_model(card: ModelCard) -> dict[str, Any]:
    """A model as the API lists it, and what it can do."""
    able = {"system": card.system, "protocols": card.protocols, "roles": card.roles, "draws_masks": card.draws_masks}
    return {"id": card.name, "object": "model", "created": 0, "owned_by": "eocore", **able}


async def answer_chat(service: Service, body: ChatBody, *, request: Request) -> Response:
    """POST /v1/chat/completions. Raises what `Service.generate` raises before the first piece of the answer."""
    completion = Completion(body.model)
    if not body.stream:
        async with request_session(service) as session:
            asked = await chat_request(service, body, session=session)
            async with aclosing(service.generate(asked)) as events:
                return JSONResponse(await until_left(completion.whole(events), request))
    opened = stream_events(service, body)
    try:
        first = await anext(opened)
    except BaseException:
        await opened.aclose()
        raise
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    pieces = completion.stream(_again(first, opened), with_usage=with_usage)
    return StreamingResponse(pieces, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def stream_events(service: Service, body: ChatBody) -> AsyncGenerator[Event, None]:
    """Events of an answer; the images are deleted when it ends or is closed."""
    async with request_session(service) as session:
        asked = await chat_request(service, body, session=session)
        async with aclosing(service.generate(asked)) as events:
            async for event in events:
                yield event


async def _again(first: Event, rest: AsyncGenerator[Event, None]) -> AsyncIterator[Event]:
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event


async def chat_request(service: Service, body: ChatBody, *, session: Session) -> GenerateRequest:
    """What the models are asked.

    Raises:
        ConfigError: an option is wrong, or an image stands in a message that is not the user's.
        DataError: an image cannot be read.
    """
    if any(message.images for message in body.messages if message.role != "user"):
        raise ConfigError("an image stands in a message that is not the user's. Move it there.")
    if body.max_tokens and body.max_completion_tokens and body.max_tokens != body.max_completion_tokens:
        raise ConfigError("max_tokens and max_completion_tokens differ. Give one.")
    roles: dict[str, Literal["system", "user", "assistant"]] = {"developer": "system", "system": "system", "assistant": "assistant"}
    turns = tuple(ChatTurn(roles.get(message.role, "user"), message.text) for message in body.messages)
    check_turns(turns)
    images = await read_images(session, [image for message in body.messages for image in message.images])
    return GenerateRequest(
        model=body.model,
        turns=turns,
        images=images,
        max_new_tokens=body.max_completion_tokens or body.max_tokens or default_tokens(service),
        generation=body.generation(),
        stop=body.stops,
        seed=body.seed,
    )


def default_tokens(service: Service) -> int:
    """Longest answer where a request does not say."""
    return min(DEFAULT_TOKENS, service.options.limits.new_tokens)


def check_turns(turns: Sequence[ChatTurn]) -> None:
    """Raise ConfigError unless questions and answers come in turn, after one system message at most."""
    roles = [turn.role for turn in turns]
    spoken = roles[1:] if roles and roles[0] == "system" else roles
    if spoken != [("user", "assistant")[number % 2] for number in range(len(spoken))] or not len(spoken) % 2:
        raise ConfigError(
            "messages: expected a system message or none, then user and assistant in turn, a user's last; found "
            f"{', '.join(roles[:10])}{', ...' if len(roles) > 10 else ''}. Join those of one side."
        )


async def embed(service: Service, body: EmbeddingsBody) -> dict[str, Any]:
    """The body of /v1/embeddings. Raises what `Service.embed_texts` and `embed_images` raise."""
    vectors: list[np.ndarray | None] = [None] * len(body.inputs)
    texts = [(number, each) for number, each in enumerate(body.inputs) if isinstance(each, str)]
    images = [(number, each.image_url) for number, each in enumerate(body.inputs) if isinstance(each, ImageInput)]
    if texts:
        found = await service.embed_texts(body.model, [text for _, text in texts])
        for (number, _), vector in zip(texts, found, strict=True):
            vectors[number] = vector
    if images:
        for (number, _), vector in zip(images, await _embed_images(service, body.model, [image for _, image in images]), strict=True):
            vectors[number] = vector
    data = [
        {"object": "embedding", "index": number, "embedding": _as_json(vector, body.encoding_format)}
        for number, vector in enumerate(vectors)
        if vector is not None
    ]
    return {"object": "list", "data": data, "model": body.model, "usage": {"prompt_tokens": 0, "total_tokens": 0}}


async def _embed_images(service: Service, model: str, images: Sequence[ImageUrl]) -> np.ndarray:  # noqa: PLR0917
    async with request_session(service) as session:
        return await service.embed_images(model, [await read_images(session, [image]) for image in images])


def _as_json(vector: np.ndarray, encoding: str | None) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode("ascii")
    return [float(number) for number in vector]


SEGMENT_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["model", "prompt", "image"],
                    "properties": {
                        "model": {"type": "string"},
                        "prompt": {"type": "string"},
                        "image": {"type": "string", "format": "binary", "description": "or one field for each role: rgb, sar, ..."},
                        "sensor": {"type": "string", "description": "of `image`, where the file does not tell it"},
                        "format": {"type": "string", "enum": ["geojson", "geotiff"], "default": "geojson"},
                        "max_tokens": {"type": "integer", "default": DEFAULT_TOKENS},
                    },
                }
            }
        },
    }
}


async def segment_form(service: Service, request: Request) -> Response:
    """POST /v1/segment: the masks of an answer as GeoJSON or GeoTIFF; its text stands in GeoJSON's `answer`.

    Raises:
        ConfigError: a field is missing or wrong, or the model draws no masks.
        DataError: an image cannot be read, or lies nowhere and GeoJSON is wanted.
    """
    async with request.form(max_files=8, max_fields=16) as form, request_session(service) as session:
        fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        unknown = sorted(set(fields) - set(SEGMENT_FIELDS))
        if unknown:
            raise ConfigError(f"field '{unknown[0][:60]}' is not known, or no file. Fields: {', '.join(SEGMENT_FIELDS)}, and images.")
        files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
        asked = segment_request(service, fields, images=await _form_images(session, files, sensor=fields.get("sensor")))
        wanted = fields.get("format", "geojson")
        text, marks, masks = await _collect(service, asked)
    phrases = [mark.phrase for mark in marks]
    if wanted == "geotiff":
        if masks is None:
            raise DataError("the answer holds no mask. Ask in words that name something to segment.")
        content = await asyncio.to_thread(geotiff, masks.masks, masks.grid, phrases=phrases)
        return Response(
            content, media_type="image/tiff; application=geotiff", headers={"Content-Disposition": 'attachment; filename="masks.tif"'}
        )
    if masks is None:
        return JSONResponse({"type": "FeatureCollection", "features": [], "answer": text}, media_type="application/geo+json")
    found = await asyncio.to_thread(mask_features, masks.masks, masks.grid, phrases=phrases)
    return JSONResponse({**found, "answer": text}, media_type="application/geo+json")


def segment_request(service: Service, fields: dict[str, str], *, images: dict[str, ImageFile]) -> GenerateRequest:
    """The request that a form makes. Raises ConfigError where a field is missing or wrong, or the model draws no masks."""
    for name in ("model", "prompt"):
        if not fields.get(name, "").strip():
            raise ConfigError(f"field '{name}' is missing.")
    if fields.get("format", "geojson") not in ("geojson", "geotiff"):
        raise ConfigError(f"format '{fields['format'][:60]}': expected geojson or geotiff.")
    length = fields.get("max_tokens", str(default_tokens(service)))
    if not length.isdecimal() or len(length) > 9:
        raise ConfigError(f"max_tokens '{length[:60]}': expected a whole number.")
    if not service.model(fields["model"]).draws_masks:
        raise ConfigError(f"model '{fields['model']}' draws no masks. /v1/models says which do.")
    if not images:
        raise ConfigError("no image is sent. Send it as the file of field 'image'.")
    turns = (ChatTurn("user", fields["prompt"]),)
    return GenerateRequest(model=fields["model"], turns=turns, images=images, max_new_tokens=int(length))


async def _form_images(session: Session, files: Sequence[tuple[str, UploadFile]], *, sensor: str | None) -> dict[str, ImageFile]:
    images: dict[str, ImageFile] = {}
    for name, file in files:
        stored = await session.receive(file.filename or name, _chunks(file))
        role, named_file = named(stored, role=None if name == "image" else name, sensor=sensor if name == "image" else None, bands=())
        put_image(images, role, file=named_file)
    return images


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK):
        yield chunk


async def _collect(service: Service, asked: GenerateRequest) -> tuple[str, list[MaskMark], Masks | None]:
    texts: list[str] = []
    marks: list[MaskMark] = []
    masks: Masks | None = None
    async with aclosing(service.generate(asked)) as events:
        async for event in events:
            match event:
                case TextDelta(text):
                    texts.append(text)
                case MaskMark():
                    marks.append(event)
                case Masks():
                    masks = event
    return "".join(texts).strip(), marks, masks


async def until_left(work: Coroutine[Any, Any, Found], request: Request) -> Found:
    """What `work` returns; where the client leaves before, it is cancelled."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
        return await working
    finally:
        for task in (working, watching):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _left(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.1)
