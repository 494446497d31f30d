"""A system of 150 lines that the core has never heard of is trained, converted, reloaded, evaluated and asked by the tools as they are."""

import json
import os
from pathlib import Path

import forked
import numpy as np
import pytest
from PIL import Image

from eocore.evaluate.vectors import VECTORS

PACKAGES = Path(__file__).with_name("minimal")
CLASSES = {"forest": (30, 120, 40), "sand": (210, 190, 130), "water": (20, 40, 160)}
CONFIG = """systems = ["linear_scorer"]
seed = 1
task = dict(
    type="LinearScorerTask",
    classes={classes},
    data=dict(type="CustomDataset", annotations={annotations!r}, task="classification"),
)
training = dict(max_iters=30, deepspeed="deepspeed_zero0", validation={validation})
optimizer = dict(lr=0.5)
schedule = dict(warmup_ratio=0.1)
hooks = dict(checkpoint=dict(type="CheckpointHook", interval=30, keep=1), metrics=dict(type="MetricsHook", interval=10))
tracking = []
"""

VALIDATION = """dict(
    every=10,
    data=dict(type="CustomDataset", annotations={annotations!r}, task="classification"),
    settings=dict(optical=["rgb"], night=["rgb"]),
    metrics=["classification"],
    samples=6,
    best="night/classification/accuracy",
)"""

EVALUATION = """
evaluation = dict(
    datasets=[
        dict(type="CustomDataset", annotations={first!r}, task="classification"),
        dict(type="ClassFolderDataset", annotations={second!r}, images={{}}),
    ],
    settings=dict(optical=["rgb"], night=["rgb"]),
)
"""
COMMANDS = """
import sys
from pathlib import Path
from eocore.evaluate.__main__ import main

config, model, out = sys.argv[1:]
settled = [["run", "--config", config, "--trust-config", "--model", model, "--out", out]] * 2
results = [Path(out, name) for name in ("predictions.jsonl", "vectors.npy", "scores.json")]
for words in settled:
    assert main(words) == 0
before = [path.read_bytes() for path in results[:2]]
for path in results:
    path.unlink()
assert main(["merge", out]) == 0
assert [path.read_bytes() for path in results[:2]] == before
predictions = str(results[0])
assert main(["score", "--predictions", predictions]) == 0
assert main(["compare", predictions, predictions]) == 0
assert main(["run", *settled[0][1:], "--settings", "night"]) == 1
"""


