# EarthFM tiny on the synthetic world, its encoder frozen as configs/earthfm/earthfm_encoder_tiny.py left it, 2 CPU cores, ZeRO-2:
#   bash tools/dist.sh train configs/earthfm/earthfm_encoder_tiny.py 2
#   bash tools/dist.sh train configs/earthfm/earthfm_tiny_synthetic.py 2
_base_ = ["../_base_/runtime.py", "../_base_/datasets/synthetic.py", "../_base_/models/earthfm_tiny.py"]
systems = ["earthfm"]
task = dict(
    model=dict(encoder_weights="{{$EARTHFM_ENCODER:work_dirs/earthfm_encoder_tiny}}"),
    trainable=["connector", "language_model"],
    tokenizer=dict(
        type="TrainedCausalTokenizer",
        path="{{$SYNTHETIC_ROOT:data/synthetic}}/earthfm_tokenizer",
        corpus=["{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json"],
        vocab_size=512,
    ),
    data=dict(
        type="LlavaDataset",
        annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json",
        images=dict(multispectral={{_base_.train_images.multispectral}}),
        task="caption",
    ),
)
training = dict(max_iters=600)
optimizer = dict(lr=2e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.05)
evaluation = dict(
    _delete_=True,
    batch_size=32,
    max_new_tokens=40,
    settings=dict(multispectral=["multispectral"]),
    datasets=[
        dict(
            type="LandCoverCaptionDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/test/caption.json",
            images=dict(multispectral={{_base_.test_images.multispectral}}),
            image_shift=0,  # 1: each caption beside the image of another, as a control
        ),
    ],
)
