# Aerith 7B, stage 2, one GPU of 16 GB without bf16 (T4, V100): 4 bits and fp16; as many samples an update as on eight:
#   bash tools/dist.sh train configs/aerith/aerith_7b_stage2_16gb.py 1
# Memory: 11.1 GiB with 1 row of 512 tokens (tools/estimate_memory.py THIS --gpus 1 --tokens 512 --precision fp16)
_base_ = ["./aerith_7b_stage2_24gb.py"]
task = dict(batch_size=1)
training = dict(accumulation=32, precision="fp16")
