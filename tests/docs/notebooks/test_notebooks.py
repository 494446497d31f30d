"""docs/notebooks: each runs by itself, with small numbers in place of its parameters; what is kept of a run is small."""

import os
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="extra notebooks is not installed")
NotebookClient = pytest.importorskip("nbclient", reason="extra notebooks is not installed").NotebookClient
pytest.importorskip("ipykernel", reason="extra notebooks is not installed")

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "notebooks"
SMALL = {"scenes": 24, "chips": 40, "updates": 4, "model": ""}
"""Parameters of a notebook -> values that let it end within seconds."""
NAMES = ["01_data_preprocessing", "02_train_projection_head", "03_finetune_model", "04_evaluation", "05_inference_examples"]
"""Those that AerithVLM's README lists."""
MAX_SIZE = 300_000
"""Of a notebook with its outputs [bytes]."""
CELL_LIMIT_S = 300


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def parameters_of(notebook: Any) -> Any:
    """The one cell tagged `parameters`, as papermill has it."""
    (found,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return found


def assigned(source: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    exec(source, values)
    return {name: value for name, value in values.items() if name != "__builtins__"}


def pictures(notebook: Any) -> int:
    return sum("image/jpeg" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))


def test_these_are_all() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])])
def test_it_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook, shown = read(name), pictures(read(name))
    cell = parameters_of(notebook)
    given = assigned(cell.source)
    cell.source = "\n".join(f"{key} = {SMALL[key]!r}" for key in given)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for variable in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SYNTHETIC_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    before = set(os.listdir(FOLDER.parents[1]))
    client = NotebookClient(
        notebook,
        timeout=CELL_LIMIT_S,
        startup_timeout=CELL_LIMIT_S,  # a busy machine takes over a minute to start a kernel
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    assert pictures(notebook) > 0 and shown in (0, pictures(notebook)), "outputs are cleared, or those of a whole run"
    assert set(os.listdir(FOLDER.parents[1])) == before, "what it makes lies in a folder of its own"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_is_small_and_of_one_whole_run(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < MAX_SIZE
    assert "/tmp/" not in path.read_text() and "/home/" not in path.read_text()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1)) or (not any(counts) and not any(cell.outputs for cell in code))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error" or output.get("name") == "stderr"]
