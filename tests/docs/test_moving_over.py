"""docs/moving_over.md: every line of the upstream READMEs is listed once, and every command of ours is taken by its real parser."""

import os
import re
import shlex
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from command_lines import parse

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "moving_over.md"
CONFIGS = "projects/llava_sam2/configs"
CONVERT = "python projects/llava_sam2/hf/convert_to_hf.py CONFIG --pth-model work_dirs/earthmind_4b_sft/iter_252380.pth"
EARTHMIND = {
    "Commands": [
        "conda create -n vlm python=3.10",
        "conda activate vlm",
        "conda install pytorch==2.3.1 torchvision==0.18.1 pytorch-cuda=12.1 cuda",
        "pip install mmcv==2.1.0",
        "pip install -r requirements.txt",
        "python demo.py",
        "python demo.py --image_path RGB --sar_image_path SAR",
        f"bash tools/dist.sh train {CONFIGS}/earthmind_4b_sft.py 8",
        f"bash tools/dist.sh train {CONFIGS}/earthmind_4b_multi.py 8",
        'export PYTHONPATH="./:$PYTHONPATH"',
        f"{CONVERT} --save-path your_model_path",
        "bash scripts_eval/image_task_eval.sh",
        "bash region_task.sh",
        "bash pixel_task_eval.sh",
        "bash multi_spectrum.sh",
        "bash earthmind-bench.sh",
        "projects/llava_sam2/evaluation/infer_earthmindbench_mcq.py",
        "projects/llava_sam2/evaluation/infer_earthmindbench_oe.py",
        *(f"huggingface.co/sy1998/{name}" for name in ("EarthMind-Pretrain", "EarthMind-4B", "EarthMind4B_multi")),
        *(f"huggingface.co/datasets/sy1998/{name}" for name in ("EarthMind-data", "Multisensor_RS_Data", "EarthMind-Bench")),
    ],
    "Flags": [
        *("--image_folder", "--model_path", "--work-dir", "--text", "--select", "--image_path", "--sar_image_path"),
        *("--pth-model", "--save-path"),
    ],
    "Imports": [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "from PIL import Image",
        *("import argparse", "import os", "import torch", "import cv2"),
        "from mmengine.visualization import Visualizer",
    ],
}
"""Heading -> what the README of both upstream releases names: github.com/shuyansy/EarthMind at 3b7c390, and the folder EarthMind of
github.com/shuyansy/Earth-Observation-VLMs at 7c1ef30."""
INFERENCE = "--model-name Llama3-MS-CLIP-Base --images ./examples"
EVALUATION = (
    "--model-name Llama3-MS-CLIP-Base --pretrained True --save-name Llama3-MS-CLIP-Base --templates msclip "
    "--dataset-dir benchmark_datasets --batch-size 64 --workers 0 --precision amp --save-path results/"
)
MS_CLIP = {
    "Commands": [
        "git clone https://github.com/IBM/MS-CLIP",
        "python -m venv venv",
        "source venv/bin/activate",
        "pip install -e .",
        "pip install git+https://github.com/IBM/MS-CLIP.git",
        f"python inference.py --run-classification {INFERENCE} --class-names ocean agriculture snow rural",
        f'python inference.py --run_retrieval {INFERENCE} --query "Agricultural fields in a rural area" --top-k 3',
        "python evaluation.py",
        f"python evaluation.py {EVALUATION}",
    ],
    "Flags": [
        *("--model-name", "--pretrained", "--ckpt-path", "--images", "--save-path", "--run-classification", "--class-names"),
        *("--classes-file", "--templates", "--run-retrieval", "--run_retrieval", "--query", "--queries-file", "--top-k", "--device"),
        *("--save-name", "--other-features", "--random-seed", "--dataset-dir", "--batch-size", "--workers", "--precision"),
    ],
    "Imports": ["from msclip.inference import run_inference_retrieval, run_inference_classification"],
}
"""The same of github.com/IBM/MS-CLIP at 9dbeb33."""
AERITH = {
    "Commands": [
        "git clone https://github.com/vendetta127/AerithVLM.git",
        "cd AerithVLM",
        "python -m venv venv",
        "source venv/bin/activate",
        "pip install -r requirements.txt",
        "pip install torch torchvision transformers",
        "pip install opencv-python pillow numpy pandas",
        "pip install accelerate bitsandbytes peft",
        "pip install sentencepiece protobuf",
        *("UCM", "RSVG", "DIOR-RSVG", "RSICap", "RSVQA-LR", "RSITMD"),
        *("AID", "WHU-RS19", "SIRI-WHU", "EuroSAT", "NWPU", "METER-ML", "fMoW"),
        *("DINOv3 Projection Head", "LoRA Adapters"),
    ],
    "Imports": ["from aerithvlm import AerithVLM"],
}
"""The same of github.com/vendetta127/AerithVLM at 50a2fae, which has no code; its data sets by name."""
EARTHFM = {
    "Commands": [
        "pip install -e .",
        "pip install -e .[dev]",
        "tools/installing/install_chatearthnet_dataset.py",
        "tools/installing/download_checkpoint.py",
        "python -m vlm.inference.inference_olmoearth_vlm --model_path vlm_full_checkpoints/best_model --image_path path/to/image.png "
        '--prompt "Describe the land use and vegetation in this scene."',
        "python -m vlm.training.train_olmoearth_vlm --data_dir ./chatearthnet_data --output_dir ./olmoearth_vlm_checkpoints "
        "--olmoearth_model OLMOEARTH_V1_NANO --vlm_model vikhyatk/moondream2 --batch_size 4 --accumulation_steps 4 --num_epochs 2 "
        "--use_lora --freeze_olmoearth",
        "training/launch_olmoearth_vlm_training.sh",
    ],
    "Flags": [
        *("--model_path", "--image_path", "--prompt", "--max_length", "--temperature", "--top_p", "--top_k"),
        *("--olmoearth_model", "--vlm_model", "--fusion_type", "--num_geo_queries", "--freeze_olmoearth", "--freeze_vlm_vision"),
        *("--use_lora", "--lora_r", "--lora_alpha", "--data_dir", "--output_dir", "--batch_size", "--accumulation_steps", "--num_epochs"),
        *("--learning_rate", "--warmup_steps", "--weight_decay", "--save_every", "--validate_every", "--device"),
    ],
    "Imports": ["from vlm.olmoearth_vlm_bridge import OlmoEarthVLMBridge"],
}
"""The same of github.com/Brayden-Zhang/EarthFM-VLM-Bridge at 387787a."""
VIDEO_XL = {
    "Commands": [
        "conda create -n videoxl python=3.10 -y && conda activate videoxl",
        "pip install torch==2.1.2 torchvision --index-url https://download.pytorch.org/whl/cu118",
        'pip install -e "videoxl/.[train]"',
        "pip install packaging &&  pip install ninja && pip install flash-attn --no-build-isolation --no-cache-dir",
        "pip install -r requirements.txt",
        *("bash scripts/pretrain.sh", "bash scripts/finetune_i.sh", "bash scripts/finetune_v.sh"),
        "accelerate launch --num_processes 8 --main_process_port 12345 -m lmms_eval --model videoxl --model_args "
        "pretrained=videoxl_checkpoint_15000,conv_template=qwen_1_5,model_name=llava_qwen,max_frames_num=128,video_decode_backend=decord "
        "--tasks videomme --batch_size 1 --log_samples --log_samples_suffix videoxl --output_path ./logs/",
        *("bash eval/eval_vnbench.sh", "bash ./NIAH/scripts/eval.sh"),
    ],
    "Flags": ["max_frames_num", "haystack_path", "--overwrite_beacon_ratio"],
}
"""The same of github.com/VectorSpaceLab/Video-XL, folder Video-XL, at 406332b, and of its NIAH/scripts/eval.sh."""
UPSTREAM = {"EarthMind": EARTHMIND, "MS-CLIP": MS_CLIP, "Aerith": AERITH, "EarthFM": EARTHFM, "Video-XL": VIDEO_XL}
HEADINGS = [(system, heading) for system, headings in UPSTREAM.items() for heading in headings]
PROGRAMS = ("python", "bash", "pip", "source")
PRINT_ARGUMENTS = '#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n'


