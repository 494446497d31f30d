# Aerith tiny, stage 1: the pooler learns from captions. The language model trains with it, as no pre-trained one is at hand. 2 CPU cores:
#   bash tools/dist.sh train configs/aerith/aerith_tiny_stage1.py 2
_base_ = ["../_base_/runtime.py", "../_base_/models/aerith_tiny.py", "../_base_/datasets/aerith_synthetic.py"]
systems = ["aerith"]
tiny_tokenizer = dict(
    type="TrainedChatTokenizer",
    path="{{$SYNTHETIC_ROOT:data/synthetic}}/aerith_tokenizer",
    corpus=[
        "{{$SYNTHETIC_ROOT:data/synthetic}}/train/vqa.json",
        "{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json",
        "{{$SYNTHETIC_ROOT:data/synthetic}}/train/referring.jsonl",
        "{{$SYNTHETIC_ROOT:data/synthetic}}/chips/train/captions.csv",
    ],
    texts=[
        "[CLS] Choose the best categories describe the image from: [VQA] [CAP] Describe this satellite image. [VG]",
        "water, forest, cropland, buildings, bare ground, grass, snow",
    ],
    vocab_size=640,
    box_decimals=2,
)
task = dict(
    type="AerithTask",
    model=dict(
        parts=dict(clip="work_dirs/models/aerith_tiny_clip", dinov3="work_dirs/aerith_tiny_dinov3", head="work_dirs/aerith_tiny_stage0"),
    ),
    tokenizer=tiny_tokenizer,
    processor=dict(template="plain"),
    trainable=["vision.pooler", "language_model"],
    data=dict(
        type="Mixture",
        parts=[
            dict(data={{_base_.train_chip_captions}}),
            dict(
                data=dict(
                    type="LlavaDataset",
                    annotations="{{$SYNTHETIC_ROOT:data/synthetic}}/train/caption.json",
                    images={{_base_.train_scenes}},
                    where=dict(cloudy=False),
                    task="caption",
                    transforms=[dict(type="AerithImageAlone")],
                )
            ),
        ],
    ),
    batch_size=16,
    num_workers=1,
    max_length=256,
)
training = dict(max_iters=250)
optimizer = dict(lr=1.5e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.05)
