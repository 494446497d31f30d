# The same on pictures alone: what the infrared adds is the difference.
#   bash tools/dist.sh train configs/ms_clip/ms_clip_tiny_synthetic_rgb.py 2
_base_ = ["./ms_clip_tiny_synthetic.py"]
rgb = {{_base_.test_chips.rgb}}
task = dict(
    processor=dict(preset=3),
    data=dict(images=dict(_delete_=True, rgb={{_base_.train_chips.rgb}})),
)
evaluation = dict(
    settings=dict(_delete_=True, optical=["rgb"]),
    datasets=[
        dict(
            type="ClassFolderDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/test/rgb",
            images=dict(rgb=rgb),
            classes={{_base_.classes}},
        ),
        dict(
            type="ImageCaptionDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/test/captions.csv",
            images=dict(rgb=rgb),
            task="retrieval",
        ),
    ],
)
