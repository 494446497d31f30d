"""The model class of lmms-eval; imported by lmms-eval alone, through `lmms_manifest`."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lmms_eval.api.model import lmms

from eocore.errors import ConfigError, DataError
from eocore.evaluate.harnesses.chat_model import DEFAULT_MODALITIES, ChatModel, Part, open_picture, until
from eocore.log import get_logger

Messages = Sequence[Mapping[str, Any]]


class LmmsEvalModel(lmms):
    """A converted checkpoint under lmms-eval.

    Args:
        pretrained: folder written by tools/convert_to_hf.py.
        batch_size: questions answered together.
        modalities: what pictures without a tag are, in order, joined by "+": "rgb+sar".
        max_new_tokens: longest answer, where a task does not say.
        device: as torch names it; "" = the GPU if there is one.
        max_batch_size: accepted since the harness gives it; not used.

    Raises:
        CheckpointError: `pretrained` is not a converted model.
        ConfigError: an unknown modality, or a batch size below 1.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str,
        batch_size: int | str = 1,
        *,
        modalities: str = "+".join(DEFAULT_MODALITIES),
        max_new_tokens: int = 256,
        device: str = "",
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise ConfigError(f"batch_size {batch_size!r}: expected a whole number of 1 or more.")
        self.batch_size = int(batch_size)
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator

            self.accelerator = Accelerator()
            self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
            device = str(self.accelerator.device)
        self.model = ChatModel(pretrained, modalities=modalities.split("+"), max_new_tokens=int(max_new_tokens), device=device or None)
        self._warned = False

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """One answer to each request, in order; requests with the same settings are answered in batches.

        Raises:
            DataError: a message holds video, sound, or pictures the model cannot be shown.
        """
        asked = [request.args for request in requests]
        answers: list[str] = [""] * len(asked)
        for settings, indices in self._alike(asked):
            for start in range(0, len(indices), self.batch_size):
                batch = indices[start : start + self.batch_size]
                texts = self.model.chat([self._parts(asked[index]) for index in batch], max_new_tokens=settings.get("max_new_tokens"))
                for index, text in zip(batch, texts, strict=True):
                    answers[index] = until(text, _stops(settings))
                    self.cache_hook.add_partial("generate_until", (asked[index][0], settings), answers[index])
        return answers

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not given: remote-sensing tasks ask for text. Raises ConfigError."""
        raise ConfigError("loglikelihood is not given by this model; choose tasks with output_type generate_until.")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Not given. Raises ConfigError."""
        raise ConfigError("several rounds are not given by this model; choose tasks with output_type generate_until.")

    def _alike(self, asked: Sequence[tuple[Any, ...]]) -> list[tuple[Mapping[str, Any], list[int]]]:
        groups: dict[str, tuple[Mapping[str, Any], list[int]]] = {}
        for index, (_, _, settings, *_rest) in enumerate(asked):
            self._check(settings)
            groups.setdefault(repr(sorted(settings.items())), (settings, []))[1].append(index)
        return list(groups.values())

    def _check(self, settings: Mapping[str, Any]) -> None:
        drawn = settings.get("do_sample") or (settings.get("temperature") or 0) > 0 or (settings.get("num_beams") or 1) > 1
        if drawn and not self._warned:
            self._warned = True
            get_logger().warning("the task asks for sampling or several beams; this model answers greedily, and the figures are of that.")

    def _parts(self, arguments: tuple[Any, ...]) -> list[Part]:
        _, to_messages, _, doc_id, task, split = arguments
        return [part for message in to_messages(self.task_dict[task][split][doc_id]) for part in _read_message(message)]


def _read_message(message: Mapping[str, Any]) -> list[Part]:
    content = message["content"]
    if isinstance(content, str):
        return [content]
    return [_read_content(item) for item in content]


def _read_content(item: Mapping[str, Any]) -> Part:
    if item["type"] == "text":
        return str(item["text"])
    if item["type"] == "image":
        return open_picture(item["url"])
    raise DataError(f"a message holds {item['type']}; the model is shown text and pictures alone. Choose other tasks.")


def _stops(settings: Mapping[str, Any]) -> list[str]:
    stops = settings.get("until") or []
    return [stops] if isinstance(stops, str) else list(stops)
