# Shared by the scripts that start processes (sourced): their command line, the interpreter, cores and meeting point of the processes.
# shellcheck shell=bash disable=SC2034,SC2154
LAUNCH_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

launch_fail() { # launch_fail MESSAGE: what is wrong, and where to look
    printf '%s: %s\nTry: bash tools/%s --help\n' "$(basename "$0")" "$1" "$(basename "$0")" >&2
    exit 2
}

read_call() { # read_call NAMES WORD...: sets a variable for each of NAMES, in lower case; script, the tool's file; flags, the words left over
    local names name word
    read -ra names <<<"$1"
    shift
    for word in "$@"; do
        if [[ $word == --help || $word == -h ]]; then
            usage
            exit 0
        fi
    done
    (($# >= ${#names[@]})) || launch_fail "expected ${names[*]}, found $# argument(s)."
    for name in "${names[@]}"; do
        printf -v "${name,,}" '%s' "$1"
        shift
    done
    flags=("$@")
    script="$LAUNCH_ROOT/tools/$tool.py"
    [[ -f $script ]] || launch_fail "no tool '$tool': $script does not exist."
    [[ -e $config ]] || launch_fail "config $config does not exist."
    [[ $gpus =~ ^[1-9][0-9]*$ ]] || launch_fail "GPUS is '$gpus'; expected a whole number of at least 1."
}

add_launcher_flags() { # add_launcher_flags LAUNCHER: puts what the tool must know of its start before its other flags
    local own=(--launcher "$1")
    if [[ $tool == train && -n ${DEEPSPEED:-} ]]; then
        own+=(--deepspeed "$DEEPSPEED")
    fi
    flags=("${own[@]}" "${flags[@]}")
    export PYTHONPATH="$LAUNCH_ROOT/projects${PYTHONPATH:+:$PYTHONPATH}"
}

choose_python() { # sets PYTHON
    if [[ -n ${PYTHON:-} ]]; then
        return
    elif [[ -n ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} ]]; then
        PYTHON=python
    elif [[ -x $LAUNCH_ROOT/.venv/bin/python ]]; then
        PYTHON=$LAUNCH_ROOT/.venv/bin/python
    else
        PYTHON=python3
    fi
}

share_cores() { # share_cores PROCESSES: threads of each on a machine without GPUs
    local cores
    cores=$(getconf _NPROCESSORS_ONLN)
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((cores / $1 > 1 ? cores / $1 : 1))}"
    export MKL_NUM_THREADS="${MKL_NUM_THREADS:-$OMP_NUM_THREADS}"
}

start_processes() { # start_processes NUMBER WORD...: becomes torchrun, with NUMBER processes here; PYTHON must be chosen
    local processes=$1 nodes=${NNODES:-1} rendezvous=(--standalone) restarts=()
    shift
    if ((nodes > 1)) || [[ -n ${PORT:-} ]]; then
        rendezvous=(--nnodes "$nodes" --node-rank "${NODE_RANK:-0}" --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}")
    fi
    if [[ -n ${RESTARTS:-} ]]; then
        restarts=(--max-restarts "$RESTARTS")
    fi
    # Output goes to the screen; without a log folder named, torchrun would leave an empty one in /tmp at every start.
    exec "$PYTHON" -m eocore.train.torchrun "${rendezvous[@]}" --nproc-per-node "$processes" "${restarts[@]}" --log-dir /dev/null "$@"
}
