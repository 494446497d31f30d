"""A checkpoint works where there is torch, transformers and the encoder's package, far from this repository."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("olmoearth_pretrain_minimal")
from linked_packages import link_packages

from earthfm.export import pack
from eocore.export import reload
from eocore.export.verify import Findings, compare, examine

PACKAGES = ("torch", "transformers", "numpy", "pillow", "safetensors", "olmoearth-pretrain-minimal")
START = "import runpy, sys; sys.path[:0] = [sys.argv[1]]; sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')"


def test_it_gives_the_same_in_a_clean_environment(model_folder: Path, make_task: Callable[..., Any], tmp_path: Path) -> None:
    import json

    from safetensors.torch import load_file

    shipment = pack(make_task())
    packages = link_packages(tmp_path / "packages", PACKAGES)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path / "modules")}
    arguments = [str(Path(reload.__file__)), str(model_folder), "AutoModelForCausalLM", str(shipment.parity_check), str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", START, str(packages), *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = Findings(load_file(tmp_path / reload.OUTPUTS), json.loads((tmp_path / reload.DIGESTS).read_text()))
    assert compare(found, examine(shipment), folder=model_folder).keys() == {"input_ids", "image_tokens", "logits"}


def test_the_card_names_the_package_and_no_pickle_is_in_it(model_folder: Path, make_task: Callable[..., Any]) -> None:
    assert "pip install" in pack(make_task()).usage
    assert {path.suffix for path in model_folder.iterdir()} <= {".py", ".json", ".safetensors", ".md", ".jinja"}
    assert "olmoearth_pretrain_minimal" in (model_folder / "olmoearth.py").read_text()
