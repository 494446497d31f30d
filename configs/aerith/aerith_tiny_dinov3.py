# The DINOv3 tower of the tiny Aerith: which land cover each patch shows, on the synthetic world, 2 CPU cores:
#   python tools/make_synthetic.py --train 3000 --val 50 --test 150 --cloudy 0 --classes 10
#   bash tools/dist.sh train configs/aerith/aerith_tiny_dinov3.py 2
_base_ = ["../_base_/runtime.py", "../_base_/models/aerith_tiny.py", "../_base_/datasets/aerith_synthetic.py"]
systems = ["aerith"]
land_cover = {"1": "water", "2": "forest", "3": "cropland", "4": "built area", "5": "bare ground", "6": "grass"}
task = dict(
    type="AerithTowerTask",
    num_classes=6,
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
    max_iters=500,
    validation=dict(
        every=100,
        data=dict(
            type="ClassMapDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/val/landcover",
            images={{_base_.val_scenes}},
            classes=land_cover,
        ),
    ),
)
optimizer = dict(lr=1e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.1)
