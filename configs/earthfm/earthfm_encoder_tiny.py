# OlmoEarth tiny, by what covers each patch of the synthetic train split (released encoders need no such stage), 2 CPU cores, ZeRO-2:
#   bash tools/dist.sh train configs/earthfm/earthfm_encoder_tiny.py 2
_base_ = ["../_base_/runtime.py", "../_base_/datasets/synthetic.py", "../_base_/models/earthfm_tiny.py"]
systems = ["earthfm"]
task = dict(
    _delete_=True,
    type="EarthFmEncoderTask",
    encoder={{_base_.tiny_encoder}},
    patch_size=8,
    num_classes=7,
    data=dict(
        type="LlavaDataset",
        annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json",
        images=dict(multispectral={{_base_.train_images.multispectral}}),
        transforms=[dict(type="ClassMapBeside")],
    ),
    batch_size=16,
    num_workers=1,
    length_window=None,
)
training = dict(max_iters=250)
optimizer = dict(lr=2e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.1)
