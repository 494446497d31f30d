# EarthMind 4B, instruction tuning, one GPU of 24 GB; as many samples an update as on eight:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_sft_24gb.py 1
# Memory: 14.9 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 1)
_base_ = ["./earthmind_4b_sft.py"]
task = dict(gradient_checkpointing=True)
training = dict(accumulation=32)
