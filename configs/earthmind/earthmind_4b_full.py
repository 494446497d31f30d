# EarthMind 4B, full fine-tuning (all but SAM 2's image encoder), 8 x 80 GB, ZeRO-3:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_full.py 8
# Memory: 14.1 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
_base_ = ["./earthmind_4b_sft.py"]
task = dict(
    trainable=["vision_tower", "projector", "fusion", "language_model", "seg_head.projector", "seg_head.sam.mask_decoder"],
    trainable_tokens=[],
    lora=None,
    gradient_checkpointing=True,
)
training = dict(deepspeed="deepspeed_zero3")
optimizer = dict(lr=1e-5)
