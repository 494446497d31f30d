# MS-CLIP ViT-B/16 on red, green and blue alone (what the other bands add is the difference), 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/ms_clip/ms_clip_b16_ssl4eo_rgb.py 8
# Memory: 37.1 GiB on each GPU with 512 pairs of texts of 77 tokens (tools/estimate_memory.py THIS --gpus 8)
# Time: 0.0106 hours an epoch at 40 % of an H100's peak, where data come at 25,780 samples/s
#   (tools/plan_run.py THIS --gpus 8 --samples 984576 --sizes tokens=77 tiles=1)
_base_ = ["./ms_clip_b16_ssl4eo.py"]
task = dict(processor=dict(preset=3))  # the bands that show natural colours, reflectance 0.2 as white
