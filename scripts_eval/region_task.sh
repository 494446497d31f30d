#!/usr/bin/env bash
# Region captions and visual grounding by boxes.
set -euo pipefail
# shellcheck source=scripts_eval/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
run_suite region_task.sh region "the benchmarks of regions and boxes (region captions, visual grounding)" "$@"
