# Aerith tiny, stage 0: the head of DINOv3 learns CLIP's space; both towers are frozen. 2 CPU cores:
#   bash tools/dist.sh train configs/aerith/aerith_tiny_stage0.py 2
_base_ = ["../_base_/runtime.py", "../_base_/models/aerith_tiny.py", "../_base_/datasets/aerith_synthetic.py"]
systems = ["aerith"]
land_cover = {"1": "water", "2": "forest", "3": "cropland", "4": "built area", "5": "bare ground", "6": "grass"}
task = dict(
    type="AerithAlignmentTask",
    model=dict(parts=dict(clip="work_dirs/models/aerith_tiny_clip", dinov3="work_dirs/aerith_tiny_dinov3")),
    data=dict(
        type="ClassMapDataset",
        annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/landcover",
        images={{_base_.train_scenes}},
        classes=land_cover,
    ),
    batch_size=16,
    num_workers=1,
)
training = dict(
    max_iters=150,
    validation=dict(
        every=50,
        data=dict(
            type="ClassMapDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/val/landcover",
            images={{_base_.val_scenes}},
            classes=land_cover,
        ),
        best="loss",
    ),
)
optimizer = dict(lr=3e-3, weight_decay=0.0)
schedule = dict(warmup_ratio=0.05)
