#!/usr/bin/env bash
# Tries on this machine, in less than nine minutes, what a training and its model will do.
set -euo pipefail
# shellcheck source=tools/stages.sh
source "$(dirname "${BASH_SOURCE[0]}")/stages.sh"

usage() {
    cat <<'HELP'
Usage: bash tools/gpu_check.sh [--quick] [--out DIR] [--only TEXT] [--list]

Sets up its own environment, then trains the tiny config in bf16 (1 process, and 2 over NCCL where there are two GPUs), resumes,
converts, predicts, evaluates, and tries pinned memory, kernels of attention, compiled layers and a step of the 4B config with
random weights. Ends with a table of what passed, failed or was skipped, each with its log; exit status 1 if a check failed.
Without a GPU it runs what needs none, on the CPU, with gloo between the ranks. An earlier run under DIR is replaced.

  --quick      leave out what takes long: compiled layers, ZeRO-3, the 4B config
  --out DIR    where everything is written (default: work_dirs/gpu_check)
  --only TEXT  checks whose name contains TEXT, and those that they need
  --list       name the checks and run none

Environment variables: those of tools/setup_env.sh.
HELP
}

for word in "$@"; do
    case $word in
        -h | --help) usage; exit 0 ;;
    esac
done
STAGE_COUNT=1
LOGS=$REPO_ROOT/work_dirs/gpu_check_setup
stage "set up the environment" "$LOGS/setup.log" bash "$REPO_ROOT/tools/setup_env.sh" --extras train,eval
export PATH=$REPO_ROOT/.venv/bin:$PATH PYTHONPATH=$REPO_ROOT/projects${PYTHONPATH:+:$PYTHONPATH}
exec "$REPO_ROOT/.venv/bin/python" "$REPO_ROOT/tools/gpu_check.py" "$@"
