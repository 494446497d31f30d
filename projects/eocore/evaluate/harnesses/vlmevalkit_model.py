"""The model class of VLMEvalKit, which has no plug-ins: `register` puts it where the harness looks for models."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from vlmeval.vlm.base import BaseModel

from eocore.errors import DataError
from eocore.evaluate.harnesses.chat_model import DEFAULT_MODALITIES, ChatModel, Part, open_picture


class VlmEvalKitModel(BaseModel):
    """A converted checkpoint under VLMEvalKit.

    Args:
        model_path: folder written by tools/convert_to_hf.py.
        modalities: what pictures without a tag are, in order.
        max_new_tokens: longest answer.
        device: as torch names it; None = the GPU if there is one.

    Raises:
        CheckpointError: `model_path` is not a converted model.
        ConfigError: an unknown modality.
    """

    INSTALL_REQ = False
    INTERLEAVE = True

    def __init__(
        self,
        model_path: str,
        modalities: Sequence[str] = DEFAULT_MODALITIES,
        *,
        max_new_tokens: int = 256,
        device: str | None = None,
    ) -> None:
        super().__init__()
        self.model = ChatModel(model_path, modalities=modalities, max_new_tokens=max_new_tokens, device=device)

    def use_custom_prompt(self, dataset: str | None) -> bool:
        """False: the harness's own prompts are used."""
        return False

    def generate_inner(self, message: Sequence[Mapping[str, str]], dataset: str | None = None) -> str:
        """The answer to one message.

        Args:
            message: {"type": "text" or "image", "value": text or path} in order.
            dataset: name of the benchmark; not used.

        Raises:
            DataError: another type, or pictures the model cannot be shown.
        """
        return self.model.chat([[_read_item(item) for item in message]])[0].strip()


def _read_item(item: Mapping[str, str]) -> Part:
    if item["type"] == "text":
        return item["value"]
    if item["type"] == "image":
        return open_picture(item["value"])
    raise DataError(f"a message holds {item['type']}; the model is shown text and pictures alone. Choose other benchmarks.")


def register(name: str, model_path: str, **choices: Any) -> None:
    """Makes the checkpoint known to VLMEvalKit under a name, and the class to its JSON configs.

    Call it before `run.py` looks models up: python -c "from eocore.evaluate.harnesses.vlmevalkit_model import register;
    register('earthmind', 'DIR'); import runpy; runpy.run_path('run.py', run_name='__main__')" --model earthmind --data XLRS-Bench-lite

    Args:
        name: what `--model` says.
        model_path: folder written by tools/convert_to_hf.py.
        **choices: further arguments of `VlmEvalKitModel`.
    """
    import vlmeval.config
    import vlmeval.vlm

    vlmeval.vlm.VlmEvalKitModel = VlmEvalKitModel
    vlmeval.config.supported_VLM[name] = partial(VlmEvalKitModel, model_path=model_path, **choices)
