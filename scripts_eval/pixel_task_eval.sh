#!/usr/bin/env bash
# Referring segmentation.
set -euo pipefail
# shellcheck source=scripts_eval/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
run_suite pixel_task_eval.sh pixel "the benchmarks of referring segmentation (RRSIS-D, RefSegRS, RISBench, SAR)" "$@"
