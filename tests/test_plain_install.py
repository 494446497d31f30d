"""Plain installations, far from the repository: `.[eval]`, without DeepSpeed, does all but train; `.[train]` trains.

Each environment is real: made by venv, offered just what the extra asks for (links to the packages of this one, so that
nothing is fetched), and filled by pip from a wheel.
"""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from distributions import build, copy_sources
from linked_packages import link_packages
from packaging.requirements import Requirement
from PIL import Image

pytestmark = pytest.mark.slow

CONFIG = "earthmind_tiny_synthetic"
SMALL = ["--cfg-options", "training.max_iters=2", "task.batch_size=2", "task.num_workers=0"]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An environment with the project installed in it.

    Attributes:
        bin: folder of its commands.
        folder: where commands are run; the repository is not near.
        data: the synthetic world, which the config finds by its environment variable.
    """

    bin: Path
    folder: Path
    data: Path

    def run(self, command: str, *words: str | Path, status: int = 0) -> str:
        """What a command of the environment wrote, both streams; fails where the exit status is another."""
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DS_ACCELERATOR")}
        environment |= {"SYNTHETIC_ROOT": str(self.data), "OMP_NUM_THREADS": "2", "PYTHONNOUSERSITE": "1"}
        done = subprocess.run(
            [str(self.bin / command), *map(str, words)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert done.returncode == status, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def wheel(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    return build("wheel", copy_sources(repo_root, folder / "sources"), folder / "dist")


def make_environment(folder: Path, packages: list[str]) -> Installed:
    """A new environment that has these packages and what they need, and not the project."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    bin = folder / "venv" / "bin"
    # the one that venv puts there on Python 3.11 is older than torch's requirement, and would hide the linked one
    subprocess.run([str(bin / "python"), "-m", "pip", "uninstall", "--yes", "setuptools"], check=True, capture_output=True)
    linked = link_packages(folder / "packages", packages)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "venv" / "lib" / version / "site-packages" / "linked.pth").write_text(f"{linked}\n")
    (folder / "elsewhere").mkdir()
    return Installed(bin=bin, folder=folder / "elsewhere", data=folder / "data")


