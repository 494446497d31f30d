#!/usr/bin/env bash
# VNBench: needles in videos. More frames than 32: --max-frames-num N.
set -euo pipefail
# shellcheck source=scripts_eval/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
run_suite vnbench.sh video "VNBench, questions about needles in videos (extra video)" "$@"
