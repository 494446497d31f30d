# Aerith tiny, stage 1: the pooler learns from captions, and from phrases with their boxes. The language model trains with it, as no
# pre-trained one is at hand. 2 CPU cores:
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
    box_decimals=1,
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
                    type="ImageConversations",
                    name="scenes",
                    max_questions=8,
                    independent=True,
                    datasets=[{{_base_.train_captions_alone}}, {{_base_.train_boxes}}],
                    transforms=[dict(type="RandomOrientation", box_scale=1)],
                ),
                weight=2.0,
            ),
        ],
    ),
    batch_size=1,
    num_workers=1,
    max_length=512,
)
training = dict(max_iters=2000)
optimizer = dict(lr=1e-3, weight_decay=0.05)
schedule = dict(warmup_ratio=0.05)
