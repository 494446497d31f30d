# EarthMind tiny on referring segmentation alone, augmented, for few scenes (docs/augmentation.md has its figures and their controls):
#   python tools/make_synthetic.py --train 375 --val 50 --test 100
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_augmented.py 1
_base_ = ["earthmind_tiny_synthetic.py"]
task = dict(
    data=dict(
        _delete_=True,
        type="ImageConversations",
        name="referring",
        max_questions=5,
        independent=True,
        datasets=[
            dict(
                type="ReferringJsonlDataset",
                annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/referring.jsonl",
                images=dict(multispectral={{_base_.train_images.multispectral}}, sar={{_base_.train_images.sar}}),
                group="image",
                transforms=[{{_base_.phrases}}],
            )
        ],
    ),
    augmentation=[dict(type="RandomOrientation")],
    batch_size=10,
)
training = dict(max_iters=400)
evaluation = dict(
    datasets=[
        dict(
            type="ReferringJsonlDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/test/referring.jsonl",
            images={{_base_.test_images}},
            transforms=[{{_base_.one_phrase}}],
        )
    ]
)
