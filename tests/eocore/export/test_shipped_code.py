"""Which files travel in a checkpoint, and what their imports become there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eocore.errors import CheckpointError
from eocore.export.hf import Shipment, write_checkpoint
from eocore.export.shipped_code import PORTABLE_FOLDER, collect_code


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import yaml", r"parts.py:1 imports yaml, which a machine with only PIL, numpy, torch, transformers does not have"),
        ("from eocore.errors import EOError", r"parts.py:1 imports eocore.errors, which a checkpoint cannot hold in this form"),
        (
            "import torch\nimport eocore.portable.duplicates",
            r"parts.py:2 imports eocore.portable.duplicates, which a",
        ),
        ("from eocore.portable import duplicates", r"parts.py:1 imports eocore.portable, which a checkpoint cannot hold in this form"),
        ("from eocore import portable", r"parts.py:1 imports eocore, which a checkpoint cannot hold in this form"),
        ("from eocore.portable.missing import x", r"parts.py:1 imports eocore.portable.missing, which does not exist"),
        (
            "from eocore.portable \\\n    .duplicates import x",
            r"imports eocore.portable.duplicates in a form that cannot be",
        ),
        ("def f():\n    import mmengine", r"parts.py:2 imports mmengine, which a machine"),
        ("from ..other import x", r"parts.py:1 imports ..other, which does not travel with it"),
        ("from .missing import x", r"parts.py:1 imports .missing, which does not travel with it"),
        ("from . import configuration_doubler", r"parts.py:1 imports ., which does not travel with it"),
    ],
)
def test_code_that_could_not_run_elsewhere_is_refused(
    make_shipment: Callable[..., Shipment], tmp_path: Path, line: str, message: str
) -> None:
    shipment = make_shipment()
    (shipment.model_package / "parts.py").write_text(line + "\n")
    with pytest.raises(CheckpointError, match=message):
        write_checkpoint(shipment, tmp_path / "out", card="")
    assert not (tmp_path / "out").exists()


def test_standard_library_and_the_four_libraries_are_allowed(package: Path) -> None:
    (package / "parts.py").write_text("import json, PIL.Image\nfrom torch.nn import functional\nfrom .modeling_doubler import Doubler\n")
    assert [file.name for file in collect_code(package)] == ["configuration_doubler", "modeling_doubler", "parts", "processing_doubler"]


def test_a_system_may_name_one_library_more(package: Path) -> None:
    (package / "parts.py").write_text("import yaml\n")
    with pytest.raises(CheckpointError, match="imports yaml, which a machine with only"):
        collect_code(package)
    assert "parts" in [file.name for file in collect_code(package, libraries=("yaml",))]


def test_folder_without_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no Python files, so nobody could load the checkpoint"):
        collect_code(tmp_path)


def test_map_must_name_shipped_classes(make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"auto_map names modeling_doubler.Tripler, which no shipped file defines"):
        write_checkpoint(make_shipment(AutoModelForCausalLM="modeling_doubler.Tripler"), tmp_path / "out", card="")


class TestPortableModules:
    def test_imported_modules_travel_with_those_they_need(self, make_shipment: Callable[..., Shipment], tmp_path: Path) -> None:
        shipment = make_shipment()
        (shipment.model_package / "parts.py").write_text("from eocore.portable.vision_layout import lay_out\n")
        portable = {"band_rendering", "image_tiling", "pictures", "sample_error", "vision_layout"}
        assert {file.name for file in shipment.code if file.is_portable} == portable
        write_checkpoint(shipment, tmp_path / "out", card="")
        names = {path.stem for path in (tmp_path / "out").glob("*.py")}
        assert names == {"parts", "configuration_doubler", "modeling_doubler", "processing_doubler", *portable}
        assert (tmp_path / "out" / "parts.py").read_text() == "from .vision_layout import lay_out\n"
        assert not any("eocore.portable" in path.read_text() for path in (tmp_path / "out").glob("*.py"))

    def test_only_the_import_itself_is_rewritten(self, package: Path) -> None:
        text = (
            '"""From eocore.portable.duplicates import nothing: \u00e4."""\n'
            "from eocore.portable.duplicates import (\n    find_duplicates as found,  # from eocore.portable.x import y\n)\n\n\n"
            "def late():\n    \u00e9 = 1; from  eocore.portable.row_packing  import IGNORE\n"
            "    return \u00e9, IGNORE, 'from eocore.portable.a import b'\n"
        )
        (package / "parts.py").write_text(text, encoding="utf-8")
        flat = next(file.text for file in collect_code(package) if file.name == "parts")
        assert flat == text.replace("from eocore.portable.duplicates import (", "from .duplicates import (").replace(
            "from  eocore.portable.row_packing  import", "from .row_packing  import"
        )

    def test_two_files_of_one_name_are_refused(self, package: Path) -> None:
        (package / "duplicates.py").write_text("X = 1\n")
        (package / "parts.py").write_text("from eocore.portable.duplicates import find_duplicates\n")
        with pytest.raises(CheckpointError, match=r"doubler_system/duplicates.py and .*portable/duplicates.py have one name"):
            collect_code(package)

    def test_a_portable_file_imports_no_file_of_the_model(self, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "portable"
        folder.mkdir()
        (folder / "common.py").write_text("from .parts import doubled\n")
        (package / "modeling_doubler.py").write_text("from eocore.portable.common import doubled\n")
        monkeypatch.setattr("eocore.export.shipped_code.PORTABLE_FOLDER", folder)
        with pytest.raises(CheckpointError, match=r"common.py:1 imports eocore.portable.parts, which does not exist"):
            collect_code(package)

    def test_every_portable_module_could_travel(self, package: Path) -> None:
        names = sorted(path.stem for path in PORTABLE_FOLDER.glob("*.py") if path.stem != "__init__")
        (package / "parts.py").write_text("".join(f"import json\nfrom eocore.portable.{name} import __doc__ as {name}\n" for name in names))
        assert [file.name for file in collect_code(package) if file.is_portable] == names
