"""What a linear scorer knows: its classes."""

from typing import Any

from transformers import PretrainedConfig


class LinearScorerConfig(PretrainedConfig):
    """`classes`: names, in the order of the scores."""

    model_type = "linear_scorer"

    def __init__(self, classes: list[str] | None = None, **kwargs: Any) -> None:
        self.classes = list(classes or [])
        super().__init__(**kwargs)
