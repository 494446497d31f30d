# EarthMind 4B, continued from the upstream EarthMind-4B, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_continue.py 8
# Memory: 50.3 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
_base_ = ["./earthmind_4b_sft.py"]
task = dict(
    model=dict(pretrained="{{$PRETRAINED_ROOT:pretrained}}/earthmind-4b"),
    tokenizer=dict(path="{{$PRETRAINED_ROOT:pretrained}}/earthmind-4b"),
)
optimizer = dict(lr=1e-5)