def cells(system: str, heading: str) -> list[list[str]]:
    """The rows of the tables below a heading of a system, without their heads."""
    part = re.search(rf"^## {system}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    assert part is not None, f"{PAGE} has no section {system}"
    text = re.search(rf"^### {heading}$(.*?)(?=^### |\Z)", part[1], re.M | re.S)
    assert text is not None, f"{PAGE} has no heading {heading} below {system}"
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text[1].splitlines() if line.startswith("| ")]
    assert all(len(row) == 3 for row in rows)
    return [row for row in rows if row[0].strip() != "upstream"]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def our_commands() -> list[str]:
    found = [span for system, heading in HEADINGS for row in cells(system, heading) for cell in row[1:] for span in code(cell)]
    return list(dict.fromkeys(span for span in found if span.split()[0] in PROGRAMS))


@pytest.mark.parametrize(("system", "heading"), HEADINGS)
def test_every_upstream_line_is_listed_once(system: str, heading: str) -> None:
    assert Counter(span for row in cells(system, heading) for span in code(row[0])) == Counter(UPSTREAM[system][heading])


@pytest.mark.parametrize("system", UPSTREAM)
def test_every_path_of_ours_exists(system: str) -> None:
    spans = [span.split()[0] for row in cells(system, "Files and folders") for span in code(row[1])]
    paths = [span for span in spans if span.split("/")[0] in ("tools", "configs", "projects", "scripts_eval", "docs", "requirements.txt")]
    assert len(paths) > 3
    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.fixture
