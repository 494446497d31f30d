# EarthMind tiny on real 12-band and SAR tiles, from scratch, 2 CPU cores:
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_tiles.py 2
_base_ = ["../_base_/runtime.py", "../_base_/models/earthmind_tiny.py", "../_base_/datasets/landcover.py"]
systems = ["earthmind"]
sensor_choice = dict(
    type="ChooseModalities",
    settings=dict(rgb=["rgb"], optical=["multispectral"], sar=["sar"], fused=["multispectral", "sar"]),
    weights=dict(rgb=0.05, optical=0.25, sar=0.2, fused=0.5),
)
phrases = dict(
    type="ComposeReferring", num_expressions=4, templates=["Please segment the {phrase} in this image."], answers=["[SEG] {phrase}"]
)
task = dict(
    # tiles of 224 px are shown whole; masks are drawn on a grid of 56 x 56
    model=dict(
        vision_config=dict(image_size=224, patch_size=28),
        sam_config=dict(
            vision_config=dict(backbone_config=dict(image_size=[224, 224]), backbone_feature_sizes=[[56, 56], [28, 28], [14, 14]]),
            prompt_encoder_config=dict(image_size=224),
        ),
    ),
    tokenizer=dict(
        type="TrainedTokenizer",
        path="{{$LANDCOVER_ROOT:data/landcover}}/tokenizer",
        corpus=["{{$LANDCOVER_ROOT:data/landcover}}/train/mcq.json", "{{$LANDCOVER_ROOT:data/landcover}}/train/referring.jsonl"],
        vocab_size=512,
    ),
    data=dict(
        type="Mixture",
        parts=[
            dict(
                name="referring",
                weight=4.0,
                data=dict(
                    type="ReferringJsonlDataset",
                    annotations="{{$LANDCOVER_ROOT:data/landcover}}/train/referring.jsonl",
                    images={{_base_.landcover_images}},
                    group="image",
                    transforms=[sensor_choice, phrases],
                ),
            ),
            dict(
                name="mcq",
                weight=0.3,
                data=dict(
                    type="EarthMindBenchDataset",
                    annotations="{{$LANDCOVER_ROOT:data/landcover}}/train/mcq.json",
                    images={{_base_.landcover_images}},
                    transforms=[sensor_choice],
                ),
            ),
        ],
    ),
    batch_size=4,
    losses=dict(num_points=4096),
)
training = dict(max_iters=1600)
optimizer = dict(lr=1.5e-3, weight_decay=0.0)
schedule = dict(warmup_ratio=0.05)
