#!/usr/bin/env bash
# Runs a tool on a Slurm cluster: one task per GPU.
set -euo pipefail
# shellcheck source=tools/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

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

read_call "PARTITION TOOL CONFIG GPUS" "$@"
command -v srun >/dev/null || launch_fail "srun is not on the path; this machine is no Slurm cluster. Use tools/dist.sh."
choose_python
add_launcher_flags slurm
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
export MASTER_PORT="${PORT:-29500}"
# The address of the first rank is known only inside the job.
# shellcheck disable=SC2016,SC2086,SC2154
exec srun -p "$partition" --job-name "${JOB_NAME:-$tool}" --gres "gpu:$per_node" --ntasks "$gpus" --ntasks-per-node "$per_node" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    bash -c 'export MASTER_ADDR=$(scontrol show hostnames "$SLURM_STEP_NODELIST" | head -n 1); exec "$@"' \
    rank "$PYTHON" -u "$script" "$config" "${flags[@]}"
