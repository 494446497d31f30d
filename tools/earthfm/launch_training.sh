#!/usr/bin/env bash
# Trains EarthFM on ChatEarthNet with upstream's hyperparameters; further flags of tools/earthfm/train.py go behind and win.
#   DATA_DIR, OUTPUT_DIR   where the data is and the run goes
#   PYTHON                 which Python
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec "${PYTHON:-python}" tools/earthfm/train.py \
    --data_dir "${DATA_DIR:-./chatearthnet_data}" --output_dir "${OUTPUT_DIR:-./olmoearth_vlm_checkpoints}" \
    --olmoearth_model OLMOEARTH_V1_NANO --vlm_model vikhyatk/moondream2 \
    --batch_size 4 --accumulation_steps 4 --num_epochs 10 --learning_rate 2e-5 --warmup_steps 100 --weight_decay 0.01 "$@"
