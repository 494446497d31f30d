#!/usr/bin/env bash
# EarthMind-Bench: ten subtasks, every sensor setting.
set -euo pipefail
# shellcheck source=scripts_eval/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
run_suite earthmind-bench.sh earthmind-bench "all ten subtasks of EarthMind-Bench in optical, SAR and fused settings, and with either sensor greyed" "$@"
