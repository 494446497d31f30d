#!/usr/bin/env bash
# The main job on embedded data, end to end: set up, make data, train, convert, evaluate, report.
set -euo pipefail
# shellcheck source=tools/stages.sh
source "$(dirname "${BASH_SOURCE[0]}")/stages.sh"

usage() {
    cat <<'HELP'
Usage: bash tools/demo.sh [--system NAME] [--quick] [--out DIR] [--gpus N]

Sets up its own environment, makes a small synthetic world (Sentinel-2, Sentinel-1, RGB; chips of ten classes for ms_clip and aerith),
trains a small model on it from scratch, converts it, evaluates the converted model on the held-out test split, and writes
DIR/report.html. For aerith two towers are trained first, then the model in three stages.
Safe to run again: the environment is re-used, the files of the last run under DIR are replaced.

  --system NAME  earthmind (default), ms_clip, aerith or earthfm
  --quick        fewer scenes and steps: shows that every stage works, not what the model can learn
  --out DIR      where everything is written (default: work_dirs/demo, with --quick work_dirs/demo_quick;
                 other systems: work_dirs/demo_NAME)
  --gpus N       training processes, one on each GPU (default: all GPUs; 2 processes on the CPU where there is none)

Environment variables: DEEPSPEED (default deepspeed_zero2) and those of tools/setup_env.sh.
HELP
}

num_gpus() { # the GPUs of this machine, 0 without a driver
    nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true
}

SYSTEM=earthmind
QUICK=0
OUT=
GPUS=
while (($#)); do
    case $1 in
        --system) need_value "$1" $#; SYSTEM=$2; shift 2 ;;
        --quick) QUICK=1; shift ;;
        --out) need_value "$1" $#; OUT=$2; shift 2 ;;
        --gpus) need_value "$1" $#; GPUS=$2; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) fail "unknown option '$1'. See --help." ;;
    esac
done
FOUND_GPUS=$(num_gpus)
if [[ -z $GPUS ]]; then
    GPUS=$((FOUND_GPUS > 0 ? FOUND_GPUS : 2))
fi
[[ $GPUS =~ ^[1-9][0-9]*$ ]] || fail "--gpus takes a number from 1 on, found '$GPUS'."
((FOUND_GPUS == 0 || GPUS <= FOUND_GPUS)) || fail "--gpus $GPUS, but this machine has $FOUND_GPUS. Give --gpus $FOUND_GPUS or less."

EXTRAS=train,eval
FIRST=
# what each system learns on: options of make_synthetic.py for the whole demo and for the quick one
case $SYSTEM in
    earthmind)
        NAME=demo
        WHOLE=(--train 1500 --val 50 --test 100)
        FEW=(--train 48 --val 8 --test 16)
        ;;
    ms_clip)
        NAME=demo_ms_clip
        WHOLE=(--train 1 --val 1 --test 1 --classes 10 --chips 2000 200 500)
        FEW=(--train 1 --val 1 --test 1 --classes 10 --chips 120 20 40)
        ;;
    earthfm)
        NAME=demo_earthfm
        WHOLE=(--train 1500 --val 50 --test 300)
        FEW=(--train 48 --val 8 --test 16)
        EXTRAS=train,eval,earthfm
        FIRST=configs/earthfm/earthfm_encoder_tiny.py # its encoder is trained before the rest
        ;;
    aerith)
        NAME=demo_aerith
        WHOLE=(--train 3000 --val 50 --test 150 --cloudy 0 --classes 10 --chips 2000 100 400)
        FEW=(--train 48 --val 8 --test 16 --cloudy 0 --classes 10 --chips 120 20 40)
        ;;
    *) fail "no demo of a system '$SYSTEM'. Give --system earthmind, ms_clip, aerith or earthfm." ;;
esac
CONFIG=configs/$SYSTEM/${SYSTEM}_tiny_synthetic.py
if [[ $SYSTEM == aerith ]]; then
    CONFIG=configs/aerith/aerith_tiny_stage2.py
fi
if ((QUICK)); then
    OUT=${OUT:-$REPO_ROOT/work_dirs/${NAME}_quick}
    SCENES=("${FEW[@]}")
    OPTIONS=(--cfg-options training.max_iters=20)
else
    OUT=${OUT:-$REPO_ROOT/work_dirs/$NAME}
    SCENES=("${WHOLE[@]}")
    OPTIONS=(--cfg-options)
