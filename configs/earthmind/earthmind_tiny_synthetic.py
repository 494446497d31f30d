# EarthMind tiny on the synthetic world, from scratch, 2 CPU cores, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_synthetic.py 2
_base_ = ["../_base_/runtime.py", "../_base_/models/earthmind_tiny.py", "../_base_/datasets/synthetic.py"]
systems = ["earthmind"]
sensor_choice = dict(
    type="ChooseModalities",
    settings=dict(rgb=["rgb"], optical=["multispectral"], sar=["sar"], fused=["multispectral", "sar"]),
    weights=dict(rgb=0.1, optical=0.25, sar=0.25, fused=0.4),
)
phrases = dict(
    type="ComposeReferring", num_expressions=4, templates=["Please segment the {phrase} in this image."], answers=["[SEG] {phrase}"]
)
task = dict(
    tokenizer=dict(
        type="TrainedTokenizer",
        path="{{$SYNTHETIC_ROOT:data/synthetic}}/tokenizer",
        corpus=[
            "{{$SYNTHETIC_ROOT:data/synthetic}}/train/vqa.json",
            "{{$SYNTHETIC_ROOT:data/synthetic}}/train/mcq.json",
            "{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json",
            "{{$SYNTHETIC_ROOT:data/synthetic}}/train/region.json",
            "{{$SYNTHETIC_ROOT:data/synthetic}}/train/referring.jsonl",
        ],
        vocab_size=768,
    ),
    data=dict(
        type="Mixture",
        parts=[
            dict(
                name="referring",
                weight=2.0,
                data=dict(
                    type="ReferringJsonlDataset",
                    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/referring.jsonl",
                    images={{_base_.train_images}},
                    group="image",
                    transforms=[sensor_choice, phrases],
                ),
            ),
            dict(
                name="mcq",
                weight=0.5,
                data=dict(
                    type="EarthMindBenchDataset",
                    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/mcq.json",
                    images={{_base_.train_images}},
                    transforms=[sensor_choice],
                ),
            ),
            dict(
                name="vqa",
                weight=0.25,
                data=dict(
                    type="LlavaDataset",
                    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/vqa.json",
                    images={{_base_.train_images}},
                    transforms=[sensor_choice],
                ),
            ),
            dict(
                name="caption",
                weight=0.2,
                data=dict(
                    type="LlavaDataset",
                    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json",
                    images={{_base_.train_images}},
                    task="caption",
                    transforms=[sensor_choice],
                ),
            ),
            dict(
                name="region",
                weight=0.15,
                data=dict(
                    type="OspreyRegionDataset",
                    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/region.json",
                    images={{_base_.train_images}},
                    introduction="{regions}. ",
                    question="What is region{number}?",
                    transforms=[sensor_choice],
                ),
            ),
        ],
    ),
    batch_size=16,
    max_length=1024,
    row_length=256,
    length_window=None,
    num_workers=1,
    losses=dict(mask=3.0, dice=3.0, alignment=0.05, alignment_kind="contrastive", num_points=1024),
)
training = dict(max_iters=1200)
optimizer = dict(lr=1e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.05)
