from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from eocore.errors import BandError, DataError
from eocore.serve.page.messages import told, without_commands


def test_errors_name_no_place_of_the_server(tmp_path: Path) -> None:
    service = SimpleNamespace(options=SimpleNamespace(uploads=tmp_path))
    text = told(DataError(f"{tmp_path}/0a/0b/scene.tif: too large."), service)  # type: ignore[arg-type]
    assert text == "scene.tif: too large."
    unforeseen = told(KeyError("secret"), service)  # type: ignore[arg-type]
    assert "secret" not in unforeseen and "KeyError" in unforeseen


def test_errors_name_no_option_of_a_command(tmp_path: Path) -> None:
    from eocore.predict.image_files import tell_sensor

    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", count=5, height=2, width=2, dtype="uint16") as target:
        target.write(np.ones((5, 2, 2), np.uint16))
    with pytest.raises(BandError, match="--sensor optical=NAME") as refused:
        tell_sensor("optical", [str(tmp_path / "a.tif")])
    text = told(refused.value, SimpleNamespace(options=SimpleNamespace(uploads=tmp_path)))  # type: ignore[arg-type]
    assert text == "a.tif: 5 layers of uint16 do not tell the sensor, and without it bands would be mistaken for others."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("--max-bytes 512MB is exceeded. Read a part (--window).", "max bytes 512MB is exceeded."),
        ("It is too large. Send a part. Or run tools/predict.py.", "It is too large. Send a part."),
        ("A well-known name -- and 3.5 m. No such thing! Ask eo search-index.", "A well-known name -- and 3.5 m. No such thing!"),
    ],
)
def test_advice_for_command_lines_is_left_out(text: str, shown: str) -> None:
    assert without_commands(text) == shown
