#!/usr/bin/env bash
# Zero-shot classification with MS-CLIP: a CSV of scores for each benchmark.
set -euo pipefail
# shellcheck source=scripts_eval/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
# shellcheck disable=SC2034  # suite_usage reads it
SUITE_FLAGS='  flags      passed on to tools/ms_clip/evaluation.py, e.g.
               --save-path DIR   where results go (default: work_dirs/evaluation/<model>/zero-shot)
               --datasets S ...  only these sets, or folders with a folder of images a class
               --templates NAME  prompts: msclip, clip or rs5m
               --limit N         only the first N images of each set
               --overwrite       throw away predictions of another model, data or choices'
read_run ms_clip.sh zero-shot "the zero-shot benchmarks of MS-CLIP (EuroSAT, BigEarthNet, METER-ML, AID, RESISC45, ForestNet)" "$@"
# set by read_run
# shellcheck disable=SC2154
launch "$found" "$gpus" "$REPO_ROOT/tools/ms_clip/evaluation.py" --model-name "$model" --dataset-dir "$data" --save-path "$out" "${flags[@]}"