fi
[[ $OUT == /* ]] || OUT=$PWD/$OUT
export DEEPSPEED=${DEEPSPEED:-deepspeed_zero2}
VENV_PYTHON=$REPO_ROOT/.venv/bin/python
MADE_HERE=$OUT/.made_by_demo
DATA=$OUT/data
RUN=$OUT/run
MODEL=$OUT/model
LOGS=$OUT/logs
# the config finds the data through this variable
export SYNTHETIC_ROOT=$DATA
export EARTHFM_ENCODER=$OUT/encoder
STAGE_COUNT=6
[[ -z $FIRST ]] || STAGE_COUNT=7
[[ $SYSTEM != aerith ]] || STAGE_COUNT=11

train() { # train TITLE CONFIG WORK_DIR [OPTION=VALUE...]: one training, as a stage of its own
    local title=$1 config=$2 work_dir=$3
    shift 3
    local options=("${OPTIONS[@]}" "$@")
    ((${#options[@]} > 1)) || options=()
    stage "$title" "$LOGS/$((STAGE_NUMBER + 1))_train.log" bash tools/dist.sh train "$config" "$GPUS" --work-dir "$work_dir" "${options[@]}"
}

train_parts() { # the trainings of Aerith before its last: towers, head, pooler; sets PARTS, which the last one begins with
    local configs=configs/aerith towers validation=()
    if ((QUICK)); then # the configs validate more rarely than a quick training has updates
        validation=(training.validation.every=10)
    fi
    train "train the CLIP tower" "$configs/aerith_tiny_clip.py" "$OUT/parts/clip"
    stage "convert the CLIP tower" "$LOGS/$((STAGE_NUMBER + 1))_convert.log" "$VENV_PYTHON" tools/convert_to_hf.py \
        "$configs/aerith_tiny_clip.py" --pth-model "$OUT/parts/clip/latest" --save-path "$OUT/parts/clip_model"
    train "train the DINOv3 tower" "$configs/aerith_tiny_dinov3.py" "$OUT/parts/dinov3" "${validation[@]}"
    towers=("task.model.parts.clip=$OUT/parts/clip_model" "task.model.parts.dinov3=$OUT/parts/dinov3")
    train "stage 0: align the head" "$configs/aerith_tiny_stage0.py" "$OUT/parts/stage0" "${towers[@]}" "${validation[@]}"
    towers+=("task.model.parts.head=$OUT/parts/stage0")
    train "stage 1: train the pooler" "$configs/aerith_tiny_stage1.py" "$OUT/parts/stage1" "${towers[@]}"
    PARTS=("${towers[@]}" "task.model.parts.pooler=$OUT/parts/stage1" "task.model.parts.language_model=$OUT/parts/stage1")
}

cd "$REPO_ROOT"
[[ -e $MADE_HERE || -z $(ls -A "$OUT" 2>/dev/null) ]] || fail "$OUT holds files that the demo did not write, so it is left alone. Name another folder with --out."
{ mkdir -p "$OUT" && touch "$MADE_HERE"; } || fail "cannot write to $OUT. Name another folder with --out."
rm -rf "$RUN" "$MODEL" "$OUT/evaluation" "$OUT/encoder" "$OUT/parts"
stage "set up the environment" "$LOGS/1_setup.log" bash tools/setup_env.sh --extras "$EXTRAS"
export PATH=$REPO_ROOT/.venv/bin:$PATH PYTHON=$VENV_PYTHON
stage "make the synthetic world" "$LOGS/2_data.log" "$VENV_PYTHON" tools/make_synthetic.py --out "$DATA" "${SCENES[@]}"
[[ -z $FIRST ]] || train "train its encoder" "$FIRST" "$OUT/encoder"
PARTS=()
[[ $SYSTEM != aerith ]] || train_parts
train "train on $GPUS processes" "$CONFIG" "$RUN" "${PARTS[@]}"
stage "convert" "$LOGS/$((STAGE_NUMBER + 1))_convert.log" "$VENV_PYTHON" tools/convert_to_hf.py "$CONFIG" \
    --pth-model "$RUN/latest" --save-path "$MODEL" ${PARTS[0]+--cfg-options "${PARTS[@]}"}
stage "evaluate on the test split" "$LOGS/$((STAGE_NUMBER + 1))_evaluate.log" "$VENV_PYTHON" tools/test.py "$CONFIG" --model "$MODEL" --out "$OUT/evaluation"
stage "report" "$LOGS/$((STAGE_NUMBER + 1))_report.log" "$VENV_PYTHON" tools/report.py "$CONFIG" --evaluation "$OUT/evaluation" --scalars "$RUN/scalars.jsonl" --out "$OUT"
printf '\nReport: %s\nModel:  %s\n' "$OUT/report.html" "$MODEL"
