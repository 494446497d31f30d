# EarthMind 4B, instruction tuning, one GPU of 48 GB; as many samples an update as on eight:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_sft_48gb.py 1
# Memory: 24.0 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 1)
_base_ = ["./earthmind_4b_sft.py"]
task = dict(batch_size=4, gradient_checkpointing=True)
training = dict(accumulation=8)
