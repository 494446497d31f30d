#!/usr/bin/env bash
# Scene classes, boxes, questions and captions, asked as Aerith is trained.
set -euo pipefail
# shellcheck source=scripts_eval/suite.sh
source "$(dirname "${BASH_SOURCE[0]}")/suite.sh"
run_suite aerith.sh aerith "scene classes (AID, WHU-RS19, EuroSAT, NWPU-RESISC45, UC Merced, SIRI-WHU, METER-ML, fMoW), boxes (RSVG, DIOR-RSVG), RSVQA and captions" "$@"
