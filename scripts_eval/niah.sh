#!/usr/bin/env bash
# Needles of one's own between the frames of a video of one's own.
set -euo pipefail
REPO_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tools/launch.sh
source "$REPO_ROOT/tools/launch.sh"

usage() {
    cat <<'HELP'
Usage: bash scripts_eval/niah.sh MODEL HAYSTACK NEEDLES [flags]

Puts pictures between the frames of a video, asks a converted model about them, and writes heat maps by length, depth and ratio.

  MODEL     folder written by tools/convert_to_hf.py
  HAYSTACK  a video file (extra video), such as a documentary; none is part of this project
  NEEDLES   folder with needles/ (pictures) and qa/qa.json, as NIAH/datas of github.com/VectorSpaceLab/Video-XL
  flags     passed on to tools/needle_test.py, e.g.
            --lengths N,N ...   frames (default: 4,8,16,32)
            --depths D,D ...    0 is before the first frame, 1 behind the last
            --ratios R,R ...    1 is all tokens (default: 1,2,4,8)
            --methods NAME ...  compress, pool, drop, choose
            --out DIR           default: work_dirs/needle_test

Environment: PYTHON (interpreter; default: the active environment's, else .venv/bin/python, else python3).
HELP
}

fail() {
    printf 'niah.sh: %s\nTry: bash scripts_eval/niah.sh --help\n' "$1" >&2
    exit 2
}

for argument in "$@"; do
    if [[ $argument == --help || $argument == -h ]]; then
        usage
        exit 0
    fi
done
(($# >= 3)) && [[ $1 != -* && $2 != -* && $3 != -* ]] || fail "expected MODEL HAYSTACK NEEDLES before the flags."
[[ -d $1 ]] || fail "MODEL $1 is no folder. Convert a checkpoint with tools/convert_to_hf.py."
[[ -f $2 ]] || fail "HAYSTACK $2 is no file. Name a video."
[[ -d $3 ]] || fail "NEEDLES $3 is no folder."
choose_python
export PYTHONPATH="$REPO_ROOT/projects${PYTHONPATH:+:$PYTHONPATH}"
exec "$PYTHON" "$REPO_ROOT/tools/needle_test.py" "$1" --haystack "$2" --questions "$3" "${@:4}"
