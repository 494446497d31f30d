#!/usr/bin/env bash
# Makes the project's own virtual environment, or re-uses it when nothing it depends on has changed.
set -euo pipefail
# shellcheck source=tools/stages.sh
source "$(dirname "${BASH_SOURCE[0]}")/stages.sh"

usage() {
    cat <<'HELP'
Usage: bash tools/setup_env.sh [--extras LIST] [--venv DIR]

Makes a virtual environment with the pinned versions of constraints.txt, torch first, and checks that it works.
A second run re-uses it: it installs only when pyproject.toml, constraints.txt or the wanted extras have changed.
Nothing outside DIR is touched.

  --extras LIST   extras of pyproject.toml, with commas between (default: train,eval)
  --venv DIR      where the environment lies (default: .venv in the repository)

Environment variables:
  PYTHON            the Python to make it with (default: the first of python3.11, python3.12, python3, python that fits)
  TORCH_SPEC        which torch, when not the pinned one, for example torch==2.12.1 or the path of a wheel
  TORCH_INDEX_URL   package index to take torch from: pytorch.org lists one for each CUDA version and one for the CPU
  MIN_FREE_GB       free disk space asked for before installing (default: 4; a CUDA build of torch takes about 10)
HELP
}

EXTRAS=train,eval
VENV=$REPO_ROOT/.venv
while (($#)); do
    case $1 in
        --extras) need_value "$1" $#; EXTRAS=$2; shift 2 ;;
        --venv) need_value "$1" $#; VENV=$2; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) fail "unknown option '$1'. See --help." ;;
    esac
