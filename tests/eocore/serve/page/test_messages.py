from pathlib import Path
from types import SimpleNamespace

from eocore.errors import DataError
from eocore.serve.page.messages import told


def test_errors_name_no_place_of_the_server(tmp_path: Path) -> None:
    service = SimpleNamespace(options=SimpleNamespace(uploads=tmp_path))
    text = told(DataError(f"{tmp_path}/0a/0b/scene.tif: too large."), service)  # type: ignore[arg-type]
    assert text == "scene.tif: too large."
    unforeseen = told(KeyError("secret"), service)  # type: ignore[arg-type]
    assert "secret" not in unforeseen and "KeyError" in unforeseen
