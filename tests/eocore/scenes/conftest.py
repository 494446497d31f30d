"""A model in the place of that of any folder."""

from collections.abc import Callable
from typing import Any

import pytest
from scene_files import WaterIndex, put_model


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WaterIndex]:
    """Puts a water index in the place of the model of any folder."""

    def put(**options: Any) -> WaterIndex:
        return put_model(monkeypatch, WaterIndex(**options))

    return put


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Puts a model that embeds in the place of that of any folder."""

    def put(model: object) -> None:
        monkeypatch.setattr("eocore.scenes.embedding.load_predictor", lambda folder, *, device: model)

    return put
