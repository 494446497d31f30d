#!/usr/bin/env bash
# Runs a tool on several processes of this machine, or of several machines, through torchrun.
set -euo pipefail

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
  RESTARTS     times that torchrun starts the processes again after one has failed; a training then goes on from its newest
               checkpoint (default 0)
  PYTHON       interpreter (default: the active environment's, else .venv/bin/python, else python3)

Example: DEEPSPEED=deepspeed_zero2 bash tools/dist.sh train configs/earthmind/earthmind_tiny_synthetic.py 2
TEXT
}

fail() {
    echo "dist.sh: $1" >&2
    echo "Try: bash tools/dist.sh --help" >&2
    exit 2
}

for argument in "$@"; do
    if [[ "$argument" == "--help" || "$argument" == "-h" ]]; then
        usage
        exit 0
    fi
done
[[ $# -ge 3 ]] || fail "expected TOOL CONFIG GPUS, found $# argument(s)."

tool=$1 config=$2 gpus=$3
shift 3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script="$root/tools/$tool.py"
[[ -f "$script" ]] || fail "no tool '$tool': $script does not exist."
[[ -e "$config" ]] || fail "config $config does not exist."
[[ "$gpus" =~ ^[1-9][0-9]*$ ]] || fail "GPUS is '$gpus'; expected a whole number of at least 1."

if [[ -z "${PYTHON:-}" ]]; then
    if [[ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]]; then
        PYTHON=python
    elif [[ -x "$root/.venv/bin/python" ]]; then
        PYTHON="$root/.venv/bin/python"
    else
        PYTHON=python3
    fi
fi
command -v "$PYTHON" >/dev/null || fail "no Python interpreter '$PYTHON'; run bash tools/setup.sh first, or set PYTHON."

has_gpu() {
    [[ "${CUDA_VISIBLE_DEVICES-unset}" != "" ]] && command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU
}

if ! has_gpu; then
    export DS_ACCELERATOR=cpu
    cores=$(getconf _NPROCESSORS_ONLN)
    threads=$((cores / gpus > 1 ? cores / gpus : 1))
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$threads}"
    export MKL_NUM_THREADS="${MKL_NUM_THREADS:-$OMP_NUM_THREADS}"
fi

nodes=${NNODES:-1}
if [[ "$nodes" -eq 1 && -z "${PORT:-}" ]]; then
    rendezvous=(--standalone)
else
    rendezvous=(--nnodes "$nodes" --node-rank "${NODE_RANK:-0}" --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}")
fi

flags=(--launcher pytorch)
if [[ "$tool" == train && -n "${DEEPSPEED:-}" ]]; then
    flags+=(--deepspeed "$DEEPSPEED")
fi
restarts=()
if [[ -n "${RESTARTS:-}" ]]; then
    restarts=(--max-restarts "$RESTARTS")
fi
export PYTHONPATH="$root/projects${PYTHONPATH:+:$PYTHONPATH}"
exec "$PYTHON" -m torch.distributed.run "${rendezvous[@]}" --nproc-per-node "$gpus" "${restarts[@]}" "$script" "$config" "${flags[@]}" "$@"
