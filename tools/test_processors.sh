#!/usr/bin/env bash
# Runs the tests that compare computed numbers once for each kind of processor and number of threads that users have.
set -euo pipefail
# shellcheck source=tools/stages.sh
source "$(dirname "${BASH_SOURCE[0]}")/stages.sh"

usage() {
    cat <<'HELP'
Usage: bash tools/test_processors.sh [PYTEST ARGUMENTS]

Runs, once for each setting, the tests that compare computed numbers (every test file that speaks of torch.equal, assert_close, tolerances or
scalars.jsonl), prints a line for each, and fails where one failed. A processor is imitated by the instructions that libraries may use; those
it lacks are not tried. Takes some minutes a setting; with the environment of tools/test.sh or an active one.

  PYTHON        interpreter (default: .venv/bin/python, else python3)
  SELECTION     markers (default: not slow and not fault and not net)

One test file under all settings: bash tools/test_processors.sh tests/eocore/train/test_checkpoint.py
HELP
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac
cd "$REPO_ROOT"
PYTHON=${PYTHON:-$([[ -x .venv/bin/python ]] && echo "$REPO_ROOT/.venv/bin/python" || echo python3)}
SELECTION=${SELECTION:-not slow and not fault and not net}
LOGS=$REPO_ROOT/work_dirs/test_logs/processors
PATH=$(dirname "$PYTHON"):$PATH
PYTHONPATH=$REPO_ROOT/projects${PYTHONPATH:+:$PYTHONPATH}
export PATH PYTHONPATH
mkdir -p "$LOGS"

# ATen's kernels, oneDNN's and MKL's; CBWR=COMPATIBLE is what MKL does on processors of other makers.
SETTINGS=(
    "threads1 OMP_NUM_THREADS=1"
    "threads2 OMP_NUM_THREADS=2"
    "threads4 OMP_NUM_THREADS=4"
    "plain    OMP_NUM_THREADS=2 ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE"
    "avx2     OMP_NUM_THREADS=2 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2"
    "avx512   OMP_NUM_THREADS=2 ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=AVX512_CORE MKL_ENABLE_INSTRUCTIONS=AVX512"
)

if (($# == 0)); then
    mapfile -t FILES < <(grep -rlE 'torch\.equal|assert_close|tolerances|scalars\.jsonl' tests --include='test_*.py' | sort)
    set -- "${FILES[@]}"
fi
failed=0
for setting in "${SETTINGS[@]}"; do
    read -r name variables <<<"$setting"
    if [[ $name == avx* && -r /proc/cpuinfo ]] && ! grep -qw "${name/avx512/avx512f}" /proc/cpuinfo; then
        printf '%-9s not tried: this processor has no %s\n' "$name" "$name"
        continue
    fi
    status=0
    # shellcheck disable=SC2086
    env $variables "$PYTHON" -m pytest -q -n 2 -p no:cacheprovider -m "$SELECTION" "$@" >"$LOGS/$name.log" 2>&1 || status=$?
    printf '%-9s %s (%s)\n' "$name" "$(tail -n 1 "$LOGS/$name.log")" "$variables"
    ((status == 0)) || { failed=1; grep -E '^(FAILED|ERROR)' "$LOGS/$name.log" || true; }
done
((failed == 0)) || fail "tests failed under some settings; their output is in $LOGS"