def printer(tmp_path: Path) -> Path:
    """Stands for Python in the shell scripts, whose own checks are real: prints what it would be called with."""
    path = tmp_path / "python"
    path.write_text(PRINT_ARGUMENTS)
    path.chmod(0o755)
    (tmp_path / "MODEL").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "needles").mkdir()
    (tmp_path / "video.mp4").touch()
    return path


def launched(words: list[str], python: Path) -> list[str]:
    """`[-m] PROGRAM ARGUMENTS...` that a shell script starts, on several processes or on one."""
    folder = ROOT if words[0] == "tools/dist.sh" else python.parent
    environment = {**os.environ, "PYTHON": str(python)}
    command = ["bash", str(ROOT / words[0]), *words[1:]]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=600)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    start = lines.index("/dev/null") + 1 if "/dev/null" in lines else 0  # the last argument of torchrun itself
    return [line.removeprefix(f"{ROOT}/") for line in lines[start:]]


@pytest.mark.parametrize("command", our_commands())
def test_every_command_of_ours_is_taken_by_its_parser(command: str, printer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *words = shlex.split(command)
    if program == "python":
        assert vars(parse(words, monkeypatch))
    elif program == "source":
        assert words == [".venv/bin/activate"]
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert words[0] == "install"
        named = re.search(r"\[(.+)\]", words[1])
        assert set(named[1].split(",")) <= set(extras) if named else (ROOT / words[-1]).is_file()
    elif words[0] == "tools/setup_env.sh":
        assert subprocess.run(["bash", *words, "--help"], cwd=ROOT, capture_output=True, timeout=600).returncode == 0
    else:
        assert vars(parse(launched(words, printer), monkeypatch))


def test_a_flag_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        parse(["tools/download.py", "earthmind-4b", "--select", "1"], monkeypatch)
