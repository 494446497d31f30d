# MS-CLIP ViT-L/14, ten bands, otherwise as ms_clip_b16_ssl4eo.py, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/ms_clip/ms_clip_l14_ssl4eo.py 8
# Memory: 20.9 GiB on each GPU with 512 pairs of texts of 77 tokens (tools/estimate_memory.py THIS --gpus 8)
# Time: 0.0455 hours an epoch at 40 % of an H100's peak, where data come at 6,010 samples/s
#   (tools/plan_run.py THIS --gpus 8 --samples 984576 --sizes tokens=77 tiles=1)
_base_ = ["./ms_clip_b16_ssl4eo.py"]
task = dict(
    model=dict(
        pretrained="{{$PRETRAINED_ROOT:pretrained}}/clip-vit-l-14",  # laion2b_s32b_b82k
        projection_dim=768,
        vision_config=dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, patch_size=14),
        text_config=dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12),
    ),
    tokenizer=dict(path="{{$PRETRAINED_ROOT:pretrained}}/clip-vit-l-14"),
    gradient_checkpointing="attention",
)
