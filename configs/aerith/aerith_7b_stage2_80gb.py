# Aerith 7B, stage 2, one GPU of 80 GB; as many samples an update as on eight:
#   bash tools/dist.sh train configs/aerith/aerith_7b_stage2_80gb.py 1
# Memory: 21.7 GiB with 8 rows of 512 tokens (tools/estimate_memory.py THIS --gpus 1 --tokens 512)
_base_ = ["./aerith_7b_stage2.py"]
task = dict(batch_size=8)
training = dict(accumulation=4)
