"""A language model as judge of open answers, through any OpenAI-compatible endpoint; the offline score stands beside it, always."""

import hashlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from eocore.errors import ConfigError, DataError
from eocore.evaluate.judge.options import KEY_VARIABLE, MODEL_VARIABLE, URL_VARIABLE, JudgeOptions
from eocore.evaluate.judge.prompts import PROMPTS, JudgeScore
from eocore.json_fields import parse_fields
from eocore.log import get_logger
from eocore.progress import Progress

_SHOWN_CHARACTERS = 120
_MAX_REPLY_BYTES = 1 << 20
_RETRY_STATUS = frozenset((408, 409, 429, 500, 502, 503, 504))


class _Message(TypedDict):
    content: str


class _Choice(TypedDict):
    message: _Message


class _Completion(TypedDict):
    choices: Annotated[list[_Choice], Field(min_length=1)]


@dataclass(frozen=True)
class Question:
    """One answer to be judged."""

    question: str
    reference: str
    prediction: str


class Judge:
    """Asks the endpoint for judge scores, and remembers them.

    Args:
        options: see `JudgeOptions`.
        sleep: waits so many seconds; for tests.
    """

    def __init__(self, options: JudgeOptions, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.options, self.prompt = options, PROMPTS[options.prompt]
        self._sleep = sleep
        self._warned, self._refused = threading.Event(), threading.Event()

    def judge(self, questions: Sequence[Question]) -> list[JudgeScore | None]:
        """A judge score for each, in order; None where the judge failed `attempts` times."""
        with (
            ThreadPoolExecutor(self.options.workers) as pool,
            Progress("judging", len(questions), unit="answers", visible=len(questions) > 1) as progress,
        ):
            found = []
            for score in pool.map(self._judge_one, questions):
                found.append(score)
                progress.advance(1)
        return found

    def _judge_one(self, question: Question) -> JudgeScore | None:
        text = self.prompt.template.format(question=question.question, reference=question.reference, prediction=question.prediction)
        known = self._remembered(text)
        if known is not None or self._refused.is_set():
            return known
        for attempt in range(self.options.attempts):
            if attempt:
                self._sleep(self.options.pause_s * 2 ** (attempt - 1))
            try:
                reply = self._ask(text)
            except DataError as error:
                self._warn(str(error))
                continue
            score = self.prompt.parse(reply)
            if score is not None:
                self._remember(text, score)
                return score
            self._warn(f"judge '{self.options.model}': reply {reply[:_SHOWN_CHARACTERS]!r} holds no score.")
        return None

    def _ask(self, text: str) -> str:
        """The reply. Raises DataError for what another try may fix, ConfigError for what it cannot."""
        body = {"model": self.options.model, "temperature": 0, "messages": [{"role": "user", "content": text}]}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.options.key}"} if self.options.key else {})
        url = self.options.url.rstrip("/") + "/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.options.timeout_s) as response:
                content = self._read(response)
        except urllib.error.HTTPError as error:
            if error.code not in _RETRY_STATUS:
                self._refused.set()
                raise ConfigError(
                    f"judge {url}: HTTP {error.code} ({error.reason}); asking again will not help. Check {URL_VARIABLE}, {MODEL_VARIABLE} "
                    f"and {KEY_VARIABLE}."
                ) from error
            raise DataError(f"judge {url}: HTTP {error.code} ({error.reason}).") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DataError(f"judge {url}: {type(error).__name__}: {error}") from error
        completion = parse_fields(content, _Completion, source=f"judge {url}", remedy="Check that the address is of a chat endpoint.")
        return completion["choices"][0]["message"]["content"]

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """The body; the time limit holds for all of it, not for each part of a reply that drips."""
        end, content = time.monotonic() + self.options.timeout_s, b""
        while part := response.read1(_MAX_REPLY_BYTES):
            content += part
            if time.monotonic() > end or len(content) > _MAX_REPLY_BYTES:
                raise TimeoutError(f"no whole reply of at most {_MAX_REPLY_BYTES} bytes within {self.options.timeout_s:g} s")
        return content

    def _warn(self, message: str) -> None:
        """At full voice once; a judge that is down would fill the log otherwise."""
        level = "debug" if self._warned.is_set() else "warning"
        self._warned.set()
        getattr(get_logger(), level)("%s Further failures are only counted.", message)

    def _path(self, text: str) -> Path | None:
        if self.options.cache is None:
            return None
        digest = hashlib.sha256(f"{self.options.model}\0{text}".encode()).hexdigest()
        return self.options.cache / digest[:2] / f"{digest}.json"

    def _remembered(self, text: str) -> JudgeScore | None:
        path = self._path(text)
        if path is None or not path.is_file():
            return None
        try:
            score = parse_fields(path.read_bytes(), JudgeScore, source=str(path), remedy="")
        except (DataError, OSError):
            return None
        known = all(self.prompt.lowest <= value <= self.prompt.highest for value in (score.accuracy, score.relevance))
        return score if known else None

    def _remember(self, text: str, score: JudgeScore) -> None:
        path = self._path(text)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{threading.get_ident()}.part")
        entry = {"accuracy": score.accuracy, "relevance": score.relevance, "model": self.options.model}
        part.write_text(json.dumps(entry), encoding="utf-8")
        part.replace(path)
