"""A converted Aerith that answers: single questions, records of an evaluation, questions of a chat."""

from pathlib import Path
from typing import Any

from aerith.checkpoints.upstream_folder import is_upstream_folder, read_upstream
from aerith.model.modeling_aerith import AerithForConditionalGeneration
from aerith.model.processing_aerith import AerithProcessor
from aerith.model.processor_options import ROLES
from eocore.models import folders
from eocore.models.folders import load_tokenizer, read_json
from eocore.predict.text_answers import ChatPredictor
from eocore.system import PredictorOptions

PROCESSOR, TEMPLATE = "processor_config.json", "chat_template.jinja"


def read_processor(folder: Path) -> AerithProcessor:
    """The processor of a converted model; the folder's Python files are not run. Raises CheckpointError where it is damaged."""
    template = folder / TEMPLATE
    choices = {"chat_template": template.read_text(encoding="utf-8")} if template.is_file() else {}
    found: AerithProcessor = AerithProcessor.from_args_and_dict([load_tokenizer(folder)], {**read_json(folder / PROCESSOR), **choices})
    return found


class AerithPredictor(ChatPredictor):
    """A converted model, or one of the folders that AerithVLM's README promises.

    Args:
        folder: of it.
        options: how it is loaded and answers.

    Raises:
        ConfigError: a generation option is unknown or does not fit the others.
        CheckpointError: the folder is neither.
    """

    roles = ROLES

    def __init__(self, folder: Path, options: PredictorOptions) -> None:
        if not is_upstream_folder(folder):
            folders.check_model_folder(folder)
        super().__init__(options)
        self.folder = folder

    def read_model(self) -> tuple[Any, AerithProcessor]:
        """Model and processor, in memory."""
        if is_upstream_folder(self.folder):
            return read_upstream(self.folder, dtype=self.load_dtype), read_processor(self.folder)
        model = folders.load_model(AerithForConditionalGeneration, self.folder, dtype=self.load_dtype)
        return model, read_processor(self.folder)
