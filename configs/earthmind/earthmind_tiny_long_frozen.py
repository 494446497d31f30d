# Compression tokens for the model of earthmind_tiny_needles_frozen.py, on images of 1 to 32 tiles with a sign in one of them, 2 cores:
#   bash tools/dist.sh train configs/earthmind/earthmind_tiny_long_frozen.py 2
_base_ = ["./earthmind_tiny_long.py"]
task = dict(
    model=dict(pretrained="{{$PRETRAINED_ROOT:pretrained}}/earthmind-tiny-needles-frozen"),
    tokenizer=dict(_delete_=True, type="PretrainedTokenizer", path="{{$PRETRAINED_ROOT:pretrained}}/earthmind-tiny-needles-frozen"),
    trainable=["projector", "fusion", "language_model"],
)
training = dict(max_iters=300)
