# Shared by the scripts of this folder (sourced): the repository's root, stages with elapsed time, one way to fail.
# shellcheck shell=bash disable=SC2034
REPO_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STAGE_NUMBER=0
STAGE_COUNT=${STAGE_COUNT:-0}

fail() { # fail MESSAGE...: say what went wrong and what to do, and stop
    printf 'ERROR: %s\n' "$*" >&2
    exit 1
}

need_value() { # need_value OPTION NUMBER_OF_WORDS_LEFT: an option without its value is an error
    (($2 >= 2)) || fail "$1 needs a value. See --help."
}

clock() { # clock SECONDS: 75 -> 1:15
    printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

stage() { # stage TITLE LOG COMMAND...: header, output to screen and LOG, elapsed time; a failure names the stage and the log
    local title=$1 log=$2 began=$SECONDS status
    shift 2
    STAGE_NUMBER=$((STAGE_NUMBER + 1))
    printf '\n[%d/%d] %s\n' "$STAGE_NUMBER" "$STAGE_COUNT" "$title"
    mkdir -p "$(dirname "$log")"
    set +e
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    set -e
    ((status == 0)) || fail "stage $STAGE_NUMBER ($title) stopped with exit status $status. Its output is in $log; run again once that is fixed."
    printf '[%d/%d] done in %s (%s in all)\n' "$STAGE_NUMBER" "$STAGE_COUNT" "$(clock $((SECONDS - began)))" "$(clock "$SECONDS")"
}
