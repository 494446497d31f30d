"""The model class of lmms-eval; imported by lmms-eval alone, through `lmms_manifest`."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lmms_eval.api.model import lmms

from eocore.errors import ConfigError, DataError
from eocore.evaluate.harnesses.chat_model import DEFAULT_MODALITIES, ChatModel, Part, open_picture, open_video, until
from eocore.log import get_logger
from eocore.portable.series import MAX_FRAMES

Messages = Sequence[Mapping[str, Any]]


class LmmsEvalModel(lmms):
    """A converted checkpoint under lmms-eval.

    Args:
        pretrained: folder written by tools/convert_to_hf.py.
        batch_size: questions answered together.
        modalities: what pictures without a tag are, in order, joined by "+": "rgb+sar".
        max_new_tokens: longest answer, where a task does not say.
        device: as torch names it; "" = the GPU if there is one.
        max_frames_num: most frames of a video that are shown, at even distances.
        harness: what lmms-eval gives besides: `max_batch_size`, which is not used.

    Raises:
        CheckpointError: `pretrained` is not a converted model.
        ConfigError: an unknown modality, or a batch size or number of frames below 1, or another argument.
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
        max_frames_num: int | str = MAX_FRAMES,
        **harness: Any,
    ) -> None:
        super().__init__()
        unknown = sorted(set(harness) - {"max_batch_size"})
        if unknown:
            known = "pretrained, modalities, max_new_tokens, max_frames_num, device"
            raise ConfigError(f"model_args: {', '.join(unknown)} is read by nothing; expected some of {known}.")
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise ConfigError(f"batch_size {batch_size!r}: expected a whole number of 1 or more.")
        if not str(max_frames_num).isdecimal() or int(max_frames_num) < 1:
            raise ConfigError(f"max_frames_num {max_frames_num!r}: expected a whole number of 1 or more.")
        self.batch_size, self.max_frames = int(batch_size), int(max_frames_num)
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
            DataError: a message holds sound, or pictures or a video that the model cannot be shown.
            ConfigError: a message holds a video, and PyAV is not installed.
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
        return [part for message in to_messages(self.task_dict[task][split][doc_id]) for part in self._read_message(message)]

    def _read_message(self, message: Mapping[str, Any]) -> list[Part]:
        content = message["content"]
        if isinstance(content, str):
            return [content]
        return [self._read_content(item) for item in content]

    def _read_content(self, item: Mapping[str, Any]) -> Part:
        if item["type"] == "text":
            return str(item["text"])
        if item["type"] == "image":
            return open_picture(item["url"])
        if item["type"] == "video":
            return open_video(item["url"], self.max_frames)
        raise DataError(f"a message holds {item['type']}; the model is shown text, pictures and videos alone. Choose other tasks.")


def _stops(settings: Mapping[str, Any]) -> list[str]:
    stops = settings.get("until") or []
    return [stops] if isinstance(stops, str) else list(stops)
