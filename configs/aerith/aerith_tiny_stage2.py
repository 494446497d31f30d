# Aerith tiny, stage 2: instructions of all four tasks; LoRA on the language model, and the pooler. 2 CPU cores (SYNTHETIC_ROOT as before):
#   bash tools/dist.sh train configs/aerith/aerith_tiny_stage2.py 2
#   python tools/convert_to_hf.py THIS --pth-model work_dirs/aerith_tiny_stage2 --save-path work_dirs/models/aerith_tiny
_base_ = ["aerith_tiny_stage1.py"]
task = dict(
    model=dict(parts=dict(pooler="work_dirs/aerith_tiny_stage1", language_model="work_dirs/aerith_tiny_stage1")),
    processor=dict(template="chatml"),
    trainable=["vision.pooler", "language_model.model.embed_tokens", "language_model.model.norm"],
    lora=dict(rank=64, alpha=64, dropout=0.0),
    data=dict(
        _delete_=True,
        type="Mixture",
        parts=[
            dict(data={{_base_.train_classes}}, weight=1.0),
            dict(
                data=dict(
                    type="ImageConversations",
                    name="questions",
                    independent=True,
                    datasets=[{{_base_.train_questions}}],
                    transforms=[dict(type="RandomOrientation", box_scale=1)],
                ),
                weight=2.0,
            ),
            dict(
                data=dict(
                    type="ImageConversations",
                    name="captions and boxes",
                    independent=True,
                    datasets=[{{_base_.train_captions}}, {{_base_.train_boxes}}],
                    transforms=[dict(type="RandomOrientation", box_scale=1)],
                ),
                weight=0.5,
            ),
        ],
    ),
    batch_size=1,
    max_length=512,
)
training = dict(max_iters=2800)
optimizer = dict(lr=1e-3, weight_decay=0.0)
