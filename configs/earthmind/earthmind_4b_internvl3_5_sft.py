# EarthMind 4B on InternVL3.5-4B, instruction tuning, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_internvl3_5_sft.py 8
# Memory: 61.3 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
_base_ = ["../_base_/models/earthmind_4b_internvl3_5.py", "../_base_/schedules/earthmind_sft.py", "../_base_/datasets/earthmind_sft.py"]
systems = ["earthmind"]
task = dict(data={{_base_.mixture}}, batch_size=1, max_length=8192, num_workers=4)
