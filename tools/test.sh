#!/usr/bin/env bash
# Sets up the environment and passes the checks: ruff, mypy, pytest.
set -euo pipefail
# shellcheck source=tools/stages.sh
source "$(dirname "${BASH_SOURCE[0]}")/stages.sh"

usage() {
    cat <<'HELP'
Usage: bash tools/test.sh [--all] [PYTEST ARGUMENTS]

Sets up the environment (re-used on the next run), then runs ruff (rules and format), mypy and the tests that take seconds.

  --all    also the tests marked slow and fault (minutes)

Everything else goes to pytest: bash tools/test.sh tests/eocore -k masks
Tests marked gpu skip themselves where there is no GPU; tests marked net run only with: -m net
HELP
}

SELECTION="not slow and not fault and not net"
case ${1:-} in
    -h | --help) usage; exit 0 ;;
    --all) SELECTION="not net"; shift ;;
esac
LOGS=$REPO_ROOT/work_dirs/test_logs
VENV_PYTHON=$REPO_ROOT/.venv/bin/python
STAGE_COUNT=5

cd "$REPO_ROOT"
stage "set up the environment" "$LOGS/1_setup.log" bash tools/setup_env.sh --extras train,eval,java,sam2,mmcv,open_clip,wandb,quantized,zarr,earthfm,search,scenes,ray,notebooks,web,video,dev
stage "ruff" "$LOGS/2_ruff.log" "$VENV_PYTHON" -m ruff check .
stage "ruff format" "$LOGS/3_format.log" "$VENV_PYTHON" -m ruff format --diff --quiet . # fixes it: ruff format .
stage "mypy" "$LOGS/4_mypy.log" "$VENV_PYTHON" -m mypy
printf '\n[5/5] pytest (%s)\n' "$SELECTION"
export PATH=$REPO_ROOT/.venv/bin:$PATH
# A file runs in one process, in the order of names: what its tests share is made once. The last line of all is pytest's own.
exec "$VENV_PYTHON" -m pytest -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "$SELECTION" "$@"
