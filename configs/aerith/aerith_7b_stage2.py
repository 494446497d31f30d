# Aerith 7B, stage 2: instructions; the pooler and LoRA on all linear layers of the language model. 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/aerith/aerith_7b_stage2.py 8
# Memory: python tools/estimate_memory.py THIS --gpus 8 --tokens 512
_base_ = ["../_base_/runtime.py", "../_base_/models/aerith_7b.py", "../_base_/datasets/aerith_sets.py"]
systems = ["aerith"]
task = dict(
    model=dict(parts=dict(head="work_dirs/aerith_7b_stage0", pooler="work_dirs/aerith_7b_stage1")),
    trainable=["vision.pooler"],
    lora=dict(rank=128, alpha=256, dropout=0.05),
    data=dict(
        type="Mixture",
        parts=[
            dict(data={{_base_.sets.ucm}}),
            dict(data={{_base_.sets.rsvg}}),
            dict(data={{_base_.sets.dior_rsvg}}),
            dict(data={{_base_.sets.rsicap}}),
            dict(data={{_base_.sets.rsvqa_lr}}),
            dict(data={{_base_.sets.rsitmd}}),
        ],
    ),
    batch_size=4,
    gradient_checkpointing=True,
)
# LHRS-Bot's stage 2: AdamW, 2e-4 to 8e-5, clipped at 1.0; three passes over the 12,537 pictures of AerithVLM's table, 32 samples an update
training = dict(max_iters=1200)
optimizer = dict(lr=2e-4, betas=[0.9, 0.95], weight_decay=0.0)
schedule = dict(warmup_ratio=0.05, final_ratio=0.4)
