# MS-CLIP ViT-B/16, one GPU of 24 GB: as many pairs are compared in an update as on eight, 128 at a time go through the towers:
#   bash tools/dist.sh train configs/ms_clip/ms_clip_b16_ssl4eo_24gb.py 1
# Memory: 17.9 GiB on each GPU with 4,096 pairs of texts of 77 tokens (tools/estimate_memory.py THIS --gpus 1)
# Time: 0.0857 hours an epoch at 40 % of an H100's peak, where data come at 3,194 samples/s
#   (tools/plan_run.py THIS --gpus 1 --samples 984576 --sizes tokens=77 tiles=1)
_base_ = ["./ms_clip_b16_ssl4eo.py"]
task = dict(batch_size=4096, gradient_cache=128)
