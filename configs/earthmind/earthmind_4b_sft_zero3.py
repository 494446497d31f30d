# EarthMind 4B, instruction tuning, 8 x 80 GB, ZeRO-3 (weights sharded too):
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_sft_zero3.py 8
# Memory: 45.4 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
_base_ = ["./earthmind_4b_sft.py"]
training = dict(deepspeed="deepspeed_zero3")
