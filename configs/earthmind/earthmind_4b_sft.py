# EarthMind 4B, instruction tuning as in upstream, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_sft.py 8
# Memory: 50.3 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
_base_ = ["../_base_/schedules/earthmind_sft.py", "../_base_/models/earthmind_4b.py", "../_base_/datasets/earthmind_sft.py"]
systems = ["earthmind"]
task = dict(data={{_base_.mixture}}, batch_size=1, max_length=8192, num_workers=4)
