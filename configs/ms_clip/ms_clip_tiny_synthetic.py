# MS-CLIP tiny on chips of the synthetic world, from scratch, 2 CPU cores, ZeRO-2:
#   python tools/make_synthetic.py --classes 10
#   bash tools/dist.sh train configs/ms_clip/ms_clip_tiny_synthetic.py 2
_base_ = ["../_base_/runtime.py", "../_base_/datasets/synthetic_chips.py"]
systems = ["ms_clip"]
task = dict(
    type="MsClipTask",
    model=dict(
        projection_dim=128,
        vision_config=dict(
            hidden_size=128, intermediate_size=384, num_hidden_layers=3, num_attention_heads=4, patch_size=8, hidden_act="gelu"
        ),
        text_config=dict(hidden_size=128, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4, hidden_act="gelu"),
    ),
    tokenizer=dict(
        type="TrainedClipTokenizer",
        path="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/tokenizer",
        corpus=["{{$SYNTHETIC_ROOT:data/synthetic}}/chips/train/captions.csv"],
        texts=["a centered satellite photo of the"],
        vocab_size=512,
    ),
    processor=dict(preset=10, image_size=48, context_length=32),
    data=dict(
        type="ImageCaptionDataset",
        annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/train/captions.csv",
        images=dict(multispectral={{_base_.train_chips.multispectral}}),
        label_field="label",
    ),
    batch_size=32,
    num_workers=1,
    length_window=None,
    losses=dict(ignore_same_text=True),
)
training = dict(max_iters=300)
optimizer = dict(lr=1e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.1)
evaluation = dict(
    batch_size=64,
    settings=dict(multispectral=["multispectral"]),
    datasets=[
        dict(
            type="ClassFolderDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/test/multispectral",
            images=dict(multispectral={{_base_.test_chips.multispectral}}),
            classes={{_base_.classes}},
        ),
        dict(
            type="ImageCaptionDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/chips/test/captions.csv",
            images=dict(multispectral={{_base_.test_chips.multispectral}}),
            task="retrieval",
        ),
    ],
)