def pip_install(installed: Installed, *words: str, folder: Path) -> None:
    """Installs with pip and without an index: it finds all that is asked for, or fails."""
    done = subprocess.run(
        [str(installed.bin / "python"), "-m", "pip", "install", "--no-index", *words],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def install(wheel: Path, extra: str, folder: Path) -> Installed:
    """A new environment into which pip has installed the wheel with an extra."""
    installed = make_environment(folder, requirements_of(wheel, extra))
    pip_install(installed, f"eocore-earthmind[{extra}] @ {wheel.as_uri()}", folder=folder)
    return installed


def requirements_of(wheel: Path, extra: str) -> list[str]:
    """What the wheel asks for by itself and with that extra, as its metadata says."""
    (metadata,) = (item for item in zipfile.Path(wheel).iterdir() if item.name.endswith(".dist-info"))
    found = [Requirement(text) for text in PathDistribution(metadata).requires or ()]
    wanted = [item for item in found if item.marker is None or item.marker.evaluate({"extra": extra})]
    return [f"{item.name}[{','.join(item.extras)}]" if item.extras else item.name for item in wanted]


@pytest.fixture(scope="module")
def for_training(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    installed = install(wheel, "train", tmp_path_factory.mktemp("train"))
    installed.run("eo", "make-synthetic", "--out", installed.data, "--train", "8", "--val", "2", "--test", "2", "--size", "96")
    return installed


@pytest.fixture(scope="module")
def trained(for_training: Installed) -> Path:
    """Folder of a training of two updates, by the name of a config."""
    for_training.run("eo", "train", CONFIG, *SMALL)
    return for_training.folder / "work_dirs" / CONFIG


@pytest.fixture(scope="module")
def for_evaluation(wheel: Path, for_training: Installed, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    installed = install(wheel, "eval", tmp_path_factory.mktemp("eval"))
    return Installed(bin=installed.bin, folder=installed.folder, data=for_training.data)


@pytest.fixture(scope="module")
def model(for_evaluation: Installed, trained: Path) -> Path:
    """A converted model, made without DeepSpeed."""
    out = for_evaluation.folder / "model"
    for_evaluation.run("eo", "convert", CONFIG, "--pth-model", trained / "latest", "--save-path", out)
    return out


def test_configs_are_the_installed_ones(for_evaluation: Installed) -> None:
    program = "from eocore.shipped_configs import CONFIGS; print(CONFIGS)"
    found = Path(for_evaluation.run("python", "-c", program).strip())
    assert found.is_relative_to(for_evaluation.bin.parent) and found.parts[-2:] == ("eocore", "configs")


def test_training_by_name_writes_where_the_user_is(trained: Path) -> None:
    assert json.loads((trained / "status.json").read_text())["state"] == "finished"
    assert (trained / "iter_000002" / "trainable.safetensors").is_file()


@pytest.mark.parametrize("zero", ["deepspeed_zero2", "deepspeed_zero3"])
def test_training_by_a_config_of_ones_own(for_training: Installed, zero: str) -> None:
    text = f'_base_ = ["{CONFIG}"]\ntraining = dict(max_iters=1, deepspeed="{zero}")\ntask = dict(batch_size=2, num_workers=0)\n'
    (for_training.folder / f"{zero}_of_mine.py").write_text(text)
    for_training.run("eo", "train", f"{zero}_of_mine.py", "--trust-config", "--work-dir", zero)
    assert (for_training.folder / zero / "iter_000001" / "trainable.safetensors").is_file()


def test_training_on_two_processes(for_training: Installed) -> None:
    for_training.run("eo", "train", CONFIG, "--gpus", "2", "--work-dir", "two", *SMALL)
    assert json.loads((for_training.folder / "two" / "iter_000002" / "trainer.json").read_text())["world_size"] == 2


def test_without_deepspeed_nothing_trains_and_the_error_says_why(for_evaluation: Installed) -> None:
    for_evaluation.run("python", "-c", "import deepspeed", status=1)
    shown = for_evaluation.run("eo", "train", CONFIG, status=1)
    assert "DeepSpeed is not installed" in shown and "Traceback" not in shown


def test_data_are_checked(for_evaluation: Installed) -> None:
    for_evaluation.run("eo", "check-data", CONFIG, "--out", "check")
    assert list((for_evaluation.folder / "check").glob("*.html"))


def test_a_config_s_evaluation_is_run_and_reported(for_evaluation: Installed, model: Path) -> None:
    for_evaluation.run("eo", "test", CONFIG, "--model", model, "--out", "tested")
    assert list((for_evaluation.folder / "tested").rglob("*.json"))


def test_benchmarks_are_run_scored_compared_and_reported(for_evaluation: Installed, model: Path) -> None:
    folder = for_evaluation.folder
    for_evaluation.run("eo", "make-benchmarks", "--out", "sets")
    what = ["--benchmark", "aid", "--data-root", "sets", "--any-count", "--limit", "2"]
    for_evaluation.run("eo", "evaluate", "run", "--model", model, *what, "--out", "run")
    predictions = folder / "run" / "aid" / "predictions.jsonl"
    for_evaluation.run("eo", "evaluate", "score", "--predictions", predictions, "--out", "scores.json")
    assert json.loads((folder / "scores.json").read_text())["settings"]
    for_evaluation.run("eo", "evaluate", "compare", predictions, predictions)
    for_evaluation.run("eo", "evaluate", "merge", "run")
    for_evaluation.run("eo", "evaluate", "report", "--help")


def test_an_image_is_asked_about(for_evaluation: Installed, model: Path) -> None:
    Image.new("RGB", (64, 64), (30, 90, 60)).save(for_evaluation.folder / "field.png")
    words = ["--rgb", "field.png", "--text", "Is there water?", "--max-new-tokens", "4", "--out", "answer"]
    for_evaluation.run("eo", "predict", model, *words)
    assert list((for_evaluation.folder / "answer").iterdir())


def test_requirements_install_the_project_in_place(wheel: Path, repo_root: Path, tmp_path: Path) -> None:
    sources = copy_sources(repo_root, tmp_path / "sources")
    both = sorted({*requirements_of(wheel, "train"), *requirements_of(wheel, "eval")})
    installed = make_environment(tmp_path, both)
    pip_install(installed, "--no-build-isolation", "-r", "requirements.txt", folder=sources)
    program = "from eocore.shipped_configs import CONFIGS; print(CONFIGS)"
    assert installed.run("python", "-c", program).strip() == str(sources / "configs")
    assert "max_iters" in installed.run("eo", "print-config", CONFIG)
    assert not (sources / "build" / "lib").exists(), "nothing is copied"
