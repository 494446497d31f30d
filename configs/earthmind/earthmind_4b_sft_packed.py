# EarthMind 4B, instruction tuning in packs of 8,192 tokens, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_sft_packed.py 8
# Memory: 50.3 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
# Packs, updates and hours of an epoch, from the data at hand: python tools/plan_run.py THIS --gpus 8
_base_ = ["./earthmind_4b_sft.py"]
# more images for SAM 2 than these would take its memory, not the tokens', to the limit
task = dict(packing=dict(max_tokens=8192, max_mask_images=8))
# about 100 samples an update, so about 20,000 updates an epoch of 2.02 million; published: 32 an update, 63,095 updates
training = dict(max_iters=20000, accumulation=1)