done
[[ $VENV == /* ]] || VENV=$PWD/$VENV
VENV_PYTHON=$VENV/bin/python
LOG=$VENV/setup.log
STAMP=$VENV/.setup_stamp # what was installed: a digest, then the extras
MADE_HERE=$VENV/.made_by_setup_env

python_fits() { # python_fits COMMAND: prints why it does not fit, nothing when it does
    local version
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || { echo "$1: not there"; return; }
    case $version in
        3.11 | 3.12) ;;
        *) echo "$1: Python $version, but 3.11 or 3.12 is needed"; return ;;
    esac
    "$1" -c 'import ensurepip, venv' 2>/dev/null || echo "$1: has no venv module (Debian, Ubuntu: apt-get install python$version-venv)"
}

find_python() { # prints the command of the first Python that fits
    local candidate reason reasons='' candidates=(python3.11 python3.12 python3 python)
    [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        reason=$(python_fits "$candidate")
        [[ -n $reason ]] || { echo "$candidate"; return; }
        reasons+=$'\n'"  $reason"
    done
    fail "no Python that can make the environment:$reasons"$'\n'"Install Python 3.11 or 3.12 with its venv module, or name one: PYTHON=/path/to/python bash $0"
}

claim_folder() { # the folder is new, made here before, or the repository's own .venv; nobody else's is touched
    if [[ ! -e $MADE_HERE && $VENV != "$REPO_ROOT/.venv" && -n $(ls -A "$VENV" 2>/dev/null) ]]; then
        fail "$VENV was not made by this script, so it is left alone. Name another folder with --venv."
    fi
    mkdir -p "$VENV" || fail "cannot make the folder $VENV. Name another with --venv."
    touch "$MADE_HERE"
}

make_venv() { # its Python runs and has a version that fits
    local python reason
    if ! "$VENV_PYTHON" -c '' 2>/dev/null; then
        python=$(find_python)
        echo "  making it with $("$python" -V)"
        "$python" -m venv "$VENV" >"$LOG" 2>&1 || fail "$python -m venv $VENV failed: $(tail -n 3 "$LOG")"
    fi
    reason=$(python_fits "$VENV_PYTHON")
    [[ -z $reason ]] || fail "$reason. Delete $VENV and run again."
}

digest() { # what the installed packages depend on; the place counts, because the packages are installed in place
    cat "$REPO_ROOT/pyproject.toml" "$REPO_ROOT/constraints.txt" - <<<"$REPO_ROOT ${TORCH_SPEC:-} ${TORCH_INDEX_URL:-} $("$VENV_PYTHON" -V)" |
        "$VENV_PYTHON" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

installed_extras() { # the extras of the last complete installation, with commas
    [[ -e $STAMP ]] && sed -n 2p "$STAMP" || true
}

is_current() { # is_current DIGEST: everything asked for is installed from just these files
    local extra
    [[ -e $STAMP && $(sed -n 1p "$STAMP") == "$1" ]] || return 1
    for extra in ${EXTRAS//,/ }; do
        [[ ,$(installed_extras), == *",$extra,"* ]] || return 1
    done
}

check_disk() {
    local free_kb wanted_gb=${MIN_FREE_GB:-4}
    free_kb=$(df -Pk "$VENV" | awk 'NR == 2 {print $4}')
    ((free_kb >= wanted_gb * 1024 * 1024)) ||
        fail "$((free_kb / 1024)) MB free under $VENV, $wanted_gb GB wanted for the packages. Free some space, or name another disk with --venv."
}

explain_pip() { # explain_pip TITLE: the likely cause of a failed installation, from its log
    local cause="See the log."
    if grep -q -i -E 'no space left|disk quota' "$LOG"; then
        cause="The disk is full. Free some space (a CUDA build of torch takes about 10 GB) and run again."
    elif grep -q -i -E 'name resolution|NewConnectionError|ConnectTimeout|Max retries|ProxyError|Network is unreachable' "$LOG"; then
        cause="The package index cannot be reached. Check the network, or set PIP_INDEX_URL, PIP_FIND_LINKS or HTTPS_PROXY, and run again."
    elif grep -q -i 'from versions: none' "$LOG"; then
        cause="The package index was not reached (network, PIP_INDEX_URL, HTTPS_PROXY), or has nothing for this machine ($(uname -sm), $("$VENV_PYTHON" -V)); for torch see TORCH_SPEC and TORCH_INDEX_URL in --help."
    elif grep -q -i -E 'No matching distribution|Could not find a version' "$LOG"; then
        cause="The package index has no build for this machine ($(uname -sm), $("$VENV_PYTHON" -V)); for torch set TORCH_SPEC or TORCH_INDEX_URL."
    fi
    printf '%s\n' "$(tail -n 5 "$LOG")" >&2
    fail "$1 failed. $cause What was done so far is kept. Log: $LOG"
}

heartbeat() { # a line every 20 seconds as long as the script lives; its sleep must hold neither the lock nor the output open
    local began=$SECONDS last='' line
    while sleep 20 9>&- >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        line=$(tail -n 1 "$LOG")
        printf '    %s%s\n' "$(clock $((SECONDS - began)))" "$([[ $line == "$last" ]] || printf '  %.100s' "$line")"
        last=$line
    done
}

pip_install() { # pip_install TITLE ARGUMENT...
    local title=$1 began=$SECONDS status=0 beat
    shift
    echo "  $title"
    heartbeat &
    beat=$!
    "$VENV_PYTHON" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" >>"$LOG" 2>&1 || status=$?
    kill -KILL "$beat" 2>/dev/null || true # not TERM: where that is ignored, by a parent's will, the wait would never end
    wait "$beat" 2>/dev/null || true
    ((status == 0)) || explain_pip "$title"
    echo "    done in $(clock $((SECONDS - began)))"
}

install_torch() {
    local spec=${TORCH_SPEC:-$(grep -E '^torch==' "$REPO_ROOT/constraints.txt")}
    if [[ -n ${TORCH_INDEX_URL:-} ]]; then
        pip_install "installing $spec from $TORCH_INDEX_URL" --index-url "$TORCH_INDEX_URL" "$spec"
    else
        pip_install "installing $spec" "$spec"
    fi
}

install_project() { # install_project EXTRAS: the torch of the step before is pinned, so that nothing exchanges it
    local pins=$VENV/constraints.txt
    grep -v -E '^torch==' "$REPO_ROOT/constraints.txt" >"$pins"
    "$VENV_PYTHON" -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >>"$pins"
    # DeepSpeed is built from source: without its compiled operators, which are made at first use where a compiler is there.
    DS_BUILD_OPS=0 pip_install "installing the project with extras $1" -c "$pins" -e "${REPO_ROOT}[$1]"
}

install_sam2() { # install_sam2 EXTRAS: without its dependencies, as it asks for torchvision; without isolation, which would fetch another torch
    [[ ,$1, == *,sam2,* ]] || return 0
    SAM2_BUILD_CUDA=0 pip_install "installing sam2, the yardstick of a parity test" --no-deps --no-build-isolation \
        "$(grep -E '^sam2==' "$REPO_ROOT/constraints.txt")"
}

install_open_clip() { # install_open_clip EXTRAS: without its dependencies, as it asks for torchvision
    [[ ,$1, == *,open_clip,* ]] || return 0
    pip_install "installing OpenCLIP, the yardstick of a parity test" --no-deps "$(grep -E '^open-clip-torch==' "$REPO_ROOT/constraints.txt")"
}

install_headless_opencv() { # mmengine asks for opencv-python, which needs libGL; servers often have none
    ! "$VENV_PYTHON" -c 'import cv2' 2>/dev/null || return 0
    "$VENV_PYTHON" -m pip uninstall -y opencv-python >>"$LOG" 2>&1 || true
    pip_install "installing OpenCV without windows (no libGL here)" --no-deps --force-reinstall \
        "$(sed -n 's/^opencv-python==/opencv-python-headless==/p' "$REPO_ROOT/constraints.txt")"
}

hold_lock() { # two scripts started at once must not install into one folder together
    command -v flock >/dev/null || return 0
    exec 9>"$VENV/.setup.lock"
    flock --nonblock 9 || { echo "  waiting for another set-up of $VENV to end"; flock 9; }
}

main() {
    local wanted all
    echo "environment $VENV (extras $EXTRAS)"
    claim_folder
    hold_lock
    make_venv
    "$VENV_PYTHON" "$REPO_ROOT/tools/check_env.py" --extras "$EXTRAS" --names-only
    wanted=$(digest)
    if is_current "$wanted"; then
        echo "  up to date, re-used"
        return
    fi
    check_disk
    all=$(printf '%s\n' "${EXTRAS//,/$'\n'}" "$(installed_extras | tr , '\n')" | sort -u | sed '/^$/d' | paste -sd, -)
    rm -f "$STAMP"
    : >"$LOG"
    pip_install "upgrading pip" --upgrade pip
    install_torch
    install_project "$all"
    install_sam2 "$all"
    install_open_clip "$all"
    install_headless_opencv
    "$VENV_PYTHON" "$REPO_ROOT/tools/check_env.py" --extras "$all" || fail "the environment $VENV does not work, see the lines above. Delete it and run again. Log: $LOG"
    printf '%s\n%s\n' "$wanted" "$all" >"$STAMP"
    echo "  ready after $(clock "$SECONDS")"
}

main
