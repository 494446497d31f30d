# Shared by the scripts of this folder (sourced): arguments, processes, one call of python -m eocore.evaluate run.
# shellcheck shell=bash
REPO_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tools/launch.sh
source "$REPO_ROOT/tools/launch.sh"

SUITE_FLAGS='  flags      passed on to python -m eocore.evaluate run, e.g.
               --out DIR         where results go (default: work_dirs/evaluation/<model>/<suite>)
               --settings S ...  only these sensor settings
               --limit N         only the first N samples of each benchmark
               --any-count       also run a set whose number of samples is not the published one
               --overwrite       throw away predictions of another model, data or choices'

suite_usage() { # suite_usage SCRIPT WHAT: the help of one script
    cat <<HELP
Usage: bash scripts_eval/$1 MODEL [DATA_ROOT] [GPUS] [flags]

Runs $2
on a converted model and ends with one table. Run again, it resumes where it was stopped.

  MODEL      folder written by tools/convert_to_hf.py
  DATA_ROOT  data folder (default: data); docs/evaluation.md says what lies where
  GPUS       processes on this machine: one per GPU, or any number on a CPU (default: all GPUs, or 1)
$SUITE_FLAGS

A benchmark whose files are absent is skipped, and the reason is printed; if none can be run, the exit status is not 0.

Environment: PYTHON (interpreter; default: the active environment's, else .venv/bin/python, else python3), and for several machines
NNODES, NODE_RANK, MASTER_ADDR, PORT as for tools/dist.sh. Machines that share no file system: copy the shards to one folder and run
python -m eocore.evaluate merge FOLDER.
HELP
}

suite_fail() { # suite_fail SCRIPT MESSAGE: what is wrong, and where to look
    printf '%s: %s\nTry: bash scripts_eval/%s --help\n' "$1" "$2" "$1" >&2
    exit 2
}

count_gpus() { # the GPUs of this machine, 0 without a driver
    nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true
}

read_run() { # read_run SCRIPT SUITE WHAT ARGUMENTS...: sets model, data, gpus, found, out and flags, or ends with a message
    local script=$1 suite=$2 what=$3 positional=() argument
    shift 3
    for argument in "$@"; do
        if [[ $argument == --help || $argument == -h ]]; then
            suite_usage "$script" "$what"
            exit 0
        fi
    done
    while (($#)) && [[ $1 != -* ]]; do
        positional+=("$1")
        shift
    done
    ((${#positional[@]} >= 1)) || suite_fail "$script" "no MODEL given."
    ((${#positional[@]} <= 3)) || suite_fail "$script" "${#positional[@]} arguments before the flags; at most MODEL DATA_ROOT GPUS."
    model=${positional[0]} data=${positional[1]:-data} flags=("$@")
    found=$(count_gpus)
    gpus=${positional[2]:-$((found > 0 ? found : 1))}
    out=work_dirs/evaluation/$(basename "$model")/$suite
    [[ -d $model ]] || suite_fail "$script" "MODEL $model is no folder. Convert a checkpoint with tools/convert_to_hf.py."
    [[ -d $data ]] || suite_fail "$script" "DATA_ROOT $data is no folder."
    [[ $gpus =~ ^[1-9][0-9]*$ ]] || suite_fail "$script" "GPUS is '$gpus'; expected a whole number of at least 1."
    choose_python
    command -v "$PYTHON" >/dev/null || suite_fail "$script" "no Python interpreter '$PYTHON'; run bash tools/setup_env.sh first, or set PYTHON."
    export PYTHONPATH="$REPO_ROOT/projects${PYTHONPATH:+:$PYTHONPATH}"
}

run_suite() { # run_suite SCRIPT SUITE WHAT ARGUMENTS...
    local model data gpus found out flags
    read_run "$@"
    launch "$found" "$gpus" -m eocore.evaluate run --model "$model" --data-root "$data" --suite "$2" --out "$out" "${flags[@]}"
}

launch() { # launch FOUND_GPUS PROCESSES PROGRAM ARGUMENTS...: one process by itself, several through torchrun
    local found=$1 gpus=$2
    shift 2
    if ((found == 0)); then
        share_cores "$gpus"
    fi
    if ((gpus == 1 && ${NNODES:-1} == 1)); then
        exec "$PYTHON" "$@"
    fi
    start_processes "$gpus" "$@"
}
