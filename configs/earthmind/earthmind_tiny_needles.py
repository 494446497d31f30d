# EarthMind tiny on single tiles with a sign in each, from scratch, 2 CPU cores; what earthmind_tiny_long.py begins with:
#   python tools/make_synthetic.py --out data/synthetic --needles 800
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_needles.py 2
#   python tools/convert_to_hf.py configs/earthmind/earthmind_tiny_needles.py --pth-model work_dirs/earthmind_tiny_needles/latest \
#       --save-path pretrained/earthmind-tiny-needles
_base_ = ["../_base_/runtime.py", "../_base_/models/earthmind_tiny.py", "../_base_/datasets/needles.py"]
systems = ["earthmind"]
task = dict(
    model=dict(text_config=dict(max_position_embeddings=8192)),
    tokenizer=dict(
        type="TrainedTokenizer",
        path="{{$SYNTHETIC_ROOT:data/synthetic}}/needles/tokenizer",
        corpus=["{{$SYNTHETIC_ROOT:data/synthetic}}/needles/train/colour_1.json"],
        texts=["multispectral: sar: rgb: "],
        vocab_size=512,
    ),
    # the tiles show the signs; a thumbnail of 32 tiles would not
    processor=dict(max_tiles=32, use_thumbnail=False),
    data=dict(
        type="LlavaDataset",
        annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/needles/train/colour_1.json",
        images={{_base_.needle_images}},
    ),
    trainable=["vision_tower", "projector", "fusion", "language_model"],
    batch_size=8,
    max_length=2048,
    losses=dict(attention=0.0, alignment=0.0),
)
evaluation = dict(
    batch_size=16,
    max_new_tokens=4,
    settings=dict(optical=["rgb"]),
    datasets=[
        dict(
            type="LlavaDataset",
            annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/needles/test/colour_1.json",
            images={{_base_.needle_test_images}},
        ),
    ],
)
training = dict(max_iters=300)
optimizer = dict(lr=1.5e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.05)
