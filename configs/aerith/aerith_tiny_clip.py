# The CLIP of the tiny Aerith, by MS-CLIP's recipe on pictures of the synthetic world (SYNTHETIC_ROOT), 2 CPU cores:
#   python tools/make_synthetic.py --train 3000 --val 50 --test 150 --cloudy 0 --classes 10
#   bash tools/dist.sh train configs/aerith/aerith_tiny_clip.py 2
#   python tools/convert_to_hf.py THIS --pth-model work_dirs/aerith_tiny_clip --save-path work_dirs/models/aerith_tiny_clip
_base_ = ["../ms_clip/ms_clip_tiny_synthetic_rgb.py"]
task = dict(
    model=dict(projection_dim=128, vision_config=dict(num_hidden_layers=3, patch_size=8)),
    processor=dict(preset=3, image_size=96),
)
training = dict(max_iters=200)
