#!/usr/bin/env bash
# Zero-shot classification with MS-CLIP.
set -euo pipefail
# shellcheck source=scripts_eval/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
run_suite ms_clip.sh zero-shot "the zero-shot benchmarks of MS-CLIP (EuroSAT, BigEarthNet, METER-ML, AID, RESISC45, ForestNet)" "$@"