def pictures(folder: Path, *, count: int, seed: int) -> Path:
    """A folder of noisy pictures, one colour a class, with their annotation file."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    lines = []
    for number in range(count):
        label = list(CLASSES)[number % len(CLASSES)]
        pixels = np.clip(np.array(CLASSES[label]) + rng.normal(0, 20, (24, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        entry = {"sample_id": str(number), "image": f"{number}.png", "label": label, "candidates": list(CLASSES)}
        lines.append(json.dumps(entry) + "\n")
    (folder / "labels.jsonl").write_text("".join(lines))
    return folder / "labels.jsonl"


def run(repo_root: Path, *command: object, folder: Path) -> str:
    """What a command prints, run as a user does where this system is installed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(repo_root / "projects"), str(PACKAGES)]), "OMP_NUM_THREADS": "1"}
    done = forked.run(list(map(str, command)), cwd=folder, environment=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def model(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained and converted scorer; conversion has reloaded it where this repository is not."""
    folder = tmp_path_factory.mktemp("minimal")
    annotations = pictures(folder / "train", count=48, seed=0)
    validation = VALIDATION.format(annotations=str(pictures(folder / "val", count=9, seed=3)))
    (folder / "scorer.py").write_text(CONFIG.format(classes=list(CLASSES), annotations=str(annotations), validation=validation))
    trained = (folder / "scorer.py", "--trust-config")
    run(repo_root, repo_root / "tools/train.py", *trained, "--work-dir", folder / "run", folder=folder)
    converting = (repo_root / "tools/convert_to_hf.py", *trained, "--pth-model", folder / "run" / "best", "--save-path", folder / "model")
    assert "Reloaded in a process of its own; all weights equal" in run(repo_root, *converting, folder=folder)
    return folder / "model"


def test_it_is_validated_while_it_trains(model: Path) -> None:
    run = model.with_name("run")
    lines = [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]
    found = [line for line in lines if "val/loss" in line]
    assert [line["step"] for line in found] == [10, 20, 30]
    for line in found:
        assert line["val/optical/loss_class"] == line["val/night/loss_class"] == line["val/loss"]
        assert line["val/optical/classification/accuracy"] == line["val/night/classification/accuracy"] <= 1.0
    assert found[-1]["val/loss"] < found[0]["val/loss"]
    best = max(found, key=lambda line: line["val/night/classification/accuracy"])
    assert (run / "best").read_text() == f"iter_{best['step']:06d}\n"
    answers = [json.loads(line) for line in (run / "validation" / "predictions.jsonl").read_text().splitlines()]
    assert len(answers) == 12 and np.load(run / "validation" / VECTORS).shape == (12 * len(CLASSES),)


def test_the_folder_is_flat_and_holds_the_portable_modules_it_needs(model: Path) -> None:
    names = {path.stem for path in model.glob("*.py")}
    own = {"configuration_linear", "modeling_linear", "processing_linear"}
    assert names == {*own, "band_rendering", "image_tiling", "normalisation", "pictures"}
    assert "from .normalisation import normalise" in (model / "modeling_linear.py").read_text()


def test_the_core_names_the_class_of_an_image(model: Path, repo_root: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20, 3), CLASSES["forest"], np.uint8)).save(tmp_path / "a.png")
    asked = ("--rgb", tmp_path / "a.png", "--text", "Which class?", "--out", tmp_path / "out")
    assert run(repo_root, repo_root / "tools/predict.py", model, *asked, folder=tmp_path).startswith("forest\n")


def test_it_is_evaluated_by_its_class_scores(model: Path, repo_root: Path, tmp_path: Path) -> None:
    annotations = pictures(tmp_path / "test", count=12, seed=1)
    asked = ("--model", model, "--benchmark", f"custom:classification:{annotations}", "--out", tmp_path / "results")
    run(repo_root, "-m", "eocore.evaluate", "run", *asked, folder=tmp_path)
    (path,) = (tmp_path / "results").glob("*/scores.json")
    scores = json.loads(path.read_text())
    assert scores["system"] == "linear_scorer"
    (by_task,) = scores["settings"].values()
    assert by_task["classification"]["overall"]["metrics"]["accuracy"]["value"] == 1.0
    lines = [json.loads(line) for line in path.with_name("predictions.jsonl").read_text().splitlines()]
    assert all(line["prediction"] == list(CLASSES)[int(line["sample_id"]) % len(CLASSES)] for line in lines)
    assert np.load(path.with_name(VECTORS)).shape == (12 * len(CLASSES),)


def test_the_data_sets_of_a_config_are_evaluated_merged_scored_and_compared_from_the_command_line(
    model: Path, repo_root: Path, tmp_path: Path
) -> None:
    annotations = pictures(tmp_path / "test", count=6, seed=2)
    for name, colour in CLASSES.items():
        (tmp_path / "folders" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16), colour).save(tmp_path / "folders" / name / "0.png")
    text = CONFIG.format(classes=list(CLASSES), annotations=str(annotations), validation=None)
    text += EVALUATION.format(first=str(annotations), second=str(tmp_path / "folders"))
    (tmp_path / "scorer.py").write_text(text)
    (program := tmp_path / "commands.py").write_text(COMMANDS)
    shown = run(repo_root, program, tmp_path / "scorer.py", model, tmp_path / "out", folder=tmp_path)
    assert shown.count("night") >= 5
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["run"]["system"] == "linear_scorer"
    for setting in ("optical", "night"):
        overall = scores["settings"][setting]["classification"]["overall"]
        assert (overall["n"], overall["metrics"]["accuracy"]["value"]) == (9, 1.0)
