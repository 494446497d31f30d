#!/usr/bin/env bash
# Multispectral and SAR benchmarks.
set -euo pipefail
# shellcheck source=scripts_eval/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
run_suite multi_spectrum.sh multispectral "the benchmarks of multispectral and SAR images (BigEarthNet, So2Sat, EuroSAT, ships)" "$@"
