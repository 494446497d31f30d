# EarthMind 1B, instruction tuning, 8 x 24 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_1b_sft.py 8
# Memory: 18.7 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
_base_ = ["../_base_/models/earthmind_1b.py", "../_base_/runtime.py", "../_base_/datasets/earthmind_sft.py"]
systems = ["earthmind"]
task = dict(data={{_base_.mixture}}, batch_size=1, max_length=8192, num_workers=4)
# one epoch of the published mixture: 2.02 million samples, 8 ranks x 4 a update
training = dict(max_iters=63095, accumulation=4)
optimizer = dict(lr=4e-5, weight_decay=0.05, betas=(0.9, 0.999))
schedule = dict(warmup_ratio=0.05)
hooks = dict(checkpoint=dict(interval=1000))
