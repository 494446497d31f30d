"""Answers in the form of OpenAI's API: whole, and as a stream of server-sent events."""

import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from eocore.data.io.masks import encode_rle
from eocore.errors import UnforeseenError
from eocore.serve.api.errors import describe
from eocore.serve.requests import Done, Event, MaskMark, Masks, TextDelta

END_OF_STREAM = "data: [DONE]\n\n"


@dataclass
class Completion:
    """One answer.

    Attributes:
        model: that answers.
        completion_id, created: as the API has them.
    """

    model: str
    completion_id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    async def whole(self, events: AsyncIterator[Event]) -> dict[str, Any]:
        """The body of an answer that is not streamed. Raises what the events raise."""
        texts: list[str] = []
        marks: list[MaskMark] = []
        masks: list[dict[str, Any]] = []
        async for event in events:
            if isinstance(event, TextDelta):
                texts.append(event.text)
            elif isinstance(event, MaskMark):
                marks.append(event)
            elif isinstance(event, Masks):
                masks = describe_masks(event, marks)
            else:
                message = {"role": "assistant", "content": "".join(texts).strip(), "refusal": None, **({"masks": masks} if masks else {})}
                choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": event.finish_reason}
                return {**self._head("chat.completion"), "choices": [choice], "usage": usage(event)}
        raise UnforeseenError("an answer without an end")

    async def stream(self, events: AsyncIterator[Event], *, with_usage: bool) -> AsyncIterator[str]:
        """Server-sent events; an error after the first piece comes as an event, as the status has been sent."""
        marks: list[MaskMark] = []
        yield self._chunk({"role": "assistant", "content": ""})
        try:
            async for event in events:
                if isinstance(event, TextDelta):
                    yield self._chunk({"content": event.text})
                elif isinstance(event, MaskMark):
                    marks.append(event)
                elif isinstance(event, Masks):
                    yield self._chunk({"masks": describe_masks(event, marks)})
                else:
                    yield self._chunk({}, finish=event.finish_reason)
                    if with_usage:
                        yield sse({**self._head("chat.completion.chunk"), "choices": [], "usage": usage(event)})
        except Exception as error:
            yield sse(describe(error)[1])
        yield END_OF_STREAM

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.completion_id, "object": kind, "created": self.created, "model": self.model, "system_fingerprint": None}

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse({**self._head("chat.completion.chunk"), "choices": [choice]})


def describe_masks(found: Masks, marks: Sequence[MaskMark]) -> list[dict[str, Any]]:
    """Each mask as COCO RLE on the image's stored pixels, and where it lies."""
    phrases = {mark.index: mark.phrase for mark in marks}
    grid = found.grid
    place = {"crs": grid.crs, "transform": list(grid.transform)} if grid.transform is not None else {}
    return [
        {"index": index, "phrase": phrases.get(index, ""), "image": grid.role, **encode_rle(mask), **place}
        for index, mask in enumerate(found.masks)
    ]


def usage(done: Done) -> dict[str, int]:
    """Tokens of the prompt and the answer."""
    total = done.prompt_tokens + done.answer_tokens
    return {"prompt_tokens": done.prompt_tokens, "completion_tokens": done.answer_tokens, "total_tokens": total}


def sse(body: dict[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(body)}\n\n"
