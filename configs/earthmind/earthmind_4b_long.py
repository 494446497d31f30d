# EarthMind 4B learns compression tokens on single images of up to 12 tiles, from the upstream EarthMind-4B, 8 x 80 GB, ZeRO-2:
#   bash tools/dist.sh train configs/earthmind/earthmind_4b_long.py 8
# Memory: 51.2 GiB on each GPU with rows of 8,192 tokens (tools/estimate_memory.py THIS --gpus 8)
# The image stage of Video-XL: a ratio drawn for each window, up to 16 (its 12 divides no window of 1,024). A window is four tiles.
# The estimate counts the weights of compression tokens, not the tokens themselves: a sixteenth to a half of the vision tokens more.
_base_ = ["./earthmind_4b_continue.py"]
task = dict(
    model=dict(compression=dict(window=1024, ratios=[2, 4, 8, 16], ratio=8)),
    trainable=["projector", "fusion", "seg_head.projector", "seg_head.sam.mask_decoder", "language_model.*.compression*"],
    losses=dict(attention=0.0),
)
optimizer = dict(lr=1e-5)
