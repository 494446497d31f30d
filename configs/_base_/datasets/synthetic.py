# The synthetic world (tools/make_synthetic.py); SYNTHETIC_ROOT names another place than data/synthetic.
train_images = dict(
    rgb=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/train/rgb", pattern="{stem}.png", sensor="rgb_uint8"),
    multispectral=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/train/multispectral", pattern="{stem}.tif", sensor="sentinel2_l2a"),
    sar=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/train/sar", pattern="{stem}.tif", sensor="sentinel1_grd"),
)
val_images = dict(
    multispectral=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/val/multispectral", pattern="{stem}.tif", sensor="sentinel2_l2a"),
    sar=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/val/sar", pattern="{stem}.tif", sensor="sentinel1_grd"),
)
test_images = dict(
    multispectral=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/test/multispectral", pattern="{stem}.tif", sensor="sentinel2_l2a"),
    sar=dict(root="{{$SYNTHETIC_ROOT:data/synthetic}}/test/sar", pattern="{stem}.tif", sensor="sentinel1_grd"),
)
one_phrase = dict(
    type="ComposeReferring", num_expressions=1, templates=["Please segment the {phrase} in this image."], answers=["[SEG] {phrase} {place}"]
)
evaluation = dict(
    batch_size=32,
    max_new_tokens=24,
    settings=dict(optical=["multispectral"], sar=["sar"], fused=["multispectral", "sar"]),
    datasets=[
        dict(
            type="ReferringJsonlDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/test/referring.jsonl",
            images=test_images,
            transforms=[one_phrase],
        ),
        dict(type="EarthMindBenchDataset", annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/test/mcq.json", images=test_images),
        dict(type="LlavaDataset", annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/test/vqa.json", images=test_images),
    ],
)
