"""QLoRA by the commands a user types: trained on two ranks, killed, resumed, converted whole and as an adapter, asked."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from earthmind.export import pack
from eocore.config import load_config
from eocore.export.hf import write_checkpoint
from eocore.registry import TASKS
from eocore.system import systems_of_config

pytestmark = [pytest.mark.slow, pytest.mark.fault]
STEPS, SAVED_EVERY, KILL_AT = 8, 2, 5
QLORA = """
task["model"] = dict(_delete_=True, pretrained={base!r})
task.update(
    tokenizer=dict(_delete_=True, type="PretrainedTokenizer", path={base!r}),
    trainable=["projector", "fusion", "seg_head.projector", "seg_head.sam.mask_decoder"],
    trainable_tokens=["[SEG]"],
    lora=dict(rank=4, alpha=8, dropout=0.05),
    quantization=dict(bits=4, format="nf4"),
    gradient_checkpointing=True,
)
"""


def write_base(small: ModuleType, folder: Path) -> Path:
    """A pretrained folder: the small model with weights drawn at random, and its tokenizer."""
    config = load_config(small.write_config(folder, ranks=1, steps=1), trust=True)
    systems_of_config(config)
    torch.manual_seed(0)
    task: Any = TASKS.build(dict(config.task))
    write_checkpoint(pack(task), folder / "base", card="")
    return folder / "base"


def write_config(small: ModuleType, folder: Path, base: Path) -> Path:
    path: Path = small.write_config(folder, ranks=2, steps=STEPS, saved_every=SAVED_EVERY)
    path.write_text(path.read_text() + QLORA.format(base=str(base)))
    return path


def begin(small: ModuleType, world: Path, config: Path, *flags: str) -> tuple[subprocess.Popen[bytes], Path]:
    log = config.with_name("launcher.log")
    return small.start(["bash", small.ROOT / "tools" / "dist.sh", "train", config, "2", *flags], world, log), log


def kill_a_rank(small: ModuleType, run: subprocess.Popen[bytes], folder: Path) -> None:
    while len(small.scalars(folder)) < KILL_AT:
        assert run.poll() is None, (folder / "launcher.log").read_text()[-3000:]
        time.sleep(0.02)
    ranks = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    os.kill(int(ranks[-1]), signal.SIGKILL)
    assert run.wait(120) != 0


def call(cwd: Path, *words: object) -> None:
    done = subprocess.run([sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def join_as_documented(root: Path, *, base: Path, adapter: Path, model: Path) -> str:
    """The blocks of docs/training.md that put an adapter onto its base and save both as a whole model."""
    section = (root / "docs" / "training.md").read_text().split("## Adapters alone")[1].split("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    names = "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoProcessor\n"
    return names + f"BASE, DIR, MODEL = {str(base)!r}, {str(adapter)!r}, {str(model)!r}\n" + "".join(blocks)


def test_qlora_from_the_training_to_an_answer(
    small: ModuleType, world: Path, tmp_path: Path, repo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bitsandbytes")
    monkeypatch.setenv("SYNTHETIC_ROOT", str(world))
    base = write_base(small, tmp_path / "start")
    folders = {name: tmp_path / name for name in ("straight", "killed")}
    configs = {name: write_config(small, folder, base) for name, folder in folders.items()}
    small.finish(*begin(small, world, configs["straight"]))
    run, _ = begin(small, world, configs["killed"])
    kill_a_rank(small, run, folders["killed"])
    resumed = small.finish(*begin(small, world, configs["killed"], "--resume"))
    assert re.search(r"resuming from iter_00000[46]", resumed)
    straight, killed = (small.scalars(folder) for folder in folders.values())
    assert len(straight) == STEPS and small.largest_deviation(killed, straight) == 0.0
    last = Path("run") / f"iter_{STEPS:06}"
    expected, found = (load_file(folder / last / "trainable.safetensors") for folder in folders.values())
    assert list(found) == list(expected) and all(torch.equal(value, expected[name]) for name, value in found.items())

    words = [repo_root / "tools" / "convert_to_hf.py", configs["killed"], "--trust-config", "--pth-model", folders["killed"] / last]
    call(tmp_path, *words, "--save-path", "model")
    call(tmp_path, *words, "--save-path", "adapter", "--adapter-only")
    call(tmp_path, "-c", join_as_documented(repo_root, base=base, adapter=tmp_path / "adapter", model=tmp_path / "joined"))
    whole, joined = (load_file(tmp_path / name / "model.safetensors") for name in ("model", "joined"))
    layer = "language_model.model.layers.0.mlp.up_proj.weight"
    assert set(whole) == set(joined) and not torch.equal(whole[layer], joined[layer]), "numbers of 4 bits, and those of the base"
    for name in ("model", "joined"):
        images = ["--optical", world / "test/multispectral/test_00000.tif", "--sar", world / "test/sar/test_00000.tif"]
        asked = ["--text", "Please segment the water in this image.", "--out", f"answer_{name}"]
        call(tmp_path, repo_root / "tools" / "predict.py", tmp_path / name, *images, *asked)
        assert json.loads((tmp_path / f"answer_{name}" / "answer.json").read_text())["text"]
