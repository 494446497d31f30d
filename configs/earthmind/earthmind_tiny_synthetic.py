# EarthMind tiny on the synthetic world, from scratch, 2 CPU cores, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_synthetic.py 2
_base_ = ["../_base_/runtime.py", "../_base_/models/earthmind_tiny.py", "../_base_/datasets/synthetic.py"]
systems = ["earthmind"]
sensor_choice = dict(
    type="ChooseModalities",
    settings=dict(rgb=["rgb"], optical=["multispectral"], sar=["sar"], fused=["multispectral", "sar"]),
    weights=dict(rgb=0.03, optical=0.22, sar=0.15, fused=0.6),
)
phrases = dict(
    type="ComposeReferring", num_expressions=5, templates=["Please segment the {phrase} in this image."], answers=["[SEG] {phrase} {place}"]
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
        texts=["multispectral: sar: rgb: ", "region1. What is region1?"],
        vocab_size=768,
    ),
    data=dict(
        type="Mixture",
        parts=[
            dict(
                data=dict(
                    type="ImageConversations",
                    name="talk",
                    max_questions=16,
                    independent=True,
                    datasets=[
                        dict(
                            type="EarthMindBenchDataset",
                            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/mcq.json",
                            images={{_base_.train_images}},
                        ),
                        dict(
                            type="LlavaDataset",
                            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/vqa.json",
                            images={{_base_.train_images}},
                        ),
                        dict(
                            type="LlavaDataset",
                            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json",
                            images={{_base_.train_images}},
                            task="caption",
                        ),
                        dict(
                            type="OspreyRegionDataset",
                            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/region.json",
                            images={{_base_.train_images}},
                            introduction="{regions}. ",
                            question="What is region{number}?",
                        ),
                    ],
                    transforms=[sensor_choice],
                )
            ),
            dict(
                data=dict(
                    type="ImageConversations",
                    name="referring",
                    max_questions=5,
                    independent=True,
                    datasets=[
                        dict(
                            type="ReferringJsonlDataset",
                            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/referring.jsonl",
                            images={{_base_.train_images}},
                            group="image",
                            transforms=[phrases],
                        )
                    ],
                    transforms=[sensor_choice],
                )
            ),
        ],
    ),
)
training = dict(max_iters=1400)
optimizer = dict(lr=1.5e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.05)
