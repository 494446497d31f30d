# Aerith 7B, stage 1: the pooler learns from captions, all else is frozen. 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/aerith/aerith_7b_stage1.py 8
# Memory: 14.8 GiB on each GPU with 8 rows of 256 tokens (tools/estimate_memory.py THIS --gpus 8 --tokens 256)
_base_ = ["../_base_/runtime.py", "../_base_/models/aerith_7b.py"]
systems = ["aerith"]
task = dict(
    model=dict(parts=dict(head="work_dirs/aerith_7b_stage0")),
    processor=dict(template="plain"),
    trainable=["vision.pooler"],
    data=dict(  # OSM captions of LHRS-Bot (LHRS-Align): OSMCapAnn/*.json beside OSM_Image/
        type="LhrsDataset",
        annotations="{{$AERITH_DATA:data}}/OSMCapAnn",
        images=dict(rgb=dict(root="{{$AERITH_DATA:data}}/OSM_Image", pattern="{name}.jpg", sensor="rgb_uint8")),
        transforms=[dict(type="AerithImageAlone")],
    ),
    batch_size=8,
    gradient_checkpointing=True,
)
# LHRS-Bot's stage 1, with AdamW in place of Adan: 2e-4 to 2e-5, clipped at 0.3
training = dict(max_iters=18000, clip_norm=0.3)
optimizer = dict(lr=2e-4, weight_decay=0.0)
schedule = dict(warmup_ratio=0.02, final_ratio=0.1)
