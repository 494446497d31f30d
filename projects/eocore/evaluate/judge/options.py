"""Which language model judges, as the environment or a caller says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eocore.errors import ConfigError
from eocore.evaluate.judge.prompts import PROMPTS

URL_VARIABLE, MODEL_VARIABLE, KEY_VARIABLE = "EOCORE_JUDGE_URL", "EOCORE_JUDGE_MODEL", "EOCORE_JUDGE_KEY"


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """Who judges and how patiently.

    Attributes:
        url: base of the endpoint; "/chat/completions" is added.
        model: name the endpoint knows.
        key: sent as bearer token; empty = none. Never written anywhere.
        prompt: one of PROMPTS.
        attempts: tries per answer, for a failing endpoint and an unreadable reply alike.
        timeout_s: of one try [s].
        pause_s: before the second try; doubles with each further one.
        workers: requests under way at once.
        cache: folder of judge scores, one file each, named by the hash of model, prompt and texts; None = no cache.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    prompt: str = "quality"
    attempts: int = 3
    timeout_s: float = 60.0
    pause_s: float = 1.0
    workers: int = 4
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.prompt not in PROMPTS:
            raise ConfigError(f"judge: prompt must be one of {', '.join(PROMPTS)}, found {self.prompt!r}.")
        if not self.url.startswith(("http://", "https://")) or not self.model:
            raise ConfigError(f"judge: expected an OpenAI-compatible endpoint and a model, found {self.url!r} and {self.model!r}.")
        if self.attempts < 1 or self.workers < 1 or self.timeout_s <= 0:
            raise ConfigError("judge: attempts and workers must be 1 or more, and timeout_s above 0.")


def options_from_environment(environment: Mapping[str, str] = os.environ, **others: Any) -> JudgeOptions:
    """Options whose URL, model and key come from EOCORE_JUDGE_URL, EOCORE_JUDGE_MODEL and EOCORE_JUDGE_KEY.

    Raises:
        ConfigError: URL or model is not set.
    """
    absent = [name for name in (URL_VARIABLE, MODEL_VARIABLE) if not environment.get(name)]
    if absent:
        raise ConfigError(
            f"judge: {' and '.join(absent)} not set in the environment. Set {URL_VARIABLE} (base of an OpenAI-compatible endpoint, such as "
            f"http://localhost:8000/v1), {MODEL_VARIABLE} and, where the endpoint asks for one, {KEY_VARIABLE}; or score offline only."
        )
    return JudgeOptions(url=environment[URL_VARIABLE], model=environment[MODEL_VARIABLE], key=environment.get(KEY_VARIABLE, ""), **others)
