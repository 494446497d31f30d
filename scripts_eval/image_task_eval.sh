#!/usr/bin/env bash
# Scene classification, question answering and captions.
set -euo pipefail
# shellcheck source=scripts_eval/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
run_suite image_task_eval.sh image "the benchmarks of whole pictures (scene classes, questions, captions)" "$@"
