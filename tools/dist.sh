#!/usr/bin/env bash
# Runs a tool on several processes of this machine, or of several machines, through torchrun.
set -euo pipefail
# shellcheck source=tools/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

usage() {
    cat <<'TEXT'
Usage: bash tools/dist.sh TOOL CONFIG GPUS [flags]

  TOOL     train or test: the script tools/TOOL.py
  CONFIG   config file (for test: config or model folder)
  GPUS     processes on this machine: one per GPU, or any number on a CPU
  flags    passed on to the script, e.g. --work-dir DIR --dry-run --cfg-options training.max_iters=100

Environment:
  DEEPSPEED    DeepSpeed configuration of a training: deepspeed_zero0 .. deepspeed_zero3, deepspeed_zero2_offload,
               deepspeed_zero3_offload, or a JSON file (default: what the config says)
  NNODES       number of machines (default 1)
  NODE_RANK    number of this machine, from 0 (default 0)
  MASTER_ADDR  address of machine 0 (default 127.0.0.1)
  PORT         port on machine 0 (default: a free one; 29500 with several machines)
  RESTARTS     times that torchrun starts the processes again after one has failed; a training then resumes from its newest
               checkpoint (default 0)
  PYTHON       interpreter (default: the active environment's, else .venv/bin/python, else python3)

Example: DEEPSPEED=deepspeed_zero2 bash tools/dist.sh train configs/earthmind/earthmind_tiny_synthetic.py 2
TEXT
}

has_gpu() {
    [[ "${CUDA_VISIBLE_DEVICES-unset}" != "" ]] && command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU
}

read_call "TOOL CONFIG GPUS" "$@"
choose_python
command -v "$PYTHON" >/dev/null || launch_fail "no Python interpreter '$PYTHON'; run bash tools/setup_env.sh first, or set PYTHON."
if ! has_gpu; then
    export DS_ACCELERATOR=cpu
    share_cores "$gpus"
fi
add_launcher_flags pytorch
start_processes "$gpus" "$script" "$config" "${flags[@]}"
