#!/usr/bin/env bash
# Runs a tool on a Slurm cluster: one task per GPU.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: bash tools/slurm.sh PARTITION TOOL CONFIG GPUS [flags]

  PARTITION  Slurm partition
  TOOL       train or test: the script tools/TOOL.py
  CONFIG     config file
  GPUS       GPUs in all
  flags      passed on to the script

Environment:
  GPUS_PER_NODE  (default 8, or GPUS if that is less)
  CPUS_PER_TASK  (default 5)
  JOB_NAME       (default: TOOL)
  SRUN_ARGS      further flags of srun
  DEEPSPEED      DeepSpeed configuration of a training, e.g. deepspeed_zero2 (default: what the config says)
  PORT           port of the first rank (default 29500)
  PYTHON         interpreter (default: the active environment's, else .venv/bin/python, else python3)

Example: GPUS_PER_NODE=8 DEEPSPEED=deepspeed_zero2 bash tools/slurm.sh gpu train configs/earthmind/earthmind_4b.py 16
TEXT
}

fail() {
    echo "slurm.sh: $1" >&2
    echo "Try: bash tools/slurm.sh --help" >&2
    exit 2
}

for argument in "$@"; do
    if [[ "$argument" == "--help" || "$argument" == "-h" ]]; then
        usage
        exit 0
    fi
done
[[ $# -ge 4 ]] || fail "expected PARTITION TOOL CONFIG GPUS, found $# argument(s)."

partition=$1 tool=$2 config=$3 gpus=$4
shift 4
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script="$root/tools/$tool.py"
[[ -f "$script" ]] || fail "no tool '$tool': $script does not exist."
[[ -e "$config" ]] || fail "config $config does not exist."
[[ "$gpus" =~ ^[1-9][0-9]*$ ]] || fail "GPUS is '$gpus'; expected a whole number of at least 1."
command -v srun >/dev/null || fail "srun is not on the path; this machine is no Slurm cluster. Use tools/dist.sh."

if [[ -z "${PYTHON:-}" ]]; then
    if [[ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]]; then
        PYTHON=python
    elif [[ -x "$root/.venv/bin/python" ]]; then
        PYTHON="$root/.venv/bin/python"
    else
        PYTHON=python3
    fi
fi

per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
flags=(--launcher slurm)
if [[ "$tool" == train && -n "${DEEPSPEED:-}" ]]; then
    flags+=(--deepspeed "$DEEPSPEED")
fi
export PYTHONPATH="$root/projects${PYTHONPATH:+:$PYTHONPATH}" MASTER_PORT="${PORT:-29500}"
# The address of the first rank is known only inside the job.
# shellcheck disable=SC2016,SC2086
exec srun -p "$partition" --job-name "${JOB_NAME:-$tool}" --gres "gpu:$per_node" --ntasks "$gpus" --ntasks-per-node "$per_node" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    bash -c 'export MASTER_ADDR=$(scontrol show hostnames "$SLURM_STEP_NODELIST" | head -n 1); exec "$@"' \
    rank "$PYTHON" -u "$script" "$config" "${flags[@]}" "$@"
