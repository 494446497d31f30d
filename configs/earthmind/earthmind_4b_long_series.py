# EarthMind 4B with compression tokens on series and pairs, the second stage of earthmind_4b_long.py, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_long_series.py 8
# Memory: 51.2 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
# It begins with the converted first stage: python tools/convert_to_hf.py configs/earthmind/earthmind_4b_long.py \
#   --pth-model work_dirs/earthmind_4b_long/latest --save-path pretrained/earthmind-4b-long
# The video stage of Video-XL: ratios to 8.
_base_ = ["./earthmind_4b_series.py"]
task = dict(
    model=dict(
        pretrained="{{$PRETRAINED_ROOT:pretrained}}/earthmind-4b-long",
        compression=dict(window=1024, ratios=[2, 4, 8], ratio=8),
    ),
    tokenizer=dict(path="{{$PRETRAINED_ROOT:pretrained}}/earthmind-4b-long"),
    trainable=["projector", "fusion", "seg_head.projector", "seg_head.sam.mask_decoder", "language_model.*.compression*"],
    losses=dict(attention=0.0),
)
optimizer = dict(lr=1e-5)
